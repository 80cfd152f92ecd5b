// What each of our own processes may do: one role and one user each, no more than it needs.
import { apiVersionOf, type KubeObject, type Resource } from '../core/kube/objects.ts';
import type { Host } from '../core/host.ts';
import { PLATFORM_GROUP } from '../core/vmi-admission.ts';
import { VMI_KIND } from '../core/vmi-kind.ts';
import { SUBRESOURCE_GROUP } from './power.ts';

const rbac = (plural: string, kind: string): Resource => ({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural,
  kind,
  namespaced: false,
});
export const CLUSTERROLES = rbac('clusterroles', 'ClusterRole');
export const CLUSTERROLEBINDINGS = rbac('clusterrolebindings', 'ClusterRoleBinding');

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const READ = ['get', 'list', 'watch'];
const EVENTS: Rule = { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch', 'get'] };

/** Our processes. A user of this name in the group of the platform's service accounts. */
export const COMPONENTS = ['controller', 'webhooks', 'subresources', 'agent', 'kubelet', 'scheduler'] as const;
export type Component = (typeof COMPONENTS)[number];

export function identityOf(component: Component): { user: string; groups: string[] } {
  return {
    user: `system:serviceaccount:virtloom:${component}`,
    groups: [PLATFORM_GROUP, 'system:serviceaccounts', 'system:authenticated'],
  };
}

function rulesOf(host: Host): Record<Component, Rule[]> {
  const kinds = [VMI_KIND, ...host.kinds].map(({ resource }) => resource);
  const groups = [...new Set(kinds.map((kind) => kind.group))];
  const plurals = kinds.flatMap((kind) => [kind.plural, `${kind.plural}/status`]);
  const vmis = { apiGroups: [VMI_KIND.resource.group], resources: [VMI_KIND.resource.plural] };
  const pods = { apiGroups: [''], resources: ['pods'] };
  const read = host.reads.map(({ resource }) => ({ apiGroups: [resource.group], resources: [resource.plural] }));
  return {
    controller: [
      ...read.map((rule) => ({ ...rule, verbs: READ })),
      { ...pods, verbs: [...READ, 'create', 'delete'] },
      { apiGroups: groups, resources: plurals, verbs: [...READ, 'create', 'update', 'patch', 'delete'] },
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update', 'patch'] },
      EVENTS,
    ],
    webhooks: [{ apiGroups: groups, resources: plurals, verbs: READ }],
    subresources: [
      { apiGroups: groups, resources: plurals, verbs: [...READ, 'patch', 'update'] },
      { apiGroups: [''], resources: ['nodes'], verbs: ['get'] },
      { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
    ],
    agent: [
      ...read.map((rule) => ({ ...rule, verbs: ['get', 'list'] })),
      { ...vmis, verbs: [...READ, 'patch', 'update'] },
      { ...pods, verbs: READ },
      { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'patch'] },
      EVENTS,
    ],
    kubelet: [
      { ...pods, verbs: [...READ, 'delete'] },
      { apiGroups: [''], resources: ['pods/status', 'nodes/status'], verbs: ['get', 'update', 'patch'] },
      { apiGroups: [''], resources: ['nodes'], verbs: [...READ, 'create', 'update', 'patch'] },
      { apiGroups: [''], resources: ['secrets', 'configmaps', 'services', 'serviceaccounts'], verbs: READ },
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update', 'patch'] },
      EVENTS,
    ],
    scheduler: [
      { ...pods, verbs: READ },
      { apiGroups: [''], resources: ['pods/binding', 'bindings'], verbs: ['create'] },
      { apiGroups: [''], resources: ['pods/status'], verbs: ['update', 'patch'] },
      { apiGroups: [''], resources: ['nodes'], verbs: READ },
      EVENTS,
    ],
  };
}

/** A cluster-wide object of this kind and name. */
export function object(resource: Resource, name: string, rest: object, labels?: Record<string, string>): KubeObject {
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    metadata: { name, ...(labels ? { labels } : {}) },
    ...rest,
  };
}

export function componentRoles(host: Host): { roles: KubeObject[]; bindings: KubeObject[] } {
  const rules = rulesOf(host);
  return {
    roles: COMPONENTS.map((component) => object(CLUSTERROLES, `virtloom:${component}`, { rules: rules[component] })),
    bindings: COMPONENTS.map((component) =>
      object(CLUSTERROLEBINDINGS, `virtloom:${component}`, {
        roleRef: { apiGroup: CLUSTERROLES.group, kind: CLUSTERROLES.kind, name: `virtloom:${component}` },
        subjects: [{ apiGroup: CLUSTERROLES.group, kind: 'User', name: identityOf(component).user }],
      }),
    ),
  };
}

/** KubeVirt's roles for people, aggregated to Kubernetes' admin, edit and view. */
export function userRoles(host: Host): KubeObject[] {
  const all = [VMI_KIND, ...host.kinds].map(({ resource }) => resource);
  const ruled = ({ group, plural }: Resource) => ({ apiGroups: [group], resources: [plural] });
  const kinds = all.filter((resource) => resource.namespaced).map(ruled);
  // What holds for the whole cluster is its administrator's; others may look.
  const readable = all.map((resource): Rule => ({ ...ruled(resource), verbs: READ }));
  const streams = ['console', 'vnc'].map((one) => `${VMI_KIND.resource.plural}/${one}`);
  const verbs = host.verbs.map((verb) => `${verb.resource}/${verb.name.split('/')[0] ?? ''}`);
  const version: Rule = { apiGroups: [SUBRESOURCE_GROUP], resources: ['version'], verbs: ['get'] };
  const use: Rule[] = [
    { apiGroups: [SUBRESOURCE_GROUP], resources: streams, verbs: ['get'] },
    { apiGroups: [SUBRESOURCE_GROUP], resources: [...new Set(verbs)], verbs: ['update'] },
  ];
  const write = [...READ, 'create', 'update', 'patch', 'delete'];
  const role = (name: string, rules: readonly Rule[]): KubeObject =>
    object(
      CLUSTERROLES,
      `kubevirt.io:${name}`,
      { rules },
      { [`rbac.authorization.k8s.io/aggregate-to-${name}`]: 'true' },
    );
  return [
    role('admin', [
      version,
      ...use,
      ...readable,
      ...kinds.map((kind) => ({ ...kind, verbs: [...write, 'deletecollection'] })),
    ]),
    role('edit', [version, ...use, ...readable, ...kinds.map((kind) => ({ ...kind, verbs: write }))]),
    role('view', [version, ...readable]),
  ];
}
