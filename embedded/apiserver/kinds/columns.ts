// What `kubectl get` shows of each built-in kind.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { asArray, asObject, asString, asStrings, at, isObject } from '../json.ts';
import { selectPath } from '../json-path.ts';
import { age } from './age.ts';
import type { Column } from './kind.ts';
import { podColumns } from './pod-columns.ts';

type Cell = Column['cell'];

export const NAME: Column = {
  ...{ name: 'Name', type: 'string', format: 'name' },
  cell: (object) => object.metadata.name ?? '',
};
export const AGE: Column = {
  ...{ name: 'Age', type: 'string' },
  cell: (object) => age(object.metadata.creationTimestamp),
};

function text(name: string, cell: Cell | string, priority = 0): Column {
  return { name, type: 'string', priority, cell: typeof cell === 'string' ? valueAt(cell) : cell };
}

/** The value of a dotted path as a cell, `<none>`-like emptiness left to the client. */
function valueAt(path: string, absent = ''): Cell {
  return (object) => {
    const value = at(object, path);
    if (value === undefined || value === null) return absent;
    return typeof value === 'string' || typeof value === 'boolean' ? value : JSON.stringify(value);
  };
}

function count(name: string, path: string): Column {
  return {
    ...{ name, type: 'integer' },
    cell: (object) => {
      const value = at(object, path);
      return isObject(value) ? Object.keys(value).length : asArray(value).length;
    },
  };
}

function orNone(value: string): string {
  return value === '' ? '<none>' : value;
}

function selector(value: unknown): string {
  const labels = Object.entries(asObject(value)).map(([key, label]) => `${key}=${String(label)}`);
  return orNone(labels.join(','));
}

function nodeStatus(object: KubeObject): string {
  const ready = asArray(at(object, 'status.conditions'))
    .map(asObject)
    .find((each) => each['type'] === 'Ready');
  const status = ready === undefined ? 'Unknown' : ready['status'] === 'True' ? 'Ready' : 'NotReady';
  return at(object, 'spec.unschedulable') === true ? `${status},SchedulingDisabled` : status;
}

function nodeRoles(object: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.entries(object.metadata.labels ?? {}).flatMap(([key, value]) =>
    key.startsWith(prefix) ? [key.slice(prefix.length)] : key === 'kubernetes.io/role' && value !== '' ? [value] : [],
  );
  return orNone(roles.filter(Boolean).sort().join(','));
}

function nodeAddress(type: string): Cell {
  return (object) => {
    const found = asArray(at(object, 'status.addresses'))
      .map(asObject)
      .find((each) => each['type'] === type);
    return orNone(asString(found?.['address']));
  };
}

function eventTime(object: KubeObject): unknown {
  return (
    at(object, 'series.lastObservedTime') ?? object['lastTimestamp'] ?? object['eventTime'] ?? object['firstTimestamp']
  );
}

function involved(object: KubeObject): string {
  const { kind, name } = asObject(object['involvedObject'] ?? object['regarding']);
  return `${asString(kind).toLowerCase()}/${asString(name)}`;
}

function servicePorts(object: KubeObject): string {
  const ports = asArray(at(object, 'spec.ports')).map(asObject);
  const shown = ports.map(({ port, nodePort, protocol }) => {
    const node = typeof nodePort === 'number' && nodePort > 0 ? `:${String(nodePort)}` : '';
    return `${String(port)}${node}/${asString(protocol) || 'TCP'}`;
  });
  return orNone(shown.join(','));
}

function endpointList(object: KubeObject): string {
  const all = asArray(object['subsets'])
    .map(asObject)
    .flatMap((subset) =>
      asArray(subset['addresses'])
        .map(asObject)
        .flatMap((address) => {
          const ports = asArray(subset['ports']).map(asObject);
          const ip = asString(address['ip']);
          return ports.length === 0 ? [ip] : ports.map((port) => `${ip}:${String(port['port'])}`);
        }),
    );
  const shown = all.slice(0, 3).join(',');
  return orNone(all.length > 3 ? `${shown} + ${String(all.length - 3)} more...` : shown);
}

const ACCESS_MODES: Record<string, string> = {
  ...{ ReadWriteOnce: 'RWO', ReadOnlyMany: 'ROX', ReadWriteMany: 'RWX', ReadWriteOncePod: 'RWOP' },
};

function accessModes(path: string): Cell {
  return (object) =>
    asStrings(at(object, path))
      .map((mode) => ACCESS_MODES[mode] ?? mode)
      .join(',');
}

function claimStatus(object: KubeObject): string {
  return object.metadata.deletionTimestamp === undefined ? asString(at(object, 'status.phase')) : 'Terminating';
}

function binding(kindName: string): Cell {
  return (object) => {
    const subjects = asArray(object['subjects'])
      .map(asObject)
      .filter((subject) => subject['kind'] === kindName);
    return subjects
      .map(({ namespace, name }) => (kindName === 'ServiceAccount' ? `${String(namespace)}/` : '') + String(name))
      .join(', ');
  };
}

const roleBinding: Column[] = [
  NAME,
  text('Role', (object) => `${String(at(object, 'roleRef.kind'))}/${String(at(object, 'roleRef.name'))}`),
  AGE,
  text('Users', binding('User'), 1),
  text('Groups', binding('Group'), 1),
  text('ServiceAccounts', binding('ServiceAccount'), 1),
];

const createdAt: Column = text('Created At', (object) => object.metadata.creationTimestamp ?? '');

const events: Column[] = [
  text('Last Seen', (object) => age(eventTime(object) ?? object.metadata.creationTimestamp)),
  text('Type', 'type'),
  text('Reason', 'reason'),
  text('Object', involved),
  text('Subobject', 'involvedObject.fieldPath', 1),
  text('Source', (object) => asString(at(object, 'source.component')) || asString(object['reportingComponent']), 1),
  text('Message', (object) => asString(object['message']).trim()),
  text('First Seen', (object) => age(object['firstTimestamp'] ?? object.metadata.creationTimestamp), 1),
  { name: 'Count', type: 'integer', priority: 1, cell: (object) => Number(object['count'] ?? 1) },
  { ...NAME, priority: 1 },
];

const COLUMNS: Record<string, Column[]> = {
  '/pods': podColumns,
  '/namespaces': [NAME, text('Status', 'status.phase'), AGE],
  '/nodes': [
    NAME,
    text('Status', nodeStatus),
    text('Roles', nodeRoles),
    AGE,
    text('Version', 'status.nodeInfo.kubeletVersion'),
    text('Internal-IP', nodeAddress('InternalIP'), 1),
    text('External-IP', nodeAddress('ExternalIP'), 1),
    text('OS-Image', valueAt('status.nodeInfo.osImage', '<unknown>'), 1),
    text('Kernel-Version', valueAt('status.nodeInfo.kernelVersion', '<unknown>'), 1),
    text('Container-Runtime', valueAt('status.nodeInfo.containerRuntimeVersion', '<unknown>'), 1),
  ],
  '/events': events,
  'events.k8s.io/events': events,
  '/secrets': [NAME, text('Type', 'type'), count('Data', 'data'), AGE],
  '/configmaps': [
    NAME,
    {
      ...{ name: 'Data', type: 'integer' },
      cell: (object) =>
        Object.keys(asObject(object['data'])).length + Object.keys(asObject(object['binaryData'])).length,
    },
    AGE,
  ],
  '/serviceaccounts': [NAME, count('Secrets', 'secrets'), AGE],
  '/services': [
    NAME,
    text('Type', 'spec.type'),
    text('Cluster-IP', valueAt('spec.clusterIP', '<none>')),
    text('External-IP', (object) => {
      const ips = asStrings(at(object, 'spec.externalIPs'));
      if (at(object, 'spec.type') === 'ExternalName') return asString(at(object, 'spec.externalName'));
      const balanced = selectPath(object, '.status.loadBalancer.ingress[*].ip').map(String);
      if (at(object, 'spec.type') === 'LoadBalancer') return [...balanced, ...ips].join(',') || '<pending>';
      return orNone(ips.join(','));
    }),
    text('Port(s)', servicePorts),
    AGE,
    text('Selector', (object) => selector(at(object, 'spec.selector')), 1),
  ],
  '/endpoints': [NAME, text('Endpoints', endpointList), AGE],
  '/persistentvolumes': [
    NAME,
    text('Capacity', 'spec.capacity.storage'),
    text('Access Modes', accessModes('spec.accessModes')),
    text('Reclaim Policy', 'spec.persistentVolumeReclaimPolicy'),
    text('Status', claimStatus),
    text('Claim', (object) => {
      const { namespace, name } = asObject(at(object, 'spec.claimRef'));
      return name === undefined ? '' : `${String(namespace)}/${String(name)}`;
    }),
    text('StorageClass', 'spec.storageClassName'),
    text('VolumeAttributesClass', valueAt('spec.volumeAttributesClassName', '<unset>')),
    text('Reason', 'status.reason'),
    AGE,
    text('VolumeMode', valueAt('spec.volumeMode', '<unset>'), 1),
  ],
  '/persistentvolumeclaims': [
    NAME,
    text('Status', claimStatus),
    text('Volume', 'spec.volumeName'),
    text('Capacity', 'status.capacity.storage'),
    text('Access Modes', accessModes('status.accessModes')),
    text('StorageClass', 'spec.storageClassName'),
    text('VolumeAttributesClass', valueAt('spec.volumeAttributesClassName', '<unset>')),
    AGE,
    text('VolumeMode', valueAt('spec.volumeMode', '<unset>'), 1),
  ],
  'coordination.k8s.io/leases': [NAME, text('Holder', 'spec.holderIdentity'), AGE],
  'apps/controllerrevisions': [
    NAME,
    text('Controller', (object) => {
      const owner = object.metadata.ownerReferences?.find((reference) => reference.controller === true);
      return owner === undefined ? '<none>' : `${owner.kind.toLowerCase()}/${owner.name}`;
    }),
    { name: 'Revision', type: 'integer', cell: (object) => Number(object['revision'] ?? 0) },
    AGE,
  ],
  'policy/poddisruptionbudgets': [
    NAME,
    text('Min Available', valueAt('spec.minAvailable', 'N/A')),
    text('Max Unavailable', valueAt('spec.maxUnavailable', 'N/A')),
    { ...text('Allowed Disruptions', valueAt('status.disruptionsAllowed', '0')), type: 'integer' },
    AGE,
  ],
  'scheduling.k8s.io/priorityclasses': [
    NAME,
    { name: 'Value', type: 'integer', cell: (object) => Number(object['value'] ?? 0) },
    { name: 'Global-Default', type: 'boolean', cell: (object) => object['globalDefault'] === true },
    AGE,
    text('PreemptionPolicy', valueAt('preemptionPolicy', 'PreemptLowerPriority')),
  ],
  'storage.k8s.io/storageclasses': [
    {
      ...NAME,
      cell: (object) => {
        const standard = object.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true';
        return `${object.metadata.name ?? ''}${standard ? ' (default)' : ''}`;
      },
    },
    text('Provisioner', 'provisioner'),
    text('ReclaimPolicy', valueAt('reclaimPolicy', 'Delete')),
    text('VolumeBindingMode', valueAt('volumeBindingMode', 'Immediate')),
    { name: 'AllowVolumeExpansion', type: 'boolean', cell: (object) => object['allowVolumeExpansion'] === true },
    AGE,
  ],
  'apiextensions.k8s.io/customresourcedefinitions': [NAME, createdAt],
  'apiregistration.k8s.io/apiservices': [
    NAME,
    text('Service', (object) => {
      const { namespace, name } = asObject(at(object, 'spec.service'));
      return name === undefined ? 'Local' : `${String(namespace)}/${String(name)}`;
    }),
    text('Available', (object) => {
      const all = asArray(at(object, 'status.conditions')).map(asObject);
      const found = all.find((condition) => condition['type'] === 'Available');
      if (found === undefined) return 'Unknown';
      return found['status'] === 'True' ? 'True' : `${String(found['status'])} (${String(found['reason'])})`;
    }),
    AGE,
  ],
  'admissionregistration.k8s.io/mutatingwebhookconfigurations': [NAME, count('Webhooks', 'webhooks'), AGE],
  'admissionregistration.k8s.io/validatingwebhookconfigurations': [NAME, count('Webhooks', 'webhooks'), AGE],
  'rbac.authorization.k8s.io/roles': [NAME, createdAt],
  'rbac.authorization.k8s.io/clusterroles': [NAME, createdAt],
  'rbac.authorization.k8s.io/rolebindings': roleBinding,
  'rbac.authorization.k8s.io/clusterrolebindings': roleBinding,
  '/resourcequotas': [NAME, AGE],
  '/limitranges': [NAME, createdAt],
};

export function builtInColumns(group: string, plural: string): Column[] {
  return COLUMNS[`${group}/${plural}`] ?? [NAME, AGE];
}
