// Objects of the cluster: an in-memory copy for reads and watches in front of the durable database.
import type { KubeObject } from '../../core/kube/objects.ts';
import { Database } from './database.ts';
import { type Change, History } from './history.ts';

export type { Change } from './history.ts';

/** The object changed, or went, between the caller's read and its write. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
}

type Listener = (change: Change) => void;

interface Shelf {
  /** Keyed `namespace/name`; cluster-scoped objects have an empty namespace. */
  readonly objects: Map<string, KubeObject>;
  readonly history: History;
  readonly listeners: Set<Listener>;
}

const EXPIRE_EVERY_MS = 30_000;

/**
 * Objects handed out are shared: nobody may change them. Writes are synchronous (the caller checks and writes in one
 * turn of the event loop); `durable()` resolves once they are on the disk, and answers wait for it.
 */
export class Store {
  readonly #database: Database;
  readonly #shelves = new Map<string, Shelf>();
  readonly #startRevision: number;
  readonly #dependents = new Map<string, Set<string>>();
  readonly #anyListeners = new Set<(resource: string, change: Change) => void>();
  readonly #timer: NodeJS.Timeout;
  #revision: number;

  constructor(file: string) {
    this.#database = new Database(file);
    this.#revision = this.#database.revision();
    this.#startRevision = this.#revision;
    for (const row of this.#database.rows()) {
      const object = JSON.parse(row.body) as KubeObject;
      this.#shelf(row.resource).objects.set(`${row.namespace}/${row.name}`, object);
      this.#index(row.resource, undefined, object);
    }
    this.#timer = setInterval(() => {
      const now = Date.now();
      for (const shelf of this.#shelves.values()) shelf.history.expire(now);
    }, EXPIRE_EVERY_MS);
    this.#timer.unref();
  }

  /** The revision of the latest write. */
  get revision(): number {
    return this.#revision;
  }

  /** @param resource the storage key of a resource: `group/plural`. */
  get(resource: string, namespace: string, name: string): KubeObject | undefined {
    return this.#shelves.get(resource)?.objects.get(`${namespace}/${name}`);
  }

  /** Objects ordered by namespace and name; `namespace` undefined means all. */
  list(resource: string, namespace?: string): KubeObject[] {
    const shelf = this.#shelves.get(resource);
    if (shelf === undefined) return [];
    const prefix = namespace === undefined ? '' : `${namespace}/`;
    const keys = [...shelf.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    return keys.flatMap((key) => shelf.objects.get(key) ?? []);
  }

  count(resource: string): number {
    return this.#shelves.get(resource)?.objects.size ?? 0;
  }

  /** Storage keys of every resource that has, or had, objects. */
  resources(): string[] {
    return [...this.#shelves.keys()];
  }

  /** Writes a new object and gives it its resourceVersion. The name must be free. */
  create(resource: string, object: KubeObject): KubeObject {
    const key = keyOf(object);
    if (this.#shelf(resource).objects.has(key)) throw new RevisionConflict(`${resource} ${key} is already there`);
    return this.#write(resource, undefined, object);
  }

  /** Replaces `old`, which must be what `get` answers now. */
  update(resource: string, old: KubeObject, object: KubeObject): KubeObject {
    this.#expect(resource, old);
    return this.#write(resource, old, object);
  }

  /** Removes `old`; answers its last state, which carries the deletion's revision. */
  delete(resource: string, old: KubeObject): KubeObject {
    this.#expect(resource, old);
    const revision = this.#revision + 1;
    const last = withRevision(old, revision);
    this.#database.remove(resource, old.metadata.namespace ?? '', old.metadata.name ?? '', revision);
    this.#revision = revision;
    this.#shelf(resource).objects.delete(keyOf(old));
    this.#index(resource, old, undefined);
    this.#announce(resource, { type: 'DELETED', revision, object: last, old, at: Date.now() });
    return last;
  }

  durable(): Promise<void> {
    return this.#database.durable();
  }

  /**
   * Calls `listener` with every later change of the resource, at once; answers the changes after `revision` that it
   * missed, or undefined where they are forgotten (the watcher must list again).
   */
  watch(resource: string, revision: number, listener: Listener): { missed: Change[]; stop: () => void } | undefined {
    const shelf = this.#shelf(resource);
    const missed = shelf.history.since(revision);
    if (missed === undefined) return undefined;
    shelf.listeners.add(listener);
    return { missed, stop: () => shelf.listeners.delete(listener) };
  }

  /** Whether every change after `revision` is still known. */
  remembers(resource: string, revision: number): boolean {
    return this.#shelf(resource).history.since(revision) !== undefined;
  }

  /** Called with every change of every resource, from now on. */
  onChange(listener: (resource: string, change: Change) => void): () => void {
    this.#anyListeners.add(listener);
    return () => this.#anyListeners.delete(listener);
  }

  /** Objects whose ownerReferences name this uid, with their resource. */
  dependents(uid: string): { resource: string; object: KubeObject }[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((entry) => {
      const [resource = '', key = ''] = entry.split('\0');
      const object = this.#shelves.get(resource)?.objects.get(key);
      return object === undefined ? [] : [{ resource, object }];
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#database.close();
  }

  #write(resource: string, old: KubeObject | undefined, object: KubeObject): KubeObject {
    const revision = this.#revision + 1;
    const stored = withRevision(object, revision);
    const { namespace = '', name = '' } = stored.metadata;
    this.#database.put({ resource, namespace, name, revision, body: JSON.stringify(stored) });
    this.#revision = revision;
    this.#shelf(resource).objects.set(keyOf(stored), stored);
    this.#index(resource, old, stored);
    const type = old === undefined ? 'ADDED' : 'MODIFIED';
    this.#announce(resource, { type, revision, object: stored, old, at: Date.now() });
    return stored;
  }

  #expect(resource: string, old: KubeObject): void {
    if (this.#shelf(resource).objects.get(keyOf(old)) !== old)
      throw new RevisionConflict(`${resource} ${keyOf(old)} has changed`);
  }

  #announce(resource: string, change: Change): void {
    const shelf = this.#shelf(resource);
    shelf.history.add(change);
    for (const listener of shelf.listeners) listener(change);
    for (const listener of this.#anyListeners) listener(resource, change);
  }

  #index(resource: string, old: KubeObject | undefined, now: KubeObject | undefined): void {
    for (const owner of old?.metadata.ownerReferences ?? []) {
      const set = this.#dependents.get(owner.uid);
      set?.delete(`${resource}\0${keyOf(old as KubeObject)}`);
      if (set?.size === 0) this.#dependents.delete(owner.uid);
    }
    for (const owner of now?.metadata.ownerReferences ?? []) {
      const set = this.#dependents.get(owner.uid) ?? new Set<string>();
      set.add(`${resource}\0${keyOf(now as KubeObject)}`);
      this.#dependents.set(owner.uid, set);
    }
  }

  #shelf(resource: string): Shelf {
    let shelf = this.#shelves.get(resource);
    if (shelf === undefined) {
      shelf = { objects: new Map(), history: new History(this.#startRevision), listeners: new Set() };
      this.#shelves.set(resource, shelf);
    }
    return shelf;
  }
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}

function withRevision(object: KubeObject, revision: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}
