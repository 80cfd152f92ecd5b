// The fields that this plugin owns, as JSON Schema: Kubernetes' own for pods.
import type { ApiSlice, Schema } from '../../core/index.ts';

const text = (description: string, more: Schema = {}): Schema => ({ type: 'string', description, ...more });
const integer = (description: string, more: Schema = {}): Schema => ({ type: 'integer', description, ...more });
const list = (description: string, items: Schema): Schema => ({ type: 'array', description, items });
const map = (description: string): Schema => ({
  type: 'object',
  description,
  additionalProperties: { type: 'string' },
});
const object = (description: string, properties: Record<string, Schema>, required: string[] = []): Schema => ({
  type: 'object',
  description,
  properties,
  ...(required.length > 0 ? { required } : {}),
});

const expression = (...operators: string[]): Schema =>
  object(
    'one condition',
    {
      key: text('label or field'),
      operator: text('how values are compared', { enum: operators }),
      values: list('values', { type: 'string' }),
    },
    ['key', 'operator'],
  );

const labelSelector = object('pods or namespaces by their labels', {
  matchLabels: map('labels that must be there'),
  matchExpressions: list('conditions that must all hold', expression('In', 'NotIn', 'Exists', 'DoesNotExist')),
});

const nodeExpressions = (description: string): Schema =>
  list(description, expression('In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'));
const nodeSelectorTerm = object('conditions that must all hold', {
  matchExpressions: nodeExpressions('conditions on labels'),
  matchFields: nodeExpressions('conditions on fields'),
});

const podAffinityTerm = object(
  'pods to be near to or far from',
  {
    topologyKey: text('the label of nodes that says what near is'),
    labelSelector,
    namespaceSelector: labelSelector,
    namespaces: list('namespaces of those pods', { type: 'string' }),
    matchLabelKeys: list('keys whose values are taken from this pod', { type: 'string' }),
    mismatchLabelKeys: list('keys whose values must differ from this pod', { type: 'string' }),
  },
  ['topologyKey'],
);

const weight = integer('1 to 100', { format: 'int32', minimum: 1, maximum: 100 });
const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';

const podAffinity = (description: string): Schema =>
  object(description, {
    [REQUIRED]: list('must hold', podAffinityTerm),
    [PREFERRED]: list('should hold', object('a wish', { weight, podAffinityTerm }, ['weight', 'podAffinityTerm'])),
  });

const affinity = object('where the pod may and should run', {
  nodeAffinity: object('by nodes', {
    [REQUIRED]: object('must hold', { nodeSelectorTerms: list('one of these must hold', nodeSelectorTerm) }, [
      'nodeSelectorTerms',
    ]),
    [PREFERRED]: list(
      'should hold',
      object('a wish', { weight, preference: nodeSelectorTerm }, ['weight', 'preference']),
    ),
  }),
  podAffinity: podAffinity('near to pods'),
  podAntiAffinity: podAffinity('far from pods'),
});

const policy = (description: string): Schema => text(description, { enum: ['Honor', 'Ignore'] });
const spread = object(
  'how pods are spread over nodes',
  {
    maxSkew: integer('by how much parts may differ', { format: 'int32', minimum: 1 }),
    topologyKey: text('the label of nodes that makes the parts', { minLength: 1 }),
    whenUnsatisfiable: text('what happens where it cannot be', { enum: ['DoNotSchedule', 'ScheduleAnyway'] }),
    labelSelector,
    minDomains: integer('parts there must be', { format: 'int32', minimum: 1 }),
    nodeAffinityPolicy: policy('whether node affinity counts'),
    nodeTaintsPolicy: policy('whether taints count'),
    matchLabelKeys: list('keys whose values are taken from this pod', { type: 'string' }),
  },
  ['maxSkew', 'topologyKey', 'whenUnsatisfiable'],
);

const toleration = object('a taint that the pod bears', {
  key: text('of the taint; none means all'),
  operator: text('Equal unless set', { enum: ['Equal', 'Exists'] }),
  value: text('of the taint'),
  effect: text('of the taint; none means all', { enum: ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute'] }),
  tolerationSeconds: integer('how long, for NoExecute', { format: 'int64' }),
});

const dnsConfig = object('settings of the resolver, beside those of dnsPolicy', {
  nameservers: list('addresses of name servers, at most 3', { type: 'string' }),
  searches: list('search domains, at most 6', { type: 'string' }),
  options: list('resolver options', object('one option', { name: text('its name'), value: text('its value') })),
});

export const api: readonly ApiSlice[] = [
  { path: 'spec.nodeSelector', schema: map('labels that the node must have') },
  { path: 'spec.affinity', schema: affinity },
  { path: 'spec.tolerations', schema: list('taints that the pod bears', toleration) },
  { path: 'spec.topologySpreadConstraints', schema: list('how pods are spread', spread) },
  { path: 'spec.schedulerName', schema: text('the scheduler; the default one unless set') },
  { path: 'spec.priorityClassName', schema: text('a PriorityClass') },
  {
    path: 'spec.terminationGracePeriodSeconds',
    schema: integer('seconds from shutdown by ACPI to power off, 30 unless set', { format: 'int64', minimum: 0 }),
  },
  { path: 'spec.hostname', schema: text("host name of the pod and of the guest; the VMI's name unless set") },
  { path: 'spec.subdomain', schema: text('subdomain of the pod: <hostname>.<subdomain>.<namespace>.svc...') },
  { path: 'spec.dnsPolicy', schema: text('ClusterFirst (default), ClusterFirstWithHostNet, Default or None') },
  { path: 'spec.dnsConfig', schema: dnsConfig },
];
