// What a fresh cluster holds: its namespaces, the default roles, the priority classes.
import type { KubeObject } from '../../core/kube/objects.ts';
import type { Store } from '../store/store.ts';
import { metadataForCreate } from './metadata.ts';
import type { JsonObject } from './json.ts';
import type { Registry } from './kinds/registry.ts';

const RBAC = 'rbac.authorization.k8s.io';
const ALL = ['*'];
const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const NAMESPACED = [
  ...['pods', 'pods/status', 'pods/log', 'services', 'endpoints', 'configmaps', 'events', 'serviceaccounts'],
  ...['persistentvolumeclaims', 'namespaces', 'resourcequotas', 'limitranges'],
];
const DISCOVERY = [
  '/api',
  '/api/*',
  '/apis',
  '/apis/*',
  '/healthz',
  '/livez',
  '/readyz',
  '/openapi',
  '/openapi/*',
  '/version',
  '/version/',
];

function clusterRole(name: string, rules: JsonObject[]): JsonObject {
  return { kind: 'ClusterRole', plural: 'clusterroles', name, rules };
}

function clusterRoleBinding(name: string, role: string, group: string): JsonObject {
  const roleRef = { apiGroup: RBAC, kind: 'ClusterRole', name: role };
  const subjects = [{ apiGroup: RBAC, kind: 'Group', name: group }];
  return { kind: 'ClusterRoleBinding', plural: 'clusterrolebindings', name, roleRef, subjects };
}

const edit: JsonObject[] = [
  { apiGroups: [''], resources: [...NAMESPACED, 'secrets'], verbs: READ },
  {
    apiGroups: [''],
    resources: [...NAMESPACED.filter((each) => each !== 'namespaces'), 'secrets', 'pods/exec', 'pods/attach'],
    verbs: WRITE,
  },
  { apiGroups: [''], resources: ['pods/portforward', 'pods/eviction'], verbs: ['create', 'get'] },
];

const ROLES: JsonObject[] = [
  clusterRole('cluster-admin', [
    { apiGroups: ALL, resources: ALL, verbs: ALL },
    { nonResourceURLs: ALL, verbs: ALL },
  ]),
  clusterRole('system:discovery', [{ nonResourceURLs: DISCOVERY, verbs: ['get'] }]),
  clusterRole('system:basic-user', [
    {
      apiGroups: ['authorization.k8s.io'],
      resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
      verbs: ['create'],
    },
    { apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'] },
  ]),
  clusterRole('view', [{ apiGroups: [''], resources: NAMESPACED, verbs: READ }]),
  clusterRole('edit', edit),
  clusterRole('admin', [
    ...edit,
    { apiGroups: [RBAC], resources: ['roles', 'rolebindings'], verbs: [...READ, ...WRITE] },
  ]),
  clusterRoleBinding('cluster-admin', 'cluster-admin', 'system:masters'),
  clusterRoleBinding('system:discovery', 'system:discovery', 'system:authenticated'),
  clusterRoleBinding('system:basic-user', 'system:basic-user', 'system:authenticated'),
];

/** Makes what is missing; leaves what is there as it is. */
export function bootstrap(store: Store, registry: Registry): void {
  for (const { kind, plural, name, ...content } of ROLES) {
    make(store, registry, `${RBAC}/${String(plural)}`, `${RBAC}/v1`, String(kind), String(name), content);
  }
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    const content = { spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } };
    make(store, registry, '/namespaces', 'v1', 'Namespace', name, content, { 'kubernetes.io/metadata.name': name });
  }
  for (const [name, value] of [
    ['system-cluster-critical', 2_000_000_000],
    ['system-node-critical', 2_000_001_000],
  ] as const) {
    const content = { value, preemptionPolicy: 'PreemptLowerPriority' };
    make(store, registry, 'scheduling.k8s.io/priorityclasses', 'scheduling.k8s.io/v1', 'PriorityClass', name, content);
  }
}

function make(
  store: Store,
  registry: Registry,
  storage: string,
  apiVersion: string,
  kind: string,
  name: string,
  content: JsonObject,
  labels?: Record<string, string>,
): void {
  if (store.get(storage, '', name) !== undefined) return;
  const [group = '', plural = ''] = storage.split('/');
  const known = registry.byPlural(group, plural);
  if (known === undefined) throw new Error(`bootstrap knows a kind that the server does not: ${storage}`);
  const metadata = metadataForCreate({ name, ...(labels ? { labels } : {}) }, '', known);
  const object: KubeObject = { apiVersion, kind, metadata, ...content };
  store.create(storage, object);
}
