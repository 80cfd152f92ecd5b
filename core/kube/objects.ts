// The shapes every Kubernetes object shares, and the resources (URL parts) we talk about.

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  name?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  generateName?: string;
  /** RFC 3339, as on the wire. */
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: unknown[];
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: unknown;
  status?: unknown;
  [key: string]: unknown;
}

/** What a client must know of a kind to reach it without discovery. `group` '' is the core group. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** `apiVersion` as objects of the resource carry it: `v1`, `apps/v1`. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** `<plural>.<group>`, the name under which people and CRDs know a resource. */
export function resourceName(resource: Resource): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
}

/** The URL path of a collection, or of one object (and its subresource). Each part is escaped. */
export function resourcePath(resource: Resource, namespace?: string, name?: string, subresource?: string): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const parts = [root];
  if (resource.namespaced && namespace !== undefined) parts.push('namespaces', encodeURIComponent(namespace));
  parts.push(resource.plural);
  if (name !== undefined) parts.push(encodeURIComponent(name));
  if (subresource !== undefined) parts.push(subresource);
  return parts.join('/');
}

/** A plain copy that may be changed: what informers hand out is shared and read-only. */
export function mutableCopy<T extends KubeObject>(object: T): T {
  return structuredClone(object);
}

/** True where `owner` is the controller that made `object`. */
export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return controllerOf(object)?.uid === owner.metadata.uid && owner.metadata.uid !== undefined;
}

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

function resource(group: string, version: string, plural: string, kind: string, namespaced = true): Resource {
  return Object.freeze({ group, version, plural, kind, namespaced });
}

export const PODS = resource('', 'v1', 'pods', 'Pod');
export const NODES = resource('', 'v1', 'nodes', 'Node', false);
export const NAMESPACES = resource('', 'v1', 'namespaces', 'Namespace', false);
export const SECRETS = resource('', 'v1', 'secrets', 'Secret');
export const CONFIGMAPS = resource('', 'v1', 'configmaps', 'ConfigMap');
export const SERVICES = resource('', 'v1', 'services', 'Service');
export const SERVICEACCOUNTS = resource('', 'v1', 'serviceaccounts', 'ServiceAccount');
export const EVENTS = resource('', 'v1', 'events', 'Event');
export const PERSISTENTVOLUMECLAIMS = resource('', 'v1', 'persistentvolumeclaims', 'PersistentVolumeClaim');
export const PERSISTENTVOLUMES = resource('', 'v1', 'persistentvolumes', 'PersistentVolume', false);
export const CONTROLLERREVISIONS = resource('apps', 'v1', 'controllerrevisions', 'ControllerRevision');
export const LEASES = resource('coordination.k8s.io', 'v1', 'leases', 'Lease');
export const STORAGECLASSES = resource('storage.k8s.io', 'v1', 'storageclasses', 'StorageClass', false);
export const PODDISRUPTIONBUDGETS = resource('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget');
export const SUBJECTACCESSREVIEWS = resource(
  'authorization.k8s.io',
  'v1',
  'subjectaccessreviews',
  'SubjectAccessReview',
  false,
);
export const CRDS = resource(
  'apiextensions.k8s.io',
  'v1',
  'customresourcedefinitions',
  'CustomResourceDefinition',
  false,
);
export const APISERVICES = resource('apiregistration.k8s.io', 'v1', 'apiservices', 'APIService', false);
export const MUTATINGWEBHOOKCONFIGURATIONS = resource(
  'admissionregistration.k8s.io',
  'v1',
  'mutatingwebhookconfigurations',
  'MutatingWebhookConfiguration',
  false,
);
export const VALIDATINGWEBHOOKCONFIGURATIONS = resource(
  'admissionregistration.k8s.io',
  'v1',
  'validatingwebhookconfigurations',
  'ValidatingWebhookConfiguration',
  false,
);
