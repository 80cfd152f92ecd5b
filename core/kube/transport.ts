// HTTPS to the API server: a few kept-alive connections for requests, one a watch, and every way it can fail as a KubeError.
import { Agent, request } from 'node:https';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { KubeError } from './kube-error.ts';
import type { Endpoint } from './kubeconfig.ts';

const CONNECTIONS = 8;
const KEEPALIVE_MS = 30_000;
/** Answers larger than this are a mistake or an attack, never a page of objects. */
const MAX_ANSWER = 256 * 1024 * 1024;

export interface Call {
  method: string;
  /** Path and query. */
  path: string;
  body?: string | undefined;
  headers?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
  timeoutMs: number;
}

export interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
}

export class Transport {
  readonly #endpoint: Endpoint;
  readonly #requests: Agent;
  readonly #watches: Agent;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    const tls = { ...endpoint.tls, minVersion: 'TLSv1.2' as const };
    this.#requests = new Agent({
      ...tls,
      keepAlive: true,
      keepAliveMsecs: KEEPALIVE_MS,
      maxSockets: CONNECTIONS,
      maxFreeSockets: 2,
      scheduling: 'lifo',
    });
    // Of their own, so that open watches never make a request wait for a connection.
    this.#watches = new Agent({ ...tls, maxCachedSessions: 1 });
  }

  /** One request, one whole answer. A GET whose kept-alive connection turns out dead is sent once more. */
  async call(call: Call): Promise<Answer> {
    try {
      return await this.#once(call);
    } catch (error) {
      if (call.method === 'GET' && error instanceof StaleConnection) return await this.#once(call);
      throw error;
    }
  }

  /**
   * An answer that goes on until the server, the signal or a cut ends it; `onChunk` gets its bytes. An answer other than
   * 200 is a KubeError. `timeoutMs` bounds the wait for the first byte, `idleMs` each wait after it.
   */
  async stream(call: Call & { idleMs: number }, onChunk: (chunk: Buffer) => void): Promise<void> {
    const { message, done, finish } = await this.#open(call, this.#watches);
    // Probes find a peer that vanished without a word in about 40 s; a watch sends nothing that would.
    message.socket.setKeepAlive(true, KEEPALIVE_MS);
    if (message.statusCode !== 200) {
      const body = await collect(message, done);
      throw KubeError.fromBody(message.statusCode ?? 0, body, `${call.method} ${call.path}`);
    }
    finish.deadline(call.idleMs);
    message.on('data', (chunk: Buffer) => {
      finish.deadline(call.idleMs);
      try {
        onChunk(chunk);
      } catch (error) {
        finish.fail(error);
      }
    });
    await done;
  }

  close(): void {
    this.#requests.destroy();
    this.#watches.destroy();
  }

  async #once(call: Call): Promise<Answer> {
    const { message, done } = await this.#open(call, this.#requests);
    return { status: message.statusCode ?? 0, headers: message.headers, body: await collect(message, done) };
  }

  async #open(call: Call, agent: Agent): Promise<Opened> {
    call.signal?.throwIfAborted();
    const headers: Record<string, string | number> = {
      accept: 'application/json',
      'user-agent': 'virtloom',
      ...call.headers,
    };
    const { authorization, server } = this.#endpoint;
    if (authorization !== undefined) Object.assign(headers, await authorization());
    if (call.body !== undefined) headers['content-length'] = Buffer.byteLength(call.body);
    const prefix = server.pathname === '/' ? '' : server.pathname.replace(/\/$/, '');
    const outgoing = request({
      agent,
      method: call.method,
      host: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port === '' ? 443 : Number(server.port),
      path: prefix + call.path,
      headers,
    });
    return await opened(outgoing, call);
  }
}

interface Opened {
  message: IncomingMessage;
  /** Settles when the answer has ended, been cut, timed out or been aborted. */
  done: Promise<unknown>;
  finish: { deadline(ms: number): void; fail(error: unknown): void };
}

/** Sends the request and waits for the answer's head, with one owner for time-out, abort and errors from first byte to last. */
function opened(outgoing: ClientRequest, call: Call): Promise<Opened> {
  const what = `${call.method} ${call.path.split('?', 1)[0] ?? ''}`;
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let ended: PromiseWithResolvers<undefined> | undefined;
    const settle = (error?: unknown): void => {
      clearTimeout(timer);
      call.signal?.removeEventListener('abort', onAbort);
      if (error === undefined) {
        ended?.resolve(undefined);
        return;
      }
      outgoing.destroy();
      reject(error);
      ended?.reject(error);
    };
    const onAbort = (): void => {
      settle(call.signal?.reason);
    };
    const deadline = (ms: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        settle(new KubeError(0, 'Timeout', `${what}: no answer in ${ms} ms`));
      }, ms);
      timer.unref();
    };
    call.signal?.addEventListener('abort', onAbort, { once: true });
    deadline(call.timeoutMs);
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const text = `${what}: ${error.message}`;
      const stale = outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      settle(stale && ended === undefined ? new StaleConnection(text, error) : unreachable(text, error));
    });
    outgoing.on('response', (message) => {
      ended = Promise.withResolvers<undefined>();
      ended.promise.catch(() => undefined);
      message.on('end', () => {
        settle();
      });
      message.on('error', (error) => {
        settle(unreachable(`${what}: ${error.message}`, error));
      });
      message.on('close', () => {
        if (!message.complete) settle(unreachable(`${what}: connection cut in mid-answer`));
      });
      resolve({ message, done: ended.promise, finish: { deadline, fail: settle } });
    });
    outgoing.end(call.body);
  });
}

async function collect(message: IncomingMessage, done: Promise<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  message.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > MAX_ANSWER) message.destroy(new Error(`answer larger than ${MAX_ANSWER} bytes`));
    else chunks.push(chunk);
  });
  await done;
  return chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString();
}

function unreachable(text: string, cause?: unknown): KubeError {
  return new KubeError(0, 'Unreachable', text, {}, cause);
}

/** The server closed a kept-alive connection just as we used it: no answer was begun. */
class StaleConnection extends KubeError {
  constructor(text: string, cause: unknown) {
    super(0, 'Unreachable', text, {}, cause);
  }
}
