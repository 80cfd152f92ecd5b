// Tells clients what is served: /version, /api, /apis, the resources of each version, and all at once (aggregated).
import type { Environment } from './environment.ts';
import { asArray, asObject, asString, at, type JsonObject } from './json.ts';
import { type Kind, storageKey, type Version } from './kinds/kind.ts';

export const API_SERVICES = storageKey('apiregistration.k8s.io', 'apiservices');

/** What the server claims to be: clients choose their behaviour by it. */
export const VERSION = {
  ...{ major: '1', minor: '32', gitVersion: 'v1.32.0+virtloom', gitCommit: '', gitTreeState: 'clean' },
  ...{ buildDate: '2024-12-11T00:00:00Z', goVersion: 'none', compiler: 'node', platform: 'linux/amd64' },
};

const ALL_VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const PART_VERBS = ['get', 'patch', 'update'];

/** Subresources that are not status or scale: verbs, and the kind their bodies have. */
const SUBRESOURCES: Record<string, { verbs: string[]; kind: string; group?: string; version?: string }> = {
  log: { verbs: ['get'], kind: 'Pod' },
  exec: { verbs: ['create', 'get'], kind: 'PodExecOptions' },
  attach: { verbs: ['create', 'get'], kind: 'PodAttachOptions' },
  portforward: { verbs: ['create', 'get'], kind: 'PodPortForwardOptions' },
  binding: { verbs: ['create'], kind: 'Binding' },
  eviction: { verbs: ['create'], kind: 'Eviction', group: 'policy', version: 'v1' },
  finalize: { verbs: ['update'], kind: 'Namespace' },
};

/** An API service that somebody else serves, as its object says. */
export interface Aggregated {
  group: string;
  version: string;
  priority: number;
  object: JsonObject;
}

export function aggregated(env: Environment): Aggregated[] {
  return env.store
    .list(API_SERVICES)
    .filter((object) => at(object, 'spec.service') !== undefined)
    .map((object) => ({
      group: asString(at(object, 'spec.group')),
      version: asString(at(object, 'spec.version')),
      priority: Number(at(object, 'spec.groupPriorityMinimum') ?? 0),
      object,
    }));
}

/** Every group but the core one, with its versions, preferred first. */
function allGroups(env: Environment): Map<string, string[]> {
  const groups = env.registry.groups();
  for (const { group, version } of aggregated(env)) {
    const versions = groups.get(group) ?? [];
    if (!versions.includes(version)) groups.set(group, [...versions, version]);
  }
  return groups;
}

export function groupList(env: Environment): JsonObject {
  const groups = [...allGroups(env)].map(([name, versions]) => groupOf(name, versions));
  return { kind: 'APIGroupList', apiVersion: 'v1', groups };
}

export function oneGroup(env: Environment, name: string): JsonObject | undefined {
  const versions = allGroups(env).get(name);
  return versions === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(name, versions) };
}

function groupOf(name: string, versions: string[]): JsonObject {
  const list = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: list, preferredVersion: list[0] };
}

export function coreVersions(host: string): JsonObject {
  const serverAddressByClientCIDRs = [{ clientCIDR: '0.0.0.0/0', serverAddress: host }];
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs };
}

/** The resources of one group and version; undefined where we serve none there. */
export function resourceList(env: Environment, group: string, version: string): JsonObject | undefined {
  const resources = env.registry
    .all()
    .filter((kind) => kind.group === group)
    .flatMap((kind) => {
      const served = kind.versions.find((each) => each.name === version);
      return served === undefined ? [] : [whole(kind), ...parts(kind, served)];
    });
  if (resources.length === 0) return undefined;
  const groupVersion = group === '' ? version : `${group}/${version}`;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

function verbsOf(kind: Kind): string[] {
  return kind.isReview ? ['create'] : ALL_VERBS;
}

function whole(kind: Kind): JsonObject {
  return {
    ...{ name: kind.plural, singularName: kind.singular, namespaced: kind.namespaced, kind: kind.kind },
    verbs: verbsOf(kind),
    ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
    ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
    storageVersionHash: '',
  };
}

function parts(kind: Kind, version: Version): JsonObject[] {
  const base = { singularName: '', namespaced: kind.namespaced };
  const list: JsonObject[] = [];
  if (version.hasStatus) list.push({ name: `${kind.plural}/status`, ...base, kind: kind.kind, verbs: PART_VERBS });
  if (version.scale !== undefined) {
    const scale = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
    list.push({ name: `${kind.plural}/scale`, ...base, ...scale, verbs: PART_VERBS });
  }
  for (const name of kind.subresources) list.push({ name: `${kind.plural}/${name}`, ...base, ...SUBRESOURCES[name] });
  return list;
}

/** Aggregated discovery: everything under /api or /apis in one answer. `foreign` holds the lists of API services. */
export function discoveryList(
  env: Environment,
  root: 'api' | 'apis',
  version: string,
  foreign: Map<string, JsonObject>,
): JsonObject {
  const groups: [string, string[]][] = root === 'api' ? [['', ['v1']]] : [...allGroups(env)];
  const items = groups.map(([group, versions]) => ({
    metadata: { name: group, creationTimestamp: null },
    versions: versions.map((name) => {
      const own = resourceList(env, group, name);
      const list = own ?? foreign.get(`${group}/${name}`);
      const freshness = list === undefined ? 'Stale' : 'Current';
      return { version: name, resources: toDiscovery(asArray(list?.['resources']), group, name), freshness };
    }),
  }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items };
}

function toDiscovery(resources: unknown[], group: string, version: string): JsonObject[] {
  const all = resources.map(asObject);
  const kindOf = (each: JsonObject): JsonObject => ({
    ...{ group: asString(each['group']) || group, version: asString(each['version']) || version },
    kind: each['kind'],
  });
  return all
    .filter((each) => !asString(each['name']).includes('/'))
    .map((each) => {
      const prefix = `${asString(each['name'])}/`;
      const subresources = all
        .filter((part) => asString(part['name']).startsWith(prefix))
        .map((part) => ({
          subresource: asString(part['name']).slice(prefix.length),
          responseKind: kindOf(part),
          verbs: part['verbs'],
        }));
      return {
        resource: each['name'],
        responseKind: kindOf(each),
        scope: each['namespaced'] === true ? 'Namespaced' : 'Cluster',
        singularResource: each['singularName'],
        verbs: each['verbs'],
        ...(each['shortNames'] === undefined ? {} : { shortNames: each['shortNames'] }),
        ...(each['categories'] === undefined ? {} : { categories: each['categories'] }),
        ...(subresources.length > 0 ? { subresources } : {}),
      };
    });
}
