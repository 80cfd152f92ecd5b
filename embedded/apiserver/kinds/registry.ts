// Which kinds are served right now: the built-in ones, and those of the CRDs in the store.
import type { Store } from '../../store/store.ts';
import { asString, at } from '../json.ts';
import { builtInKinds } from './built-in.ts';
import { compareVersions, customKind } from './custom.ts';
import { type Kind, type Served, storageKey } from './kind.ts';

export const CRD_STORAGE = storageKey('apiextensions.k8s.io', 'customresourcedefinitions');

export class Registry {
  readonly #builtIn = builtInKinds();
  readonly #kinds = new Map<string, Kind>();
  #generation = 0;

  constructor(store: Store) {
    for (const kind of this.#builtIn) this.#kinds.set(storageKey(kind.group, kind.plural), kind);
    for (const crd of store.list(CRD_STORAGE)) this.#define(crd, 'ADDED');
    store.onChange((resource, change) => {
      if (resource === CRD_STORAGE) this.#define(change.object, change.type);
    });
  }

  /** Grows with every change of what is served: caches of discovery and OpenAPI depend on it. */
  get generation(): number {
    return this.#generation;
  }

  all(): Kind[] {
    return [...this.#kinds.values()];
  }

  find(group: string, version: string, plural: string): Served | undefined {
    const kind = this.#kinds.get(storageKey(group, plural));
    const served = kind?.versions.find((each) => each.name === version);
    return kind === undefined || served === undefined ? undefined : { kind, version: served };
  }

  byPlural(group: string, plural: string): Kind | undefined {
    return this.#kinds.get(storageKey(group, plural));
  }

  byKind(group: string, kind: string): Kind | undefined {
    return this.all().find((each) => each.group === group && each.kind === kind);
  }

  /** Groups (the core group left out) with their versions, the preferred one first. */
  groups(): Map<string, string[]> {
    const groups = new Map<string, Set<string>>();
    for (const kind of this.all()) {
      if (kind.group === '') continue;
      const versions = groups.get(kind.group) ?? new Set();
      for (const version of kind.versions) versions.add(version.name);
      groups.set(kind.group, versions);
    }
    return new Map([...groups].map(([group, versions]) => [group, [...versions].sort(compareVersions)]));
  }

  #define(crd: Parameters<typeof customKind>[0], change: 'ADDED' | 'MODIFIED' | 'DELETED'): void {
    const key = storageKey(asString(at(crd, 'spec.group')), asString(at(crd, 'spec.names.plural')));
    const kind = change === 'DELETED' ? undefined : customKind(crd);
    if (kind === undefined) this.#kinds.delete(key);
    else this.#kinds.set(key, kind);
    this.#generation += 1;
  }
}
