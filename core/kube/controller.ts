// Reconcile loops: informers say which names to look at, workers look, failures come back later.
import type { Logger } from 'pino';
import type { Informer } from './informer.ts';
import type { KubeObject } from './objects.ts';
import { WorkQueue } from './queue.ts';

export interface Request {
  /** '' for what lives in no namespace. */
  namespace: string;
  name: string;
}

/** Nothing: all is well until the next event. Else when to look again, and why (it is logged). */
export type Result = void | { afterMs: number; why: string };

/** Retrying would not help: the error is logged and the next try waits for an event. */
export class TerminalError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TerminalError';
  }
}

export interface ControllerOptions {
  name: string;
  /** Brings one object's world from what is to what should be; idempotent, knows nothing but the name. */
  reconcile: (request: Request, signal: AbortSignal) => Promise<Result>;
  /** Keys in work at once; default 4. */
  workers?: number;
  /** A reconcile that takes longer is logged, again and again; default 60 s. */
  deadlineMs?: number;
  log?: Logger;
}

const WORKERS = 4;
const DEADLINE_MS = 60_000;
const STOP_MS = 10_000;

export class Controller {
  readonly #options: ControllerOptions;
  readonly #queue = new WorkQueue();
  readonly #informers: Pick<Informer<KubeObject>, 'start' | 'synced'>[] = [];
  readonly #unsubscribe: (() => void)[] = [];
  readonly #abort = new AbortController();
  #workers: Promise<void>[] = [];

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /** Each change in `informer` wakes the requests that `map` names; default: the object itself. */
  watch<T extends KubeObject>(informer: Informer<T>, map: (object: T) => Request[] = itself): this {
    this.#informers.push(informer);
    const off = informer.on(({ object, old }) => {
      for (const request of map(object)) this.enqueue(request);
      // An object that changed owners concerns both.
      if (old !== undefined) for (const request of map(old)) this.enqueue(request);
    });
    this.#unsubscribe.push(off);
    return this;
  }

  enqueue(request: Request): void {
    this.#queue.add(`${request.namespace}/${request.name}`);
  }

  /** Starts the informers it watches, waits until they have synced, then begins to work. */
  async start(): Promise<void> {
    for (const informer of this.#informers) informer.start();
    await Promise.all(this.#informers.map((informer) => informer.synced()));
    if (this.#abort.signal.aborted) return;
    const count = this.#options.workers ?? WORKERS;
    this.#workers = Array.from({ length: count }, () => this.#work());
  }

  /**
   * Tells the reconciles under way to stop and waits for them, ten seconds at most. The informers are left to whoever
   * made them.
   */
  async stop(): Promise<void> {
    const { name: controller, log } = this.#options;
    this.#abort.abort();
    for (const off of this.#unsubscribe.splice(0)) off();
    const ended = this.#queue.close().then(() => Promise.all(this.#workers));
    const late = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => late.resolve(true), STOP_MS);
    void ended.then(() => late.resolve(false));
    if (await late.promise) log?.error({ controller }, 'a reconcile does not stop; leaving it behind');
    clearTimeout(timer);
  }

  async #work(): Promise<void> {
    for (;;) {
      const key = await this.#queue.next();
      if (key === undefined) return;
      try {
        await this.#reconcile(key);
      } finally {
        this.#queue.done(key);
      }
    }
  }

  async #reconcile(key: string): Promise<void> {
    const { name: controller, log, deadlineMs = DEADLINE_MS } = this.#options;
    const begin = performance.now();
    const watchdog = setInterval(() => {
      log?.warn({ controller, key, ms: Math.round(performance.now() - begin) }, 'reconcile is stuck');
    }, deadlineMs);
    watchdog.unref();
    try {
      const result = await this.#options.reconcile(requestOf(key), this.#abort.signal);
      this.#queue.forget(key);
      if (result === undefined) return;
      log?.debug({ controller, key, afterMs: result.afterMs, why: result.why }, 'will look again');
      this.#queue.addAfter(key, result.afterMs);
    } catch (error) {
      this.#failed(key, error);
    } finally {
      clearInterval(watchdog);
    }
  }

  #failed(key: string, error: unknown): void {
    const { name: controller, log } = this.#options;
    if (this.#abort.signal.aborted) return;
    if (error instanceof TerminalError) {
      this.#queue.forget(key);
      log?.error({ controller, key, err: error }, 'reconcile failed; not retried before the next change');
      return;
    }
    log?.warn({ controller, key, err: error, tries: this.#queue.retries(key) + 1 }, 'reconcile failed; will retry');
    this.#queue.addRateLimited(key);
  }
}

function itself(object: KubeObject): Request[] {
  return [{ namespace: object.metadata.namespace ?? '', name: object.metadata.name ?? '' }];
}

function requestOf(key: string): Request {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
