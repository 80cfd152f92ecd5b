// Passes requests on: to aggregated API servers and to kubelets, plain or as an upgraded connection piped raw.
import { without } from './json.ts';
import { request as httpsRequest } from 'node:https';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiError } from './status.ts';
import type { User } from './user.ts';

export interface Backend {
  host: string;
  port: number;
  path: string;
  /** The name its certificate must carry. */
  serverName: string;
  /** PEM; undefined trusts any certificate (insecureSkipTLSVerify). */
  ca: string | undefined;
  cert: string;
  key: string;
  /** Set where the backend trusts us to say who asks (front proxy). */
  user?: User;
}

/** Headers that belong to one connection, or that only we may set. */
const DROPPED = [
  /^connection$/,
  /^keep-alive$/,
  /^transfer-encoding$/,
  /^authorization$/,
  /^impersonate-/,
  /^x-remote-/,
  /^host$/,
  /^upgrade$/,
];

function headersFor(incoming: IncomingHttpHeaders, backend: Backend): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(incoming)) {
    if (value !== undefined && !DROPPED.some((pattern) => pattern.test(name))) headers[name] = value;
  }
  headers['host'] = backend.serverName;
  if (backend.user !== undefined) {
    headers['x-remote-user'] = backend.user.name;
    headers['x-remote-group'] = backend.user.groups;
    for (const [name, values] of Object.entries(backend.user.extra ?? {})) {
      headers[`x-remote-extra-${encodeURIComponent(name)}`] = values;
    }
  }
  return headers;
}

function connection(backend: Backend): object {
  return {
    ...{ host: backend.host, port: backend.port, path: backend.path, cert: backend.cert, key: backend.key },
    servername: isIP(backend.serverName) === 0 ? backend.serverName : '',
    ...(backend.ca === undefined ? { rejectUnauthorized: false } : { ca: backend.ca }),
  };
}

function unavailable(backend: Backend, error: Error): ApiError {
  const message = `error trying to reach service: ${error.message} (${backend.serverName})`;
  return new ApiError(503, 'ServiceUnavailable', message);
}

/** Streams a request to the backend and its answer back. Rejects only before anything was answered. */
export function forward(request: IncomingMessage, response: ServerResponse, backend: Backend): Promise<void> {
  return new Promise((resolve, reject) => {
    const upstream = httpsRequest(
      { ...connection(backend), agent: false, method: request.method, headers: headersFor(request.headers, backend) },
      (answer) => {
        const headers = without(answer.headers, 'connection', 'keep-alive', 'transfer-encoding');
        response.writeHead(answer.statusCode ?? 502, headers);
        response.flushHeaders();
        answer.pipe(response);
        answer.once('error', () => response.destroy());
        response.once('close', resolve);
      },
    );
    upstream.once('error', (error) => {
      if (response.headersSent) response.destroy();
      else reject(unavailable(backend, error));
      resolve();
    });
    response.once('close', () => upstream.destroy());
    request.pipe(upstream);
  });
}

/** Fetches a small JSON document from a backend; undefined where it does not answer with one. */
export function fetchJson(backend: Backend, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve) => {
    const give = (value: unknown): void => {
      resolve(value);
    };
    const headers = headersFor({ accept: 'application/json' }, backend);
    const signal = AbortSignal.timeout(timeoutMs);
    const request = httpsRequest({ ...connection(backend), agent: false, headers, signal }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.once('error', () => give(undefined));
      response.once('end', () => {
        try {
          give(response.statusCode === 200 ? JSON.parse(text) : undefined);
        } catch {
          give(undefined);
        }
      });
    });
    request.once('error', () => give(undefined));
    request.end();
  });
}

/** Passes an upgrade (WebSocket) on and joins the two connections. */
export function forwardUpgrade(
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  backend: Backend,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...headersFor(request.headers, backend),
      connection: 'Upgrade',
      upgrade: request.headers.upgrade,
    };
    const upstream = httpsRequest({ ...connection(backend), agent: false, method: request.method, headers } as object);
    upstream.once('upgrade', (answer, server, first) => {
      client.write(headOf(answer));
      if (first.length > 0) client.write(first);
      if (head.length > 0) server.write(head);
      join(client, server);
      resolve();
    });
    upstream.once('response', (answer) => {
      // No upgrade: the backend's refusal goes to the client as it is, and the connection ends with it.
      client.write(headOf(answer, true));
      answer.pipe(client);
      resolve();
    });
    upstream.once('error', (error) => {
      reject(unavailable(backend, error));
    });
    client.once('close', () => upstream.destroy());
    upstream.end();
  });
}

function headOf(answer: IncomingMessage, closes = false): string {
  const lines = [`HTTP/1.1 ${String(answer.statusCode)} ${answer.statusMessage ?? ''}`];
  for (let index = 0; index + 1 < answer.rawHeaders.length; index += 2) {
    const name = answer.rawHeaders[index] ?? '';
    if (closes && /^(connection|keep-alive|transfer-encoding)$/i.test(name)) continue;
    lines.push(`${name}: ${answer.rawHeaders[index + 1] ?? ''}`);
  }
  if (closes) lines.push('Connection: close');
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function join(a: Duplex, b: Duplex): void {
  a.pipe(b);
  b.pipe(a);
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    one.once('error', () => other.destroy());
    one.once('close', () => other.destroy());
  }
}
