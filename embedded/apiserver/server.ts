// The HTTPS server: who asks, may they, what do they want, and the answer or refusal in Kubernetes' form.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { KeyPair } from '../pki/authority.ts';
import { impersonated } from './authentication.ts';
import { backendOf, dispatch } from './dispatch.ts';
import type { Answer, Call, Environment } from './environment.ts';
import { forwardUpgrade } from './proxy.ts';
import { requestInfo, type RequestInfo } from './request-info.ts';
import { isPublic, serverPath } from './server-paths.ts';
import { ApiError, badRequest, forbidden, type Status } from './status.ts';
import type { User } from './user.ts';

/** Longer than any client keeps an idle connection, so that none is closed under a request. */
const KEEP_ALIVE_MS = 10 * 60_000;

export function createApiServer(env: Environment, pair: KeyPair, ca: string): Server {
  const server = createServer(
    { ...pair, ca, requestCert: true, rejectUnauthorized: false, keepAliveTimeout: KEEP_ALIVE_MS },
    (request, response) => {
      // No request may end the process, whatever it holds.
      handle(env, request, response).catch((error: unknown) => {
        env.log.error({ error, method: request.method, url: request.url }, 'a request got no answer');
        response.destroy();
      });
    },
  );
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    void handleUpgrade(env, request, socket, head);
  });
  return server;
}

async function handle(env: Environment, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const warnings: string[] = [];
  try {
    const call = prepare(env, request, response, warnings);
    const { resource } = call.info;
    const answer = resource === undefined ? await serverPath(env, call) : await dispatch(env, call, resource);
    if (answer !== undefined) send(response, answer, warnings);
  } catch (error) {
    refuse(env, request, response, error, warnings);
  }
}

/** Authenticates and authorizes. */
function prepare(env: Environment, request: IncomingMessage, response: ServerResponse, warnings: string[]): Call {
  const url = new URL(request.url ?? '/', 'https://localhost');
  const method = request.method ?? 'GET';
  const info = requestInfo(method, url);
  const own = env.authenticator.authenticate(request);
  const user = actingUser(env, request, own);
  if (!isPublic(info.path)) authorize(env, user, info);
  return { method, url, query: url.searchParams, info, user, warnings, request, response };
}

function actingUser(env: Environment, request: IncomingMessage, own: User): User {
  const other = impersonated(request);
  if (other === undefined) return own;
  const check = (resource: string, name: string): void => {
    const attributes = { verb: 'impersonate', group: '', resource, subresource: '', namespace: '', name };
    if (env.rbac.allows(own, attributes)) return;
    throw denied(own, 'impersonate', { group: '', plural: resource }, name, 'at the cluster scope');
  };
  check('users', other.name);
  for (const group of other.groups) if (group !== 'system:authenticated') check('groups', group);
  return other;
}

function authorize(env: Environment, user: User, info: RequestInfo): void {
  const target = info.resource;
  if (target === undefined) {
    const attributes = { verb: info.verb, group: '', resource: '', subresource: '', namespace: '', name: '' };
    if (env.rbac.allows(user, { ...attributes, path: info.path })) return;
    const message = `forbidden: User "${user.name}" cannot ${info.verb} path "${info.path}"`;
    throw new ApiError(403, 'Forbidden', message, {});
  }
  const { verb, group, resource, subresource, namespace, name } = target;
  if (env.rbac.allows(user, { verb, group, resource, subresource, namespace, name })) return;
  const plural = subresource === '' ? resource : `${resource}/${subresource}`;
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  throw denied(user, verb, { group, plural }, name, scope);
}

function denied(
  user: User,
  verb: string,
  named: { group: string; plural: string },
  name: string,
  scope: string,
): ApiError {
  const what = `resource "${named.plural}" in API group "${named.group}"`;
  const base = named.plural.split('/')[0] ?? '';
  return forbidden({ ...named, plural: base }, name, `User "${user.name}" cannot ${verb} ${what} ${scope}`);
}

async function handleUpgrade(env: Environment, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  socket.on('error', () => socket.destroy());
  try {
    const call = prepare(env, request, undefined as unknown as ServerResponse, []);
    const target = call.info.resource;
    const backend = target === undefined ? undefined : await backendOf(env, call, target);
    if (backend === undefined) throw badRequest('this path does not take connection upgrades');
    await forwardUpgrade(request, socket, head, backend);
  } catch (error) {
    const status = statusOf(env, request, error);
    const body = JSON.stringify(status);
    const length = String(Buffer.byteLength(body));
    const lines = [`HTTP/1.1 ${String(status.code)} ${status.reason ?? ''}`, 'Content-Type: application/json'];
    socket.end([...lines, `Content-Length: ${length}`, 'Connection: close', '', body].join('\r\n'));
  }
}

function refuse(
  env: Environment,
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  warnings: string[],
): void {
  // A client that hung up gets no answer, and is no fault of ours.
  if (response.headersSent || response.socket?.destroyed !== false) {
    response.destroy();
    return;
  }
  const status = statusOf(env, request, error);

  if (status.details?.retryAfterSeconds !== undefined) {
    response.setHeader('retry-after', String(status.details.retryAfterSeconds));
  }
  send(response, { code: status.code, body: status }, warnings);
}

function statusOf(env: Environment, request: IncomingMessage, error: unknown): Status {
  if (error instanceof ApiError) return error.body();
  env.log.error({ error, method: request.method, url: request.url }, 'a request failed on a fault of the server');
  const message = `Internal error occurred: ${error instanceof Error ? error.message : String(error)}`;
  return new ApiError(500, 'InternalError', message).body();
}

function send(response: ServerResponse, { code, body }: Answer, warnings: string[]): void {
  const payload = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const unique = [...new Set(warnings)].slice(0, 50);
  if (unique.length > 0) response.setHeader('warning', unique.map(warningHeader));
  if (!response.hasHeader('content-type')) {
    response.setHeader('content-type', typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json');
  }
  if (!response.hasHeader('cache-control')) response.setHeader('cache-control', 'no-cache, private');
  response.writeHead(code, { 'content-length': Buffer.byteLength(payload) });
  response.end(payload);
}

function warningHeader(text: string): string {
  const clean = text.replaceAll(/[^\t\x20-\x7e]/g, ' ').replaceAll(/["\\]/g, String.raw`\$&`);
  return `299 - "${clean}"`;
}
