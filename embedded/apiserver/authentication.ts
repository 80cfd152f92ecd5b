// Finds out who makes a request: client certificate, bearer token, and whom they act as (impersonation).
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { asArray } from './json.ts';
import { ApiError } from './status.ts';
import { ANONYMOUS, AUTHENTICATED, type User } from './user.ts';

/** A static token and the user it stands for. */
export interface Token {
  token: string;
  user: string;
  groups: string[];
}

export class Authenticator {
  readonly #tokens: { hash: Buffer; user: User }[];

  constructor(tokens: Token[]) {
    this.#tokens = tokens.map(({ token, user, groups }) => ({ hash: digest(token), user: { name: user, groups } }));
  }

  /** The user behind a request; throws 401 for credentials that are wrong. */
  authenticate(request: IncomingMessage): User {
    const bearer = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const user =
      fromCertificate(request.socket as TLSSocket) ?? (bearer === undefined ? ANONYMOUS : this.token(bearer));
    if (user === undefined) throw unauthorized();
    if (user === ANONYMOUS) return user;
    return { ...user, groups: [...new Set([...user.groups, AUTHENTICATED])] };
  }

  /** The user of a bearer token, undefined for one we never gave out. */
  token(token: string): User | undefined {
    const hash = digest(token);
    return this.#tokens.find((entry) => timingSafeEqual(entry.hash, hash))?.user;
  }
}

export function unauthorized(): ApiError {
  return new ApiError(401, 'Unauthorized', 'Unauthorized');
}

/** The user a request wants to act as, from its Impersonate headers. */
export function impersonated(request: IncomingMessage): User | undefined {
  const name = request.headers['impersonate-user'];
  if (typeof name !== 'string' || name === '') return undefined;
  const groups = request.rawHeaders.flatMap((header, index) =>
    index % 2 === 0 && header.toLowerCase() === 'impersonate-group' ? (request.rawHeaders[index + 1] ?? []) : [],
  );
  const account = /^system:serviceaccount:([^:]+):[^:]+$/.exec(name)?.[1];
  const own = account === undefined ? [] : ['system:serviceaccounts', `system:serviceaccounts:${account}`];
  return { name, groups: [...new Set([...groups, ...own, AUTHENTICATED])] };
}

function fromCertificate(socket: TLSSocket): User | undefined {
  if (!socket.authorized) return undefined;
  const subject = socket.getPeerCertificate().subject as unknown as Record<string, unknown> | undefined;
  const name = subject?.['CN'];
  if (typeof name !== 'string') return undefined;
  const groups = typeof subject?.['O'] === 'string' ? [subject['O']] : asArray(subject?.['O']).map(String);
  return { name, groups };
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
