// A small HTTPS API server for tests: lists, watches, and every way they go wrong, on demand.
import { createServer } from 'node:https';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { KubeClient } from '../client.ts';
import type { KubeObject } from '../objects.ts';
import { Authority } from './certificate.ts';
import type { Pair } from './certificate.ts';

interface Watch {
  collection: string;
  response: ServerResponse;
}
interface Change {
  version: number;
  type: string;
  key: string;
  object: KubeObject;
}

export class TestApiServer {
  readonly objects = new Map<string, KubeObject>();
  /** `METHOD url`, in order. */
  readonly requests: string[] = [];
  readonly sockets = new Set<Duplex>();
  /** Connections accepted so far. */
  connections = 0;
  /** Answers instead of the server where it returns true. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  readonly authority = new Authority('test-ca');
  port = 0;
  #version = 100;
  /** Watches from before this version get 410. */
  #oldest = 0;
  readonly #changes: Change[] = [];
  readonly #watches = new Set<Watch>();
  #server: Server | undefined;
  readonly #certificate: Pair = this.authority.sign('server', ['127.0.0.1', 'localhost']);

  async start(): Promise<this> {
    const server = createServer({ ...this.#certificate, keepAliveTimeout: 60_000 }, (request, response) => {
      void this.#handle(request, response);
    });
    server.on('connection', (socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    this.cut();
    await closed;
  }

  /** Resets every connection, as a crash or a bad network does. */
  cut(): void {
    this.#watches.clear();
    for (const socket of this.sockets) socket.destroy();
  }

  kubeconfig(): string {
    const ca = Buffer.from(this.authority.cert).toString('base64');
    return JSON.stringify(
      {
        'current-context': 'test',
        contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'default' } }],
        clusters: [
          {
            name: 'test',
            cluster: { server: `https://127.0.0.1:${this.port}`, 'certificate-authority-data': ca },
          },
        ],
        users: [{ name: 'test', user: { token: 'test-token' } }],
      },
      undefined,
      1,
    );
  }

  client(): KubeClient {
    return KubeClient.fromKubeconfig(this.kubeconfig());
  }

  get watches(): number {
    return this.#watches.size;
  }

  /** Creates or changes an object, as another client would; `path` is its URL path. */
  put(path: string, object: Partial<KubeObject>): KubeObject {
    const old = this.objects.get(path);
    const version = ++this.#version;
    const [, namespace] = /\/namespaces\/([^/]+)\//.exec(path) ?? [];
    const stored = {
      ...object,
      metadata: {
        uid: old?.metadata.uid ?? `uid-${version}`,
        ...(namespace === undefined ? {} : { namespace }),
        name: path.slice(path.lastIndexOf('/') + 1),
        creationTimestamp: '2026-01-01T00:00:00Z',
        ...object.metadata,
        resourceVersion: String(version),
      },
    } as KubeObject;
    this.objects.set(path, stored);
    this.#changed({ version, type: old === undefined ? 'ADDED' : 'MODIFIED', key: path, object: stored });
    return stored;
  }

  remove(path: string): void {
    const old = this.objects.get(path);
    if (old === undefined) return;
    this.objects.delete(path);
    const version = ++this.#version;
    const object = { ...old, metadata: { ...old.metadata, resourceVersion: String(version) } };
    this.#changed({ version, type: 'DELETED', key: path, object });
  }

  /** Forgets the history: whoever watches on from an older version is told 410. */
  compact(): void {
    this.#oldest = this.#version;
    this.#changes.length = 0;
  }

  bookmark(): void {
    for (const watch of this.#watches) {
      const metadata = { resourceVersion: String(this.#version) };
      write(watch.response, { type: 'BOOKMARK', object: { kind: 'Pod', apiVersion: 'v1', metadata } });
    }
  }

  /** Writes raw bytes to every watch. */
  inject(text: string): void {
    for (const watch of this.#watches) watch.response.write(text);
  }

  /** Ends every watch in good order, as the server does when timeoutSeconds are over. */
  endWatches(): void {
    for (const watch of this.#watches) watch.response.end();
    this.#watches.clear();
  }

  bumpVersion(): void {
    this.#version++;
  }

  #changed(change: Change): void {
    this.#changes.push(change);
    for (const watch of this.#watches) if (inCollection(watch.collection, change.key)) write(watch.response, change);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
    if (this.intercept?.(request, response)) return;
    const url = new URL(request.url ?? '/', 'https://server');
    const body = await bodyOf(request);
    const path = url.pathname;
    if (request.headers.authorization !== 'Bearer test-token') fail(response, 401, 'Unauthorized', 'who are you?');
    else if (url.searchParams.has('watch'))
      this.#watch(path, Number(url.searchParams.get('resourceVersion')), response);
    else if (request.method === 'POST') this.#create(path, body, response);
    else if (request.method === 'GET' && isCollection(path)) this.#list(path, url.searchParams, response);
    else this.#onObject(request.method ?? '', path, body, response);
  }

  #create(path: string, body: KubeObject, response: ServerResponse): void {
    const name = body.metadata.name ?? `${body.metadata.generateName ?? 'x'}${this.#version}`;
    const key = `${path}/${name}`;
    if (this.objects.has(key)) fail(response, 409, 'AlreadyExists', `"${name}" already exists`);
    else answer(response, 201, this.put(key, body));
  }

  #onObject(method: string, path: string, body: KubeObject, response: ServerResponse): void {
    const key = path.replace(/\/status$/, '');
    const old = this.objects.get(key);
    const name = key.slice(key.lastIndexOf('/') + 1);
    if (old === undefined) {
      fail(response, 404, 'NotFound', `"${name}" not found`);
    } else if (method === 'GET') {
      answer(response, 200, old);
    } else if (method === 'DELETE') {
      this.remove(key);
      answer(response, 200, { kind: 'Status', status: 'Success' });
    } else {
      const wanted = body.metadata?.resourceVersion;
      if (wanted !== undefined && wanted !== old.metadata.resourceVersion) {
        fail(response, 409, 'Conflict', `Operation cannot be fulfilled on "${name}": the object has been modified`);
      } else {
        const next = method === 'PATCH' ? (merge(old, body) as KubeObject) : body;
        answer(response, 200, this.put(key, next));
      }
    }
  }

  #list(collection: string, query: URLSearchParams, response: ServerResponse): void {
    const all = [...this.objects].filter(([key]) => inCollection(collection, key)).map(([, object]) => object);
    const from = Number(query.get('continue') ?? 0);
    const limit = Number(query.get('limit') ?? all.length);
    const metadata: Record<string, string> = { resourceVersion: String(this.#version) };
    if (from + limit < all.length) metadata['continue'] = String(from + limit);
    answer(response, 200, { kind: 'List', apiVersion: 'v1', metadata, items: all.slice(from, from + limit) });
  }

  #watch(collection: string, from: number, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (from < this.#oldest) {
      const object = { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410, message: 'too old' };
      write(response, { type: 'ERROR', object });
      response.end();
      return;
    }
    for (const change of this.#changes) {
      if (change.version > from && inCollection(collection, change.key)) write(response, change);
    }
    const watch = { collection, response };
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }
}

/** The collection's last part is a plural; an object's path is one longer. */
function isCollection(path: string): boolean {
  const parts = path.split('/').slice(path.startsWith('/api/') ? 3 : 4);
  return parts.length === 1 || (parts[0] === 'namespaces' && parts.length === 3);
}

function inCollection(collection: string, key: string): boolean {
  const own = key.slice(0, key.lastIndexOf('/'));
  return own === collection || own.replace(/\/namespaces\/[^/]+/, '') === collection;
}

function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof target === 'object' ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, key);
    else result[key] = merge(result[key], value);
  }
  return result;
}

function write(response: ServerResponse, { type, object }: { type: string; object: unknown }): void {
  response.write(`${JSON.stringify({ type, object })}\n`);
}

function answer(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

export function fail(response: ServerResponse, code: number, reason: string, message: string, details?: unknown): void {
  answer(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, details });
}

async function bodyOf(request: IncomingMessage): Promise<KubeObject> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return (text === '' ? {} : JSON.parse(text)) as KubeObject;
}

/** Waits until `condition` is true; the tests' only way of waiting. */
export async function eventually(condition: () => boolean, what: string, ms = 10_000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
