// The objects that plugins said they read for a VMI, gathered for its plan.
import { fail, messageOf } from './errors.ts';
import type { Host } from './host.ts';
import { isNotFound, type KubeClient } from './kube/client.ts';
import type { Informer } from './kube/informer.ts';
import { apiVersionOf, resourceName, type KubeObject, type Resource } from './kube/objects.ts';
import type { Read } from './plugin.ts';
import type { Vmi } from './types.ts';

/** Where objects are looked up. What does not exist, or is of a kind that the cluster does not have, is not found. */
export interface ObjectSource {
  get(resource: Resource, namespace: string | undefined, name: string): Promise<KubeObject | undefined>;
  list(resource: Resource): Promise<readonly KubeObject[]>;
}

/** Asks the API server each time. */
export function fromClient(client: KubeClient): ObjectSource {
  const unlessFound = <T>(instead: T) => {
    return (error: unknown): T => {
      if (isNotFound(error)) return instead;
      throw error;
    };
  };
  return {
    get: (resource, namespace, name) => client.get(resource, namespace, name).catch(unlessFound(undefined)),
    list: async (resource) => (await client.list(resource, undefined).catch(unlessFound({ items: [] }))).items,
  };
}

/** Looks into caches that have been filled, and asks `other` until they are. */
export function fromInformers(
  informer: (resource: Resource) => Informer<KubeObject>,
  other: ObjectSource,
): ObjectSource {
  return {
    async get(resource, namespace, name) {
      const cache = informer(resource);
      return cache.isSynced ? cache.get(namespace, name) : other.get(resource, namespace, name);
    },
    async list(resource) {
      const cache = informer(resource);
      return cache.isSynced ? cache.list() : other.list(resource);
    },
  };
}

/** A manifest file's objects. */
export function fromObjects(objects: readonly KubeObject[]): ObjectSource {
  const of = (resource: Resource) =>
    objects.filter((one) => one.kind === resource.kind && one.apiVersion === apiVersionOf(resource));
  return {
    get: async (resource, namespace, name) =>
      of(resource).find(
        ({ metadata }) =>
          metadata.name === name && (!resource.namespaced || (metadata.namespace ?? 'default') === namespace),
      ),
    list: async (resource) => of(resource),
  };
}

/** Every object that a plugin reads for this VMI and that exists, once. Throws VL_TAP_FAILED where a plugin cannot say which. */
export async function readObjects(host: Host, vmi: Vmi, source: ObjectSource): Promise<KubeObject[]> {
  const wanted = new Map<string, Promise<readonly KubeObject[]>>();
  for (const read of host.reads) {
    const { resource } = read;
    const kind = resourceName(resource);
    const named = namesOf(read, vmi);
    if (named === 'all') {
      wanted.set(kind, source.list(resource));
      continue;
    }
    for (const { namespace, name } of named) {
      const key = `${kind}/${namespace ?? ''}/${name}`;
      if (wanted.has(key)) continue;
      wanted.set(
        key,
        source.get(resource, namespace, name).then((found) => (found ? [found] : [])),
      );
    }
  }
  const found = new Map<string, KubeObject>();
  for (const [key, objects] of wanted) {
    const [kind = ''] = key.split('/');
    const resource = host.reads.find((read) => resourceName(read.resource) === kind)?.resource;
    for (const object of await objects) {
      const { namespace = '', name = '' } = object.metadata;
      // Items of a list need not say what they are.
      const whole = resource ? { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind } : object;
      found.set(`${kind}/${namespace}/${name}`, whole);
    }
  }
  return [...found.values()];
}

/** Whether the VMI's plan depends on this object. */
export function isReadBy(host: Host, vmi: Vmi, resource: Resource, { metadata }: KubeObject): boolean {
  return host.reads.some((read) => {
    if (resourceName(read.resource) !== resourceName(resource)) return false;
    try {
      const named = namesOf(read, vmi);
      if (named === 'all') return true;
      return named.some((one) => one.name === metadata.name && one.namespace === metadata.namespace);
    } catch {
      // Told when the VMI is planned.
      return false;
    }
  });
}

function namesOf(read: Read & { readonly plugin: string }, vmi: Vmi): ReturnType<Read['of']> {
  try {
    const named = read.of(vmi);
    if (named === 'all' || !read.resource.namespaced) return named;
    return named.map(({ namespace = vmi.metadata.namespace ?? '', name }) => ({ namespace, name }));
  } catch (error) {
    throw fail('VL_TAP_FAILED', { hook: 'reads', plugin: read.plugin, cause: messageOf(error) }, error);
  }
}
