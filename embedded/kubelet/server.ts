// The kubelet's own HTTPS server: container logs and exec, for callers with a certificate that we were told to trust.
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import { serveExec } from './exec.ts';
import { RequestError } from './request-error.ts';
import type { Layout } from './layout.ts';
import { serveLogs } from './logs.ts';
import type { Pods } from './pods.ts';
import type { PodWorker } from './pod-worker.ts';

export interface ServerTls {
  /** PEM: who signed our callers' certificates. */
  ca: string;
  /** PEM: our own. */
  cert: string;
  key: string;
  /** Common names that may call; the API server's client certificate has one of them. */
  clientNames: readonly string[];
}

export interface ServerOptions {
  pods: Pods;
  layout: Layout;
  tls: ServerTls;
  log: Logger;
  host?: string;
  port?: number;
}

export interface Target {
  pod: PodWorker;
  container: string;
  query: URLSearchParams;
}

const EXEC_PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

export async function startServer(options: ServerOptions): Promise<{ port: number; stop(): Promise<void> }> {
  const { tls, log } = options;
  const server = https.createServer({
    ca: tls.ca,
    cert: tls.cert,
    key: tls.key,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  });
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: 32 * 2 ** 20,
    handleProtocols: (offered) => EXEC_PROTOCOLS.find((protocol) => offered.has(protocol)) ?? false,
  });
  server.on('request', (request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      const code = error instanceof RequestError ? error.code : 500;
      if (code === 500) log.error({ err: error, url: request.url }, 'kubelet request failed');
      if (!response.headersSent) response.writeHead(code, { 'content-type': 'text/plain' });
      response.end(`${error instanceof Error ? error.message : String(error)}\n`);
    });
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    try {
      allow(tls, request);
      const { verb, target } = route(options.pods, request);
      if (verb !== 'exec') throw new RequestError(404, 'only exec speaks WebSocket here');
      sockets.handleUpgrade(request, socket, head, (ws) => {
        serveExec(ws, target, options.layout).catch((error: unknown) => {
          log.error({ err: error }, 'exec failed');
          ws.close();
        });
      });
    } catch (error) {
      const { code, message } = error instanceof RequestError ? error : new RequestError(500, String(error));
      const text = `${message}\n`;
      socket.end(
        `HTTP/1.1 ${code} Refused\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
      );
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(options: ServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  allow(options.tls, request);
  if (request.url === '/healthz') {
    response.end('ok');
    return;
  }
  const { verb, target } = route(options.pods, request);
  if (verb === 'exec')
    throw new RequestError(400, 'exec needs a WebSocket (kubectl 1.31 or newer): upgrade request required');
  if (request.method !== 'GET') throw new RequestError(405, 'logs are read by GET');
  await serveLogs(target, options.layout, response);
}

/** The CA may sign others than the API server: only the named ones pass. */
function allow(tls: ServerTls, request: IncomingMessage): void {
  const { socket } = request;
  const name = socket instanceof TLSSocket ? socket.getPeerCertificate().subject?.CN : undefined;
  const names = [name ?? []].flat();
  if (!names.some((each) => tls.clientNames.includes(each))) {
    throw new RequestError(403, `client certificate "${names.join()}" may not call this kubelet`);
  }
}

function route(pods: Pods, request: IncomingMessage): { verb: 'logs' | 'exec'; target: Target } {
  const url = new URL(request.url ?? '/', 'https://kubelet');
  const [verb, namespace = '', name = '', container = ''] = url.pathname
    .split('/')
    .filter(Boolean)
    .map(decodeURIComponent);
  if (verb !== 'containerLogs' && verb !== 'exec') throw new RequestError(404, `no such path: ${url.pathname}`);
  const pod = pods.find(namespace, name);
  if (!pod) throw new RequestError(404, `pod "${namespace}/${name}" is not on this node`);
  if (!pod.container(container))
    throw new RequestError(404, `container ${container} not found in pod ${name}_${namespace}`);
  return { verb: verb === 'exec' ? 'exec' : 'logs', target: { pod, container, query: url.searchParams } };
}
