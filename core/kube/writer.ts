// Writes of what an informer shows: one merge patch each, never over somebody else's, never twice from one look.
import { isConflict, isNotFound, type KubeClient } from './client.ts';
import type { Informer } from './informer.ts';
import type { KubeObject } from './objects.ts';

export interface MergePatch {
  readonly metadata?: object;
  readonly status?: object;
}

/** For reconcilers: what they decide from is the cache, which their own writes run ahead of. */
export class CachedWriter<T extends KubeObject> {
  readonly #client: KubeClient;
  readonly #informer: Informer<T>;
  /** By uid, the version that is known to be written over: until the cache moves on there is nothing to decide. */
  readonly #behind = new Map<string, string>();

  constructor(client: KubeClient, informer: Informer<T>) {
    this.#client = client;
    this.#informer = informer;
    informer.on(({ type, object }) => {
      if (type === 'deleted') this.#behind.delete(object.metadata.uid ?? '');
    });
  }

  /** True while the cache shows a version that is known to be old: the event that it waits for comes. */
  isBehind(object: T): boolean {
    const { uid = '', resourceVersion } = object.metadata;
    if (this.#behind.get(uid) === resourceVersion) return true;
    this.#behind.delete(uid);
    return false;
  }

  /**
   * False where nothing was written: the object is gone, or somebody was quicker and the cache does not know it yet.
   * Throws KubeError; a conflict only where the cache has moved on already, so that no event is left to wait for.
   */
  async write(object: T, patch: MergePatch, subresource?: string): Promise<boolean> {
    const { namespace, name = '', resourceVersion = '', uid = '' } = object.metadata;
    const body = { ...patch, metadata: { ...patch.metadata, resourceVersion } };
    const options = { type: 'merge' as const, ...(subresource === undefined ? {} : { subresource }) };
    try {
      await this.#client.patch(this.#informer.resource, namespace, name, body, options);
    } catch (error) {
      if (isNotFound(error)) return false;
      const cached = this.#informer.get(namespace, name)?.metadata.resourceVersion;
      if (!isConflict(error) || cached !== resourceVersion) throw error;
      this.#behind.set(uid, resourceVersion);
      return false;
    }
    // An object that this write let go is gone from the cache, or will be.
    if (this.#informer.get(namespace, name)?.metadata.uid === uid) this.#behind.set(uid, resourceVersion);
    return true;
  }
}
