// Pods: defaults, quality of service, and which fields of a running pod may change.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { asArray, asObject, asString, at, equal, type JsonObject, without } from '../json.ts';
import type { Cause } from '../status.ts';
import type { Strategy } from './strategy.ts';

const RESOURCES = ['cpu', 'memory'];

function defaultContainer(container: JsonObject): JsonObject {
  const image = asString(container['image']);
  const isLatest = /:latest$/.test(image) || !/[:@]/.test(image.split('/').at(-1) ?? '');
  const ports = asArray(container['ports']).map((port) => ({ protocol: 'TCP', ...asObject(port) }));
  const resources = asObject(container['resources']);
  const limits = asObject(resources['limits']);
  const requests = { ...limits, ...asObject(resources['requests']) };
  return {
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: isLatest ? 'Always' : 'IfNotPresent',
    ...container,
    ...(ports.length > 0 ? { ports } : {}),
    resources: {
      ...resources,
      ...(Object.keys(limits).length > 0 ? { limits } : {}),
      ...(Object.keys(requests).length > 0 ? { requests } : {}),
    },
  };
}

export function defaultPodSpec(spec: JsonObject): JsonObject {
  const all = (list: string): JsonObject =>
    spec[list] === undefined ? {} : { [list]: asArray(spec[list]).map((each) => defaultContainer(asObject(each))) };
  const account = asString(spec['serviceAccountName']) || asString(spec['serviceAccount']) || 'default';
  const tolerations = asArray(spec['tolerations']);
  return {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
    enableServiceLinks: true,
    preemptionPolicy: 'PreemptLowerPriority',
    priority: 0,
    ...spec,
    serviceAccountName: account,
    serviceAccount: account,
    ...(tolerations.length > 0 ? { tolerations } : {}),
    ...all('initContainers'),
    ...all('containers'),
  };
}

/** Guaranteed, Burstable or BestEffort, from the containers' requests and limits. */
export function qosClass(spec: JsonObject): string {
  const containers = [...asArray(spec['initContainers']), ...asArray(spec['containers'])];
  let isGuaranteed = true;
  let hasAny = false;
  for (const container of containers) {
    for (const name of RESOURCES) {
      const limit = at(container, `resources.limits.${name}`);
      const request = at(container, `resources.requests.${name}`);
      if (limit !== undefined || request !== undefined) hasAny = true;
      if (limit === undefined || !equal(limit, request)) isGuaranteed = false;
    }
  }
  if (!hasAny) return 'BestEffort';
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}

const CHANGEABLE = [
  ...['activeDeadlineSeconds', 'tolerations', 'schedulingGates', 'terminationGracePeriodSeconds'],
  ...['ephemeralContainers', 'nodeSelector', 'affinity'],
];

/** The part of a pod's spec that never changes once it is made. */
function fixedPart(spec: JsonObject): JsonObject {
  const images = (list: unknown): unknown[] => asArray(list).map((each) => ({ ...asObject(each), image: '' }));
  const { nodeSelector, affinity } = spec;
  const rest = without(spec, ...CHANGEABLE);
  const isGated = asArray(spec['schedulingGates']).length > 0;
  return {
    ...rest,
    ...(isGated ? {} : { nodeSelector, affinity }),
    containers: images(spec['containers']),
    initContainers: images(spec['initContainers']),
  };
}

export const podStrategy: Strategy = {
  prepare(pod, old) {
    const spec = defaultPodSpec(asObject(pod.spec));
    if (old !== undefined) return { ...pod, spec };
    return { ...pod, spec, status: { phase: 'Pending', qosClass: qosClass(spec) } };
  },
  validate(pod, old) {
    const causes: Cause[] = [];
    const spec = asObject(pod.spec);
    if (asArray(spec['containers']).length === 0) {
      causes.push({ reason: 'FieldValueRequired', message: 'Required value', field: 'spec.containers' });
    }
    if (old === undefined) return [...causes, ...validateContainers(spec)];
    const before = asObject(old.spec);
    const wasGated = asArray(before['schedulingGates']).length > 0;
    const reference = wasGated ? { ...before, schedulingGates: [{}] } : before;
    const now = wasGated ? { ...spec, schedulingGates: [{}] } : spec;
    // Binding sets the node once; nothing else may.
    const bound = before['nodeName'] === undefined ? { ...reference, nodeName: spec['nodeName'] } : reference;
    if (equal(JSON.parse(JSON.stringify(fixedPart(bound))), JSON.parse(JSON.stringify(fixedPart(now))))) return causes;
    const allowed =
      '`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';
    const message = `Forbidden: pod updates may not change fields other than ${allowed}`;
    return [...causes, { reason: 'FieldValueForbidden', message, field: 'spec' }];
  },
};

function validateContainers(spec: JsonObject): Cause[] {
  const seen = new Set<string>();
  const causes: Cause[] = [];
  const volumes = new Set(asArray(spec['volumes']).map((volume) => asString(asObject(volume)['name'])));
  for (const list of ['initContainers', 'containers']) {
    asArray(spec[list])
      .map(asObject)
      .forEach((container, index) => {
        const field = `spec.${list}[${String(index)}]`;
        const name = asString(container['name']);
        if (seen.has(name)) {
          const message = `Duplicate value: ${JSON.stringify(name)}`;
          causes.push({ reason: 'FieldValueDuplicate', message, field: `${field}.name` });
        }
        seen.add(name);
        if (asString(container['image']) === '') {
          causes.push({ reason: 'FieldValueRequired', message: 'Required value', field: `${field}.image` });
        }
        asArray(container['volumeMounts'])
          .map(asObject)
          .forEach((mount, place) => {
            if (volumes.has(asString(mount['name']))) return;
            const message = `Not found: ${JSON.stringify(mount['name'])}`;
            const where = `${field}.volumeMounts[${String(place)}].name`;
            causes.push({ reason: 'FieldValueNotFound', message, field: where });
          });
      });
  }
  return causes;
}

export function isBound(pod: KubeObject): boolean {
  return asString(at(pod, 'spec.nodeName')) !== '';
}
