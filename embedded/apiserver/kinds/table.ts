// The built-in kinds, as data.

export interface BuiltIn {
  group: string;
  version: string;
  kind: string;
  plural: string;
  /** Cluster-scoped unless set. */
  namespaced?: true;
  shortNames?: string[];
  categories?: string[];
  /** The name of its schema in schemas.json. */
  model: string;
  status?: true;
  subresources?: string[];
  /** Dotted paths for field selectors. */
  selectable?: string[];
  generation?: true;
  review?: true;
  keepsStatus?: true;
}

const EVENT_FIELDS = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
  (field) => `involvedObject.${field}`,
);

const CORE: BuiltIn[] = [
  {
    ...{ group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', model: 'V1Namespace' },
    ...{ shortNames: ['ns'], status: true, subresources: ['finalize'], selectable: ['status.phase'] },
  },
  {
    ...{ group: '', version: 'v1', kind: 'Pod', plural: 'pods', model: 'V1Pod', namespaced: true },
    ...{ shortNames: ['po'], categories: ['all'], status: true },
    subresources: ['log', 'exec', 'attach', 'portforward', 'binding', 'eviction'],
    selectable: [
      ...['spec.nodeName', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName', 'spec.hostNetwork'],
      ...['status.phase', 'status.podIP', 'status.nominatedNodeName'],
    ],
  },
  {
    ...{ group: '', version: 'v1', kind: 'Node', plural: 'nodes', model: 'V1Node', shortNames: ['no'] },
    ...{ status: true, keepsStatus: true, selectable: ['spec.unschedulable'] },
  },
  {
    ...{ group: '', version: 'v1', kind: 'Event', plural: 'events', model: 'CoreV1Event', namespaced: true },
    ...{ shortNames: ['ev'], selectable: [...EVENT_FIELDS, 'reason', 'type', 'source', 'reportingComponent'] },
  },
  {
    ...{ group: '', version: 'v1', kind: 'Secret', plural: 'secrets', model: 'V1Secret', namespaced: true },
    selectable: ['type'],
  },
  {
    ...{ group: '', version: 'v1', kind: 'ConfigMap', plural: 'configmaps', model: 'V1ConfigMap', namespaced: true },
    shortNames: ['cm'],
  },
  {
    ...{ group: '', version: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', model: 'V1ServiceAccount' },
    ...{ namespaced: true, shortNames: ['sa'] },
  },
  {
    ...{ group: '', version: 'v1', kind: 'Service', plural: 'services', model: 'V1Service', namespaced: true },
    ...{ shortNames: ['svc'], categories: ['all'], status: true, selectable: ['spec.clusterIP', 'spec.type'] },
  },
  {
    ...{ group: '', version: 'v1', kind: 'Endpoints', plural: 'endpoints', model: 'V1Endpoints', namespaced: true },
    shortNames: ['ep'],
  },
  {
    ...{ group: '', version: 'v1', kind: 'PersistentVolume', plural: 'persistentvolumes', model: 'V1PersistentVolume' },
    ...{ shortNames: ['pv'], status: true },
  },
  {
    ...{ group: '', version: 'v1', kind: 'PersistentVolumeClaim', plural: 'persistentvolumeclaims', namespaced: true },
    ...{ model: 'V1PersistentVolumeClaim', shortNames: ['pvc'], status: true },
  },
  {
    ...{ group: '', version: 'v1', kind: 'ResourceQuota', plural: 'resourcequotas', model: 'V1ResourceQuota' },
    ...{ namespaced: true, shortNames: ['quota'], status: true },
  },
  {
    ...{ group: '', version: 'v1', kind: 'LimitRange', plural: 'limitranges', model: 'V1LimitRange' },
    ...{ namespaced: true, shortNames: ['limits'] },
  },
];

const RBAC: BuiltIn[] = [
  { kind: 'Role', plural: 'roles', namespaced: true as const },
  { kind: 'RoleBinding', plural: 'rolebindings', namespaced: true as const },
  { kind: 'ClusterRole', plural: 'clusterroles' },
  { kind: 'ClusterRoleBinding', plural: 'clusterrolebindings' },
].map((entry) => ({ ...entry, group: 'rbac.authorization.k8s.io', version: 'v1', model: `V1${entry.kind}` }));

const REVIEWS: BuiltIn[] = [
  { group: 'authentication.k8s.io', kind: 'TokenReview', plural: 'tokenreviews' },
  { group: 'authentication.k8s.io', kind: 'SelfSubjectReview', plural: 'selfsubjectreviews' },
  { group: 'authorization.k8s.io', kind: 'SubjectAccessReview', plural: 'subjectaccessreviews' },
  { group: 'authorization.k8s.io', kind: 'SelfSubjectAccessReview', plural: 'selfsubjectaccessreviews' },
  { group: 'authorization.k8s.io', kind: 'SelfSubjectRulesReview', plural: 'selfsubjectrulesreviews' },
  {
    ...{ group: 'authorization.k8s.io', kind: 'LocalSubjectAccessReview', plural: 'localsubjectaccessreviews' },
    namespaced: true as const,
  },
].map((entry) => ({ ...entry, version: 'v1', model: `V1${entry.kind}`, review: true as const }));

export const BUILT_IN: BuiltIn[] = [
  ...CORE,
  {
    ...{ group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', model: 'EventsV1Event' },
    ...{ namespaced: true, shortNames: ['ev'], selectable: [...EVENT_FIELDS, 'reason', 'type', 'source'] },
  },
  {
    ...{ group: 'coordination.k8s.io', version: 'v1', kind: 'Lease', plural: 'leases', model: 'V1Lease' },
    namespaced: true,
  },
  {
    ...{ group: 'apps', version: 'v1', kind: 'ControllerRevision', plural: 'controllerrevisions', namespaced: true },
    model: 'V1ControllerRevision',
  },
  {
    ...{ group: 'policy', version: 'v1', kind: 'PodDisruptionBudget', plural: 'poddisruptionbudgets' },
    ...{ model: 'V1PodDisruptionBudget', namespaced: true, shortNames: ['pdb'], status: true, generation: true },
  },
  {
    ...{ group: 'scheduling.k8s.io', version: 'v1', kind: 'PriorityClass', plural: 'priorityclasses' },
    ...{ model: 'V1PriorityClass', shortNames: ['pc'] },
  },
  {
    ...{ group: 'storage.k8s.io', version: 'v1', kind: 'StorageClass', plural: 'storageclasses' },
    ...{ model: 'V1StorageClass', shortNames: ['sc'] },
  },
  {
    ...{ group: 'apiextensions.k8s.io', version: 'v1', kind: 'CustomResourceDefinition', status: true },
    ...{ plural: 'customresourcedefinitions', model: 'V1CustomResourceDefinition', shortNames: ['crd', 'crds'] },
    ...{ categories: ['api-extensions'], generation: true },
  },
  {
    ...{ group: 'apiregistration.k8s.io', version: 'v1', kind: 'APIService', plural: 'apiservices', status: true },
    ...{ model: 'V1APIService', categories: ['api-extensions'] },
  },
  {
    ...{ group: 'admissionregistration.k8s.io', version: 'v1', kind: 'MutatingWebhookConfiguration' },
    ...{ plural: 'mutatingwebhookconfigurations', model: 'V1MutatingWebhookConfiguration', generation: true },
    categories: ['api-extensions'],
  },
  {
    ...{ group: 'admissionregistration.k8s.io', version: 'v1', kind: 'ValidatingWebhookConfiguration' },
    ...{ plural: 'validatingwebhookconfigurations', model: 'V1ValidatingWebhookConfiguration', generation: true },
    categories: ['api-extensions'],
  },
  ...RBAC,
  ...REVIEWS,
];
