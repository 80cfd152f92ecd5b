// The protocol: what sidecars are asked, in the newest version that they speak.
import { grpcCall } from '../../core/index.ts';

/** Newest first. */
export const VERSIONS = ['v1alpha3', 'v1alpha2', 'v1alpha1'] as const;
export type Version = (typeof VERSIONS)[number];

/** Where and how a sidecar is called. */
export interface Line {
  /** The socket, as the agent reaches it. */
  readonly socket: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface Info {
  readonly name: string;
  readonly hookPoints: readonly { readonly name: string; readonly priority: number }[];
  readonly versions: readonly string[];
}

const file = (name: string): URL => new URL(`./proto/${name}.proto`, import.meta.url);

export function info(line: Line): Promise<Info> {
  return grpcCall<Info>({
    ...line,
    proto: file('info'),
    service: 'kubevirt.hooks.info.Info',
    method: 'Info',
    request: {},
  });
}

export function callback<Answer>(line: Line, version: Version, method: string, request: object): Promise<Answer> {
  const service = `kubevirt.hooks.${version}.Callbacks`;
  return grpcCall<Answer>({ ...line, proto: file(version), service, method, request });
}
