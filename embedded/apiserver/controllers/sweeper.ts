// Deletes what lost its reason to be: dependents of deleted owners, the content of deleted namespaces and CRDs, old events.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { RevisionConflict } from '../../store/store.ts';
import type { Environment } from '../environment.ts';
import { deleteObject, deleteOptions, FOREGROUND, ORPHAN } from '../handlers/delete.ts';
import { isFinished } from '../handlers/update.ts';
import { asArray, asString, at, equal } from '../json.ts';
import { customKind } from '../kinds/custom.ts';
import type { Kind, Served } from '../kinds/kind.ts';
import { CRD_STORAGE } from '../kinds/registry.ts';
import { metadataForCreate } from '../metadata.ts';
import { ApiError } from '../status.ts';
import { CRD_FINALIZER } from '../strategy/crds.ts';
import { MASTERS } from '../user.ts';

const EVENT_LIFE_MS = 60 * 60_000;
const EVENTS_EVERY_MS = 60_000;
/** An owner may be made a moment after what it owns (restored backups): absent owners get this long. */
const ORPHAN_GRACE_MS = 2000;
const RETRY_MS = 1000;
const USER = { name: 'system:serviceaccount:kube-system:generic-garbage-collector', groups: [MASTERS] };

export class Sweeper {
  readonly #env: Environment;
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopped = false;
  #unsubscribe: (() => void) | undefined;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** Follows every change from now on, and takes up what an earlier run left undone. */
  start(): void {
    const { store } = this.#env;
    this.#unsubscribe = store.onChange((storage, change) => {
      const { object, type } = change;
      if (type === 'DELETED') this.#soon(() => this.#ownerGone(object));
      else this.#look(storage, object, type === 'ADDED');
      if (type === 'DELETED') this.#afterDeletion(storage, object);
    });
    for (const storage of store.resources()) {
      for (const object of store.list(storage)) this.#look(storage, object, true);
    }
    const timer = setInterval(() => {
      this.#soon(() => this.#expireEvents());
    }, EVENTS_EVERY_MS);
    this.#timers.add(timer);
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe?.();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #look(storage: string, object: KubeObject, isNew: boolean): void {
    const { deletionTimestamp, finalizers = [], ownerReferences = [] } = object.metadata;
    if (isNew && ownerReferences.length > 0) this.#later(ORPHAN_GRACE_MS, () => this.#checkOwners(storage, object));
    if (storage === '/namespaces' && deletionTimestamp === undefined && isNew) this.#soon(() => this.#furnish(object));
    if (deletionTimestamp === undefined) return;
    if (storage === '/namespaces') this.#soon(() => this.#emptyNamespace(object));
    if (storage === CRD_STORAGE && finalizers.includes(CRD_FINALIZER)) this.#soon(() => this.#emptyCrd(object));
    if (finalizers.includes(FOREGROUND)) this.#soon(() => this.#deleteForeground(storage, object));
    if (finalizers.includes(ORPHAN)) this.#soon(() => this.#orphanDependents(storage, object));
  }

  /** Something is gone: who waited for it, a namespace to be empty or an owner with foreground deletion, looks again. */
  #afterDeletion(storage: string, object: KubeObject): void {
    const { store } = this.#env;
    const namespace = store.get('/namespaces', '', object.metadata.namespace ?? '');
    if (namespace?.metadata.deletionTimestamp !== undefined) this.#soon(() => this.#emptyNamespace(namespace));
    for (const reference of object.metadata.ownerReferences ?? []) {
      const kind = this.#ownerKind(reference.apiVersion, reference.kind);
      const scope = kind?.namespaced === true ? (object.metadata.namespace ?? '') : '';
      const owner = kind === undefined ? undefined : store.get(kind.storage, scope, reference.name);
      if (kind !== undefined && owner?.metadata.finalizers?.includes(FOREGROUND) === true) {
        this.#soon(() => this.#deleteForeground(kind.storage, owner));
      }
    }
    for (const crd of store.list(CRD_STORAGE)) {
      const isWaiting = crd.metadata.deletionTimestamp !== undefined && customKind(crd)?.storage === storage;
      if (isWaiting) this.#soon(() => this.#emptyCrd(crd));
    }
  }

  async #ownerGone(owner: KubeObject): Promise<void> {
    for (const { resource, object } of this.#env.store.dependents(owner.metadata.uid ?? '')) {
      await this.#checkOwners(resource, object);
    }
  }

  /** Deletes an object none of whose owners is left; drops references to owners that are gone otherwise. */
  async #checkOwners(storage: string, object: KubeObject): Promise<void> {
    const { store } = this.#env;
    const { namespace = '', name = '' } = object.metadata;
    const now = store.get(storage, namespace, name);
    if (now === undefined || now.metadata.uid !== object.metadata.uid) return;
    const references = now.metadata.ownerReferences ?? [];
    if (references.length === 0) return;
    const left = references.filter((reference) => {
      const kind = this.#ownerKind(reference.apiVersion, reference.kind);
      // A kind that is not served (any more) says nothing about its objects.
      if (kind === undefined) return true;
      return store.get(kind.storage, kind.namespaced ? namespace : '', reference.name)?.metadata.uid === reference.uid;
    });
    if (left.length === references.length) return;
    if (left.length > 0) {
      store.update(storage, now, { ...now, metadata: { ...now.metadata, ownerReferences: left } });
      return;
    }
    await this.#delete(storage, now, 'Background');
  }

  async #deleteForeground(storage: string, owner: KubeObject): Promise<void> {
    const { store } = this.#env;
    const { namespace = '', name = '', uid = '' } = owner.metadata;
    const dependents = store.dependents(uid);
    for (const { resource, object } of dependents) {
      if (object.metadata.deletionTimestamp === undefined) await this.#delete(resource, object, 'Foreground');
    }
    const isBlocked = store
      .dependents(uid)
      .some(({ object }) =>
        (object.metadata.ownerReferences ?? []).some((each) => each.uid === uid && each.blockOwnerDeletion === true),
      );
    const now = store.get(storage, namespace, name);
    if (!isBlocked && now?.metadata.uid === uid) this.#dropFinalizer(storage, now, FOREGROUND);
  }

  #orphanDependents(storage: string, owner: KubeObject): void {
    const { store } = this.#env;
    const { namespace = '', name = '', uid = '' } = owner.metadata;
    for (const { resource, object } of store.dependents(uid)) {
      const { ownerReferences = [], ...rest } = object.metadata;
      const left = ownerReferences.filter((reference) => reference.uid !== uid);
      const metadata = left.length === 0 ? rest : { ...rest, ownerReferences: left };
      store.update(resource, object, { ...object, metadata });
    }
    const now = store.get(storage, namespace, name);
    if (now?.metadata.uid === uid) this.#dropFinalizer(storage, now, ORPHAN);
  }

  async #emptyNamespace(namespace: KubeObject): Promise<void> {
    const { store } = this.#env;
    const { name = '', uid } = namespace.metadata;
    for (const storage of store.resources()) {
      for (const object of store.list(storage, name)) {
        if (object.metadata.deletionTimestamp === undefined) await this.#delete(storage, object, 'Background');
      }
    }
    const left = store.resources().some((storage) => store.list(storage, name).length > 0);
    const now = store.get('/namespaces', '', name);
    if (left || now?.metadata.uid !== uid || now === undefined) return;
    const spec = asArray(at(now, 'spec.finalizers')).filter((finalizer) => finalizer !== 'kubernetes');
    if (spec.length === 0 && (now.metadata.finalizers ?? []).length === 0) store.delete('/namespaces', now);
  }

  async #emptyCrd(crd: KubeObject): Promise<void> {
    const { store } = this.#env;
    const now = store.get(CRD_STORAGE, '', crd.metadata.name ?? '');
    const storage = customKind(crd)?.storage;
    if (now === undefined || now.metadata.uid !== crd.metadata.uid || storage === undefined) return;
    for (const object of store.list(storage)) {
      if (object.metadata.deletionTimestamp === undefined) await this.#delete(storage, object, 'Background');
    }
    const latest = store.get(CRD_STORAGE, '', crd.metadata.name ?? '');
    if (store.count(storage) === 0 && latest !== undefined) this.#dropFinalizer(CRD_STORAGE, latest, CRD_FINALIZER);
  }

  /** What every namespace has: a default service account. */
  #furnish(namespace: KubeObject): void {
    const { store, registry } = this.#env;
    const { name = '' } = namespace.metadata;
    const kind = registry.byPlural('', 'serviceaccounts');
    const now = store.get('/namespaces', '', name);
    if (kind === undefined || now === undefined || store.get(kind.storage, name, 'default') !== undefined) return;
    const metadata = metadataForCreate({ name: 'default' }, name, kind);
    store.create(kind.storage, { apiVersion: 'v1', kind: kind.kind, metadata });
  }

  async #expireEvents(): Promise<void> {
    for (const event of this.#env.store.list('/events')) {
      const last = at(event, 'series.lastObservedTime') ?? event['lastTimestamp'] ?? event.metadata.creationTimestamp;
      if (Date.now() - Date.parse(asString(last)) > EVENT_LIFE_MS) await this.#delete('/events', event, 'Background');
    }
  }

  #dropFinalizer(storage: string, object: KubeObject, finalizer: string): void {
    const { finalizers = [], ...rest } = object.metadata;
    const left = finalizers.filter((each) => each !== finalizer);
    if (equal(left, finalizers)) return;
    const next = { ...object, metadata: left.length === 0 ? rest : { ...rest, finalizers: left } };
    const served = this.#servedOf(storage);
    if (served !== undefined && isFinished(next, served)) this.#env.store.delete(storage, object);
    else this.#env.store.update(storage, object, next);
  }

  async #delete(storage: string, object: KubeObject, propagationPolicy: string): Promise<void> {
    const served = this.#servedOf(storage);
    if (served === undefined) return;
    const options = deleteOptions(new URLSearchParams(), { propagationPolicy });
    try {
      await deleteObject(this.#env, { user: USER, warnings: [] }, object, served, options);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const { namespace, name } = object.metadata;
      this.#env.log.warn({ storage, namespace, name, error: error.message }, 'an object could not be swept away yet');
      this.#later(RETRY_MS, () => this.#retry(storage, object));
    }
  }

  /** Does again what led to a failed deletion, which may have lost its reason meanwhile. */
  async #retry(storage: string, object: KubeObject): Promise<void> {
    const { store } = this.#env;
    const { namespace = '', name = '' } = object.metadata;
    const now = store.get(storage, namespace, name);
    if (now === undefined || now.metadata.uid !== object.metadata.uid) return;
    await this.#checkOwners(storage, now);
    const home = store.get('/namespaces', '', namespace);
    if (home?.metadata.deletionTimestamp !== undefined) await this.#emptyNamespace(home);
    for (const crd of store.list(CRD_STORAGE)) {
      if (crd.metadata.deletionTimestamp !== undefined) await this.#emptyCrd(crd);
    }
  }

  #servedOf(storage: string): Served | undefined {
    const [group = '', plural = ''] = storage.split('/');
    const kind = this.#env.registry.byPlural(group, plural);
    const version = kind?.versions[0];
    return kind === undefined || version === undefined ? undefined : { kind, version };
  }

  #ownerKind(apiVersion: string, kind: string): Kind | undefined {
    const parts = apiVersion.split('/');
    return this.#env.registry.byKind(parts.length > 1 ? (parts[0] ?? '') : '', kind);
  }

  #soon(work: () => Promise<void> | void): void {
    this.#later(0, work);
  }

  #later(ms: number, work: () => Promise<void> | void): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#run(work);
    }, ms);
    this.#timers.add(timer);
  }

  async #run(work: () => Promise<void> | void): Promise<void> {
    if (this.#stopped) return;
    try {
      await work();
    } catch (error) {
      if (this.#stopped) return;
      if (!(error instanceof RevisionConflict)) this.#env.log.error({ error }, 'the sweeper failed; it tries again');
      this.#later(error instanceof RevisionConflict ? 0 : RETRY_MS, work);
    }
  }
}
