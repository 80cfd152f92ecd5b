// The documents by which clients and the API server learn what is here.
import type { Route } from './routes.ts';
import { GROUP, VERSIONS } from './target.ts';

const KINDS: Readonly<Record<string, string>> = {
  virtualmachines: 'VirtualMachine',
  virtualmachineinstances: 'VirtualMachineInstance',
};
const VERBS = { GET: 'get', PUT: 'update' } as const;

export function rootPaths(): unknown {
  const versions = VERSIONS.map((version) => `/apis/${GROUP}/${version}`);
  return { paths: ['/apis', '/apis/', '/healthz', '/openapi/v2', '/openapi/v3', `/apis/${GROUP}`, ...versions] };
}

export function apiGroup(): Record<string, unknown> {
  const versions = VERSIONS.map((version) => ({ groupVersion: `${GROUP}/${version}`, version }));
  return { kind: 'APIGroup', apiVersion: 'v1', name: GROUP, versions, preferredVersion: versions[0] };
}

export function apiGroupList(): unknown {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: [apiGroup()] };
}

/** Only what an enabled plugin provides: what answers 501 is not offered. */
export function apiResourceList(version: string, routes: readonly Route[]): unknown {
  const resources = new Map<string, { name: string; kind: string; verbs: Set<string> }>();
  for (const { resource, path, method } of routes) {
    const name = `${resource}/${path.split('/', 1)[0] ?? ''}`;
    const entry = resources.get(name) ?? { name, kind: KINDS[resource] ?? '', verbs: new Set<string>() };
    entry.verbs.add(VERBS[method]);
    resources.set(name, entry);
  }
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: `${GROUP}/${version}`,
    resources: [...resources.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, kind, verbs }) => ({ name, singularName: '', namespaced: true, kind, verbs: [...verbs] })),
  };
}

/** There are no kinds here for `kubectl explain`; an empty document keeps clients and the API server content. */
export function openapiV2(version: string): unknown {
  return { swagger: '2.0', info: { title: 'KubeVirt subresources', version }, paths: {}, definitions: {} };
}

export function openapiV3(): unknown {
  return { paths: {} };
}
