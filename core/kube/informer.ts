// A local, always fresh copy of a resource's objects: list once, then watch.
import type { Logger } from 'pino';
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from './backoff.ts';
import type { KubeClient, WatchEvent } from './client.ts';
import { isGone } from './kube-error.ts';
import { resourceName } from './objects.ts';
import type { KubeObject, Resource } from './objects.ts';
import { Store, keyOf, storeKey } from './store.ts';

const PAGE = 500;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;
/** A watch that lasted this long was a healthy one: the next failure starts a new row. */
const HEALTHY_MS = 5_000;

export interface InformerOptions<T extends KubeObject> {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Applied to each object before it is kept; use it to drop what nobody reads. Default: drops managedFields. */
  transform?: (object: T) => T;
  log?: Logger;
}

export interface InformerEvent<T extends KubeObject> {
  type: 'added' | 'updated' | 'deleted';
  object: T;
  /** What was there before an update. */
  old?: T;
}

/**
 * Objects it hands out are shared by everyone in the process: read-only (frozen where NODE_ENV is `test`).
 * It heals by itself from cuts, restarts of the API server and versions too old: whatever was missed is found by
 * comparing a new list with the cache, and told to the handlers as events.
 */
export class Informer<T extends KubeObject> {
  readonly resource: Resource;
  readonly #client: KubeClient;
  readonly #options: InformerOptions<T>;
  readonly #store = new Store<T>();
  readonly #handlers = new Set<(event: InformerEvent<T>) => void>();
  readonly #synced = Promise.withResolvers<undefined>();
  readonly #abort = new AbortController();
  #loop: Promise<void> | undefined;
  #isSynced = false;
  /** Where to watch on from; undefined: list first. */
  #resourceVersion: string | undefined;

  constructor(client: KubeClient, resource: Resource, options: InformerOptions<T> = {}) {
    this.resource = resource;
    this.#client = client;
    this.#options = options;
    this.#synced.promise.catch(() => undefined);
  }

  /** Begins to list and watch; a second call does nothing. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Resolves when the first list is in the cache; rejects if the informer is stopped before. */
  synced(): Promise<void> {
    return this.#synced.promise;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#synced.reject(new Error(`informer of ${resourceName(this.resource)} was stopped before it had synced`));
    await this.#loop;
    this.#handlers.clear();
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#store.get(storeKey(namespace, name));
  }

  list(): T[] {
    return this.#store.values();
  }

  /** Objects by what `valuesOf` reads from them; each object may stand under several values. */
  addIndex(name: string, valuesOf: (object: T) => string[]): void {
    this.#store.addIndex(name, valuesOf);
  }

  byIndex(name: string, value: string): T[] {
    return this.#store.byIndex(name, value);
  }

  /**
   * Calls `handler` for each change, after the cache has it, in order; a handler that comes late is told of every object
   * there already is as `added`. Returns how to take it off.
   */
  on(handler: (event: InformerEvent<T>) => void): () => void {
    this.#handlers.add(handler);
    for (const object of this.#store.values()) this.#call(handler, { type: 'added', object });
    return () => this.#handlers.delete(handler);
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    const backoff = new Backoff(FIRST_RETRY_MS, MAX_RETRY_MS, 0.5);
    while (!signal.aborted) {
      const begin = performance.now();
      try {
        if (this.#resourceVersion === undefined) await this.#relist();
        await this.#watch();
        if (performance.now() - begin > HEALTHY_MS) backoff.reset();
        else await this.#pause(backoff.next());
      } catch (error) {
        if (signal.aborted) break;
        if (performance.now() - begin > HEALTHY_MS) backoff.reset();
        if (isGone(error) && this.#resourceVersion !== undefined) {
          this.#resourceVersion = undefined;
          if (backoff.failures === 0) {
            backoff.next();
            continue;
          }
        }
        const ms = backoff.next();
        this.#options.log?.warn(
          { err: error, resource: resourceName(this.resource), retryMs: Math.round(ms) },
          'watch broke off',
        );
        await this.#pause(ms);
      }
    }
  }

  /** Lists page by page and tells the handlers what differs from the cache. */
  async #relist(): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const query = {
      signal: this.#abort.signal,
      limit: PAGE,
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
    const seen = new Map<string, T>();
    let page = await this.#client.list<T>(this.resource, namespace, query);
    for (;;) {
      for (const item of page.items) seen.set(keyOf(item), item);
      if (page.continue === undefined) break;
      page = await this.#client.list<T>(this.resource, namespace, { ...query, continue: page.continue });
    }
    for (const key of this.#store.keys()) if (!seen.has(key)) this.#removed(key);
    for (const [key, object] of seen) this.#changed(key, object);
    this.#resourceVersion = page.resourceVersion;
    this.#isSynced = true;
    this.#synced.resolve(undefined);
  }

  async #watch(): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const options = {
      resourceVersion: this.#resourceVersion ?? '',
      // Spread, so that a process's watches do not all end at once.
      timeoutSeconds: Math.round(240 + 240 * Math.random()),
      signal: this.#abort.signal,
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
    await this.#client.watch<T>(this.resource, namespace, options, (event) => {
      this.#onWatchEvent(event);
    });
  }

  #onWatchEvent(event: WatchEvent<T>): void {
    const { object } = event;
    const version = object.metadata.resourceVersion;
    if (event.type === 'DELETED') this.#removed(keyOf(object), object);
    else if (event.type !== 'BOOKMARK') this.#changed(keyOf(object), object);
    if (version !== undefined) this.#resourceVersion = version;
  }

  #changed(key: string, incoming: T): void {
    const known = this.#store.get(key);
    const sameVersion = known?.metadata.resourceVersion === incoming.metadata.resourceVersion;
    if (known !== undefined && sameVersion && known.metadata.uid === incoming.metadata.uid) return;
    const object = this.#keepable(incoming);
    const old = this.#store.put(key, object);
    if (old === undefined) this.#tell({ type: 'added', object });
    else if (old.metadata.uid === object.metadata.uid) this.#tell({ type: 'updated', object, old });
    else {
      // Deleted and made again while we were not looking: two lives, two events.
      this.#tell({ type: 'deleted', object: old });
      this.#tell({ type: 'added', object });
    }
  }

  #removed(key: string, last?: T): void {
    const old = this.#store.remove(key);
    if (old !== undefined) this.#tell({ type: 'deleted', object: last === undefined ? old : this.#keepable(last) });
  }

  #keepable(object: T): T {
    const kept = (this.#options.transform ?? withoutManagedFields)(object);
    return process.env['NODE_ENV'] === 'test' ? deepFreeze(kept) : kept;
  }

  #tell(event: InformerEvent<T>): void {
    for (const handler of this.#handlers) this.#call(handler, event);
  }

  #call(handler: (event: InformerEvent<T>) => void, event: InformerEvent<T>): void {
    try {
      handler(event);
    } catch (error) {
      this.#options.log?.error(
        { err: error, resource: resourceName(this.resource) },
        'a handler of the informer threw',
      );
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#abort.signal }).catch(() => undefined);
  }
}

/** managedFields are often half an object's size, and nobody here reads them. */
export function withoutManagedFields<T extends KubeObject>(object: T): T {
  delete object.metadata.managedFields;
  return object;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
