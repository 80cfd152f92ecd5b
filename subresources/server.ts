// The aggregated API server: discovery for everybody, verbs and streams for whom the API server vouches.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { KubeClient, Verb } from '../core/index.ts';
import { KubeError } from '../core/index.ts';
import type { AgentTls } from './agent-dial.ts';
import { apiGroup, apiGroupList, apiResourceList, openapiV2, openapiV3, rootPaths } from './discovery.ts';
import { Door } from './door.ts';
import { Routes } from './routes.ts';
import { badRequest, noSuchPath, statusOf } from './status.ts';
import { Streams } from './streams.ts';
import { GROUP, VERSIONS } from './target.ts';
import { versionInfo } from './version.ts';

/** virtctl's largest body is a VM. */
const BODY_LIMIT = 3 << 20;

export interface SubresourcesOptions {
  readonly client: KubeClient;
  /** Our own certificate as a server, PEM. */
  readonly tls: { readonly cert: string; readonly key: string };
  /** PEM: who signs the API server's front-proxy certificate. */
  readonly requestHeaderCA: string;
  /** Common names of that certificate; empty: any that the CA signed. */
  readonly requestHeaderNames?: readonly string[];
  readonly agentTls: AgentTls;
  readonly verbs: readonly Verb[];
  readonly log: Logger;
  /** Default: a free one. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly address?: string;
}

export interface Subresources {
  readonly port: number;
  /** Ends the streams and the server. */
  stop(): Promise<void>;
}

export async function startSubresources(options: SubresourcesOptions): Promise<Subresources> {
  const { tls, requestHeaderCA, log, port = 0, address = '127.0.0.1' } = options;
  const server = fastify({
    // A request without the front proxy's certificate may still read the discovery documents.
    https: { ...tls, ca: requestHeaderCA, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' },
    bodyLimit: BODY_LIMIT,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
  });
  // virtctl names no content type, or the wrong one; the body is JSON or there is none.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'string' }, (_, body, done) => {
    done(null, body);
  });
  const fail = (error: unknown, reply: FastifyReply): FastifyReply => {
    const { code, body } = statusOf(asKubeError(error));
    if (code >= 500 && code !== 501) log.error({ err: error }, 'subresource request failed');
    return reply.code(code).send(body);
  };
  server.setErrorHandler(async (error, _, reply) => fail(error, reply));
  server.setNotFoundHandler(async (_, reply) => fail(noSuchPath(), reply));

  const routes = new Routes(options.verbs);
  const streams = new Streams(options.client, options.agentTls, log);
  serveDocuments(server, options.client, routes);
  const door = new Door(options.client, options.requestHeaderNames ?? [], routes);
  server.route({
    method: ['GET', 'PUT'],
    url: `/apis/${GROUP}/:version/namespaces/*`,
    handler: async (request, reply) => await runVerb(door, options.client, request, reply),
  });
  server.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined);
    serveStream(door, streams, request, socket, head).catch((error: unknown) => {
      const { code, body } = statusOf(error);
      if (code >= 500 && code !== 501) log.warn({ err: error }, 'stream not opened');
      refuse(socket, code, JSON.stringify(body));
    });
  });
  await server.listen({ port, host: address });
  const bound = server.server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : port,
    stop: async () => {
      await streams.close();
      await server.close();
    },
  };
}

async function runVerb(door: Door, client: KubeClient, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const { caller, target, match } = await door.enter(request.raw);
  const { by } = match.route;
  if (by === undefined || !('verb' in by)) throw badRequest(`${target.path} is a WebSocket; connect with one`);
  const answer = await by.verb.handle({
    client,
    namespace: target.namespace,
    name: target.name,
    body: jsonOf(request.body),
    query: {
      ...Object.fromEntries(new URL(request.raw.url ?? '', 'https://server').searchParams),
      ...match.parameters,
    },
    user: { username: caller.username, groups: caller.groups },
  });
  reply.code(answer.status);
  return answer.body === undefined ? reply.send() : answer.body;
}

async function serveStream(
  door: Door,
  streams: Streams,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const { target, match } = await door.enter(request);
  const { by } = match.route;
  if (by === undefined || !('stream' in by)) throw badRequest(`${target.path} is no WebSocket`);
  await streams.serve(request, socket, head, by.stream, target);
}

function serveDocuments(server: FastifyInstance, client: KubeClient, routes: Routes): void {
  const version = versionInfo();
  const healthz = async (): Promise<unknown> => {
    const { status, body } = await client.raw('GET', '/version', undefined, undefined, { timeoutMs: 5_000 });
    if (status !== 200) throw new Error(`the API server answers /version with ${status}`);
    return { apiserver: { connectivity: 'ok', version: JSON.parse(body) as unknown } };
  };
  const documents: Record<string, () => unknown> = {
    '/': rootPaths,
    '/apis': apiGroupList,
    '/apis/': apiGroupList,
    [`/apis/${GROUP}`]: apiGroup,
    [`/apis/${GROUP}/`]: apiGroup,
    '/openapi/v2': () => openapiV2(version.gitVersion),
    '/openapi/v3': openapiV3,
    '/healthz': () => 'ok',
  };
  for (const name of VERSIONS) {
    const root = `/apis/${GROUP}/${name}`;
    documents[root] = documents[`${root}/`] = () => apiResourceList(name, routes.provided);
    documents[`${root}/version`] = () => version;
    documents[`${root}/healthz`] = healthz;
  }
  for (const [path, make] of Object.entries(documents)) server.get(path, async () => make());
}

function jsonOf(body: unknown): unknown {
  if (typeof body !== 'string' || body.trim() === '') return undefined;
  try {
    return JSON.parse(body);
  } catch {
    throw badRequest('the body is not JSON');
  }
}

/** fastify's own refusals (a body too large, a malformed URL) keep their code. */
function asKubeError(error: unknown): unknown {
  const { statusCode, message = '' } = error as { statusCode?: number; message?: string };
  if (statusCode === 413) return new KubeError(413, 'RequestEntityTooLarge', message);
  return typeof statusCode === 'number' && statusCode < 500 ? badRequest(message) : error;
}

/** An answer on a connection that asked for an upgrade and does not get it. */
function refuse(socket: Duplex, code: number, body: string): void {
  if (!socket.writable) return;
  const head = [
    `HTTP/1.1 ${code} Refused`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${[...head, 'connection: close'].join('\r\n')}\r\n\r\n${body}`);
}
