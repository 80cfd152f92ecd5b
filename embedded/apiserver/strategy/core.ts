// The smaller built-in kinds: namespaces, services, secrets, config maps, claims, events, API services.
import { asArray, asObject, asString, at, equal, type JsonObject } from '../json.ts';
import { timestamp } from '../metadata.ts';
import type { Cause } from '../status.ts';
import type { Strategy } from './strategy.ts';

export const NAMESPACE_LABEL = 'kubernetes.io/metadata.name';

export const namespaceStrategy: Strategy = {
  prepare(namespace, old) {
    const { name = '' } = namespace.metadata;
    const labels = { ...namespace.metadata.labels, ...(/^[a-z0-9-]+$/.test(name) ? { [NAMESPACE_LABEL]: name } : {}) };
    const spec = old === undefined ? { finalizers: ['kubernetes'], ...asObject(namespace.spec) } : old.spec;
    const status = old === undefined ? { phase: 'Active' } : namespace.status;
    return { ...namespace, metadata: { ...namespace.metadata, labels }, spec, status };
  },
};

const SERVICE_NETWORK = '10.96';

export const serviceStrategy: Strategy = {
  prepare(service, old, { store }) {
    const spec = asObject(service.spec);
    const type = asString(spec['type']) || 'ClusterIP';
    const ports = asArray(spec['ports']).map((each) => {
      const port = asObject(each);
      return { protocol: 'TCP', targetPort: port['port'], ...port };
    });
    const shared = { sessionAffinity: 'None', internalTrafficPolicy: 'Cluster', ...spec, type };
    if (type === 'ExternalName') return { ...service, spec: shared };
    const kept = asString(spec['clusterIP']) || asString(at(old, 'spec.clusterIP'));
    const clusterIP = kept === '' ? freeAddress(store.list('/services')) : kept;
    return {
      ...service,
      spec: {
        ...{ ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack', ...shared },
        ...(ports.length > 0 ? { ports } : {}),
        ...{ clusterIP, clusterIPs: [clusterIP] },
      },
      status: old === undefined ? { loadBalancer: {} } : service.status,
    };
  },
};

function freeAddress(services: JsonObject[]): string {
  const taken = new Set(services.map((service) => asString(at(service, 'spec.clusterIP'))));
  for (let host = 2; host < 65_534; host += 1) {
    const address = `${SERVICE_NETWORK}.${String(host >> 8)}.${String(host & 255)}`;
    if (!taken.has(address)) return address;
  }
  return 'None';
}

function immutable(object: JsonObject, old: JsonObject | undefined, fields: string[]): Cause[] {
  if (old?.['immutable'] !== true || fields.every((field) => equal(object[field], old[field]))) return [];
  const message = 'Forbidden: field is immutable when `immutable` is set';
  return [{ reason: 'FieldValueForbidden', message, field: fields[0] ?? '' }];
}

export const secretStrategy: Strategy = {
  prepare(secret) {
    const { stringData, ...rest } = secret;
    const added = Object.entries(asObject(stringData)).map(
      ([name, value]) => [name, Buffer.from(String(value)).toString('base64')] as const,
    );
    const data = added.length === 0 ? {} : { data: { ...asObject(rest['data']), ...Object.fromEntries(added) } };
    return { ...rest, ...data, type: asString(rest['type']) || 'Opaque' };
  },
  validate(secret, old) {
    const causes = immutable(secret, old, ['data']);
    if (old !== undefined && old['type'] !== secret['type']) {
      const message = `Invalid value: ${JSON.stringify(secret['type'])}: field is immutable`;
      causes.push({ reason: 'FieldValueInvalid', message, field: 'type' });
    }
    return causes;
  },
};

export const configMapStrategy: Strategy = {
  validate: (map, old) => immutable(map, old, ['data', 'binaryData']),
};

export const claimStrategy: Strategy = {
  prepare(claim, old) {
    const spec = { volumeMode: 'Filesystem', ...asObject(claim.spec) };
    return { ...claim, spec, status: old === undefined ? { phase: 'Pending' } : claim.status };
  },
};

export const volumeStrategy: Strategy = {
  prepare(volume, old) {
    const defaults = { persistentVolumeReclaimPolicy: 'Retain', volumeMode: 'Filesystem' };
    const status = old === undefined ? { phase: 'Available' } : volume.status;
    return { ...volume, spec: { ...defaults, ...asObject(volume.spec) }, status };
  },
};

export const apiServiceStrategy: Strategy = {
  prepare(service, old) {
    if (old !== undefined) return service;
    const condition = { type: 'Available', status: 'True', reason: 'Passed', message: 'all checks passed' };
    const isLocal = at(service, 'spec.service') === undefined;
    const local = { ...condition, reason: 'Local', message: 'Local APIServices are always available' };
    const conditions = [{ ...(isLocal ? local : condition), lastTransitionTime: timestamp() }];
    return { ...service, status: { conditions } };
  },
};

const WEBHOOK_DEFAULTS = { failurePolicy: 'Fail', matchPolicy: 'Equivalent', timeoutSeconds: 10 };

export const webhookStrategy: Strategy = {
  prepare(configuration) {
    const isMutating = configuration.kind === 'MutatingWebhookConfiguration';
    const webhooks = asArray(configuration['webhooks']).map((each) => ({
      ...WEBHOOK_DEFAULTS,
      ...{ namespaceSelector: {}, objectSelector: {} },
      ...(isMutating ? { reinvocationPolicy: 'Never' } : {}),
      ...asObject(each),
      rules: asArray(asObject(each)['rules']).map((rule) => ({ scope: '*', ...asObject(rule) })),
    }));
    return { ...configuration, webhooks };
  },
};
