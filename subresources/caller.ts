// Who asks: what the API server's front proxy says, believed only from its own client certificate.
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { unauthorized } from './status.ts';

export interface Caller {
  username: string;
  uid: string | undefined;
  groups: string[];
  extra: Record<string, string[]>;
}

const EXTRA = 'x-remote-extra-';

/**
 * @param allowedNames common names of the front proxy's certificate; empty: any that the request-header CA signed
 * @throws KubeError 401
 */
export function callerOf(request: IncomingMessage, allowedNames: readonly string[]): Caller {
  const { socket, headersDistinct: headers } = request;
  if (!(socket instanceof TLSSocket) || !socket.authorized) throw unauthorized('request is not authenticated');
  const name = String(socket.getPeerCertificate().subject?.CN ?? '');
  if (allowedNames.length > 0 && !allowedNames.includes(name)) {
    throw unauthorized(`certificate "${name}" is not the front proxy's`);
  }
  const [username] = headers['x-remote-user'] ?? [];
  if (!username) throw unauthorized('a valid user header is required for authorization');
  const extra: Record<string, string[]> = {};
  for (const [header, values] of Object.entries(headers)) {
    if (header.startsWith(EXTRA)) extra[unescape(header.slice(EXTRA.length))] = (values ?? []).map(utf8);
  }
  const [uid] = headers['x-remote-uid'] ?? [];
  return { username: utf8(username), uid, groups: (headers['x-remote-group'] ?? []).map(utf8), extra };
}

/** Header bytes above 127 are UTF-8; Node hands them out as Latin-1. */
function utf8(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8');
}

/** Extra keys are %-escaped, since not every key is a header name. */
function unescape(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
