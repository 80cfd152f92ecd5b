// What every handler works with, and the shapes of a call and its answer.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KeyPair } from '../pki/authority.ts';
import type { Store } from '../store/store.ts';
import type { Admission } from './admission/admission.ts';
import type { Authenticator } from './authentication.ts';
import type { Registry } from './kinds/registry.ts';
import type { Rbac } from './rbac.ts';
import type { RequestInfo } from './request-info.ts';
import type { User } from './user.ts';

/** Where a service's pods can be reached from this process. */
export interface ServiceAddress {
  host: string;
  port: number;
}

export type ResolveService = (
  namespace: string,
  name: string,
  port: number,
) => ServiceAddress | undefined | Promise<ServiceAddress | undefined>;

/** How to reach a node's kubelet: `https://host:port`, its CA and our client certificate, all PEM. */
export interface KubeletAddress {
  url: string;
  ca: string;
  cert: string;
  key: string;
}

export type ResolveKubelet = (nodeName: string) => KubeletAddress | undefined | Promise<KubeletAddress | undefined>;

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Environment {
  store: Store;
  registry: Registry;
  rbac: Rbac;
  authenticator: Authenticator;
  admission: Admission;
  frontProxy: KeyPair;
  resolveService: ResolveService;
  resolveKubelet: ResolveKubelet;
  log: Log;
}

export interface Call {
  method: string;
  url: URL;
  query: URLSearchParams;
  info: RequestInfo;
  user: User;
  /** Lines for the Warning headers of the answer. */
  warnings: string[];
  request: IncomingMessage;
  response: ServerResponse;
}

export interface Answer {
  code: number;
  body: unknown;
}
