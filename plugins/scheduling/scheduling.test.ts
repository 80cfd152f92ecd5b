import { beforeAll, describe, expect, it } from 'vitest';
import type { Cause, KubeObject, Vmi, VmiSpec } from '../../core/index.ts';
import { admit } from '../../core/admission.ts';
import type { Host } from '../../core/host.ts';
import { plan } from '../../core/plan.ts';
import { TEST_FACTS, testHost } from '../../core/testing.ts';
import scheduling from './index.ts';
import { hostnameOf } from './pod.ts';

let host: Host;
beforeAll(() => {
  host = testHost([scheduling]);
});

function vmi(spec: Partial<VmiSpec> = {}): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'testvmi', namespace: 'mynamespace', uid: 'u' },
    spec: { domain: {}, ...spec },
  };
}

async function causesOf(spec: object, operation: 'CREATE' | 'UPDATE' = 'CREATE'): Promise<Cause[]> {
  const object = vmi(spec) as unknown as KubeObject;
  const { causes } = await admit(host, { operation, object, user: { username: 'test', groups: [] } });
  return causes;
}

async function podSpec(spec: object): Promise<Record<string, unknown>> {
  const { pod } = await plan(host, vmi(spec), TEST_FACTS);
  return pod.value['spec'] as Record<string, unknown>;
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';
const AFFINITY = {
  nodeAffinity: {
    [REQUIRED]: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['a', 'b'] }] }] },
    [PREFERRED]: [{ weight: 5, preference: { matchExpressions: [{ key: 'ssd', operator: 'Exists' }] } }],
  },
  podAntiAffinity: {
    [REQUIRED]: [{ topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'web' } } }],
  },
};
const FULL = {
  nodeSelector: { disk: 'ssd' },
  affinity: AFFINITY,
  tolerations: [
    { key: 'gpu', operator: 'Equal', value: 'yes', effect: 'NoSchedule' },
    { operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 },
  ],
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { a: 'b' } } },
  ],
  schedulerName: 'mine',
  priorityClassName: 'high',
  hostname: 'web-0',
  subdomain: 'web',
  dnsPolicy: 'None',
  dnsConfig: {
    nameservers: ['10.0.0.1', 'fd00::1'],
    searches: ['a.example.', 'b'],
    options: [{ name: 'ndots', value: '2' }],
  },
};

describe('pod', () => {
  it('has every field as the VMI has it', async () => {
    expect(await causesOf({ ...FULL, terminationGracePeriodSeconds: 0 })).toEqual([]);
    expect(await podSpec(FULL)).toEqual(FULL);
  });

  it('has nothing but a host name of a plain VMI', async () => {
    expect(await podSpec({})).toEqual({ hostname: 'testvmi' });
    const { pod } = await plan(host, vmi(), TEST_FACTS);
    expect(pod.value['metadata']).toMatchObject({ labels: { 'vm.kubevirt.io/name': 'testvmi' } });
  });

  it.each([
    ['vm', 'vm'],
    ['vm.example.com', 'vm'],
    ['a'.repeat(70), 'a'.repeat(63)],
    [`${'a'.repeat(62)}-b`, 'a'.repeat(62)],
  ])('host name of %s', (name, hostname) => {
    expect(hostnameOf({ ...vmi(), metadata: { name } })).toBe(hostname);
  });

  it('is not changed by what the VMI does not say', async () => {
    expect(await podSpec({ hostname: '', subdomain: '', dnsPolicy: '', schedulerName: '' })).toEqual({
      hostname: 'testvmi',
    });
  });
});

const term = (expression: object) => ({
  affinity: { nodeAffinity: { [REQUIRED]: { nodeSelectorTerms: [{ matchExpressions: [expression] }] } } },
});
const TERM = `spec.affinity.nodeAffinity.${REQUIRED}.nodeSelectorTerms[0].matchExpressions[0]`;
const spread = (...constraints: object[]) => ({ topologySpreadConstraints: constraints });
const SPREAD = { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' };

type Case = [what: string, spec: object, field: string, reason: string, message: RegExp];
const REFUSED: Case[] = [
  [
    'host name',
    { hostname: 'Web_0' },
    'spec.hostname',
    'FieldValueInvalid',
    /^spec\.hostname does not conform to the kubernetes DNS_LABEL rules : a lowercase RFC 1123 label/,
  ],
  ['long host name', { hostname: 'a'.repeat(64) }, 'spec.hostname', 'FieldValueInvalid', /no more than 63/],
  ['path in the host name', { hostname: '../../etc' }, 'spec.hostname', 'FieldValueInvalid', /DNS_LABEL/],
  ['subdomain', { subdomain: '-a' }, 'spec.subdomain', 'FieldValueInvalid', /DNS_SUBDOMAIN rules/],
  [
    'priority class',
    { priorityClassName: 'Very High' },
    'spec.priorityClassName',
    'FieldValueInvalid',
    /DNS_SUBDOMAIN/,
  ],
  [
    'grace period',
    { terminationGracePeriodSeconds: -1 },
    'spec.terminationGracePeriodSeconds',
    'FieldValueInvalid',
    />= 0/,
  ],
  [
    'DNS policy',
    { dnsPolicy: 'Mine' },
    'spec.dnsPolicy',
    'FieldValueNotSupported',
    /^DNSPolicy: Mine is not supported, valid values: \[ClusterFirst/,
  ],
  [
    'policy None alone',
    { dnsPolicy: 'None' },
    'spec.dnsConfig',
    'FieldValueRequired',
    /must provide `dnsConfig` when `dnsPolicy` is None/,
  ],
  [
    'policy None without a server',
    { dnsPolicy: 'None', dnsConfig: {} },
    'spec.dnsConfig.nameservers',
    'FieldValueRequired',
    /at least one DNS nameserver/,
  ],
  [
    'four servers',
    { dnsConfig: { nameservers: ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4'] } },
    'spec.dnsConfig.nameservers',
    'FieldValueInvalid',
    /not have more than 3 nameservers/,
  ],
  [
    'server that is no address',
    { dnsConfig: { nameservers: ['dns'] } },
    'spec.dnsConfig.nameservers',
    'FieldValueInvalid',
    /must be valid IP address: dns/,
  ],
  [
    'seven searches',
    { dnsConfig: { searches: [...'abcdefg'] } },
    'spec.dnsConfig.searches',
    'FieldValueInvalid',
    /more than 6 search paths/,
  ],
  [
    'long searches',
    { dnsConfig: { searches: Array(5).fill('a'.repeat(60)) } },
    'spec.dnsConfig.searches',
    'FieldValueInvalid',
    /more than 256 characters/,
  ],
  [
    'search that is no domain',
    { dnsConfig: { searches: ['a b'] } },
    'spec.dnsConfig.searches',
    'FieldValueInvalid',
    /RFC 1123/,
  ],
  [
    'option without a name',
    { dnsConfig: { options: [{ value: 'x' }] } },
    'spec.dnsConfig.options[0].name',
    'FieldValueInvalid',
    /must not be empty/,
  ],
  ['node label', { nodeSelector: { 'a/b/c': 'x' } }, 'spec.nodeSelector', 'FieldValueInvalid', /at most one/],
  ['node label value', { nodeSelector: { a: 'x y' } }, 'spec.nodeSelector', 'FieldValueInvalid', /valid label/],
  [
    'toleration of nothing',
    { tolerations: [{}] },
    'spec.tolerations[0].operator',
    'FieldValueInvalid',
    /operator must be Exists/,
  ],
  [
    'value beside Exists',
    { tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] },
    'spec.tolerations[0].operator',
    'FieldValueInvalid',
    /value must be empty/,
  ],
  [
    'seconds without NoExecute',
    { tolerations: [{ key: 'a', tolerationSeconds: 1 }] },
    'spec.tolerations[0].effect',
    'FieldValueInvalid',
    /NoExecute/,
  ],
  [
    'unknown effect',
    { tolerations: [{ key: 'a', effect: 'Explode' }] },
    'spec.tolerations[0].effect',
    'FieldValueNotSupported',
    /supported values/,
  ],
  [
    'no terms',
    { affinity: { nodeAffinity: { [REQUIRED]: { nodeSelectorTerms: [] } } } },
    `spec.affinity.nodeAffinity.${REQUIRED}.nodeSelectorTerms`,
    'FieldValueRequired',
    /at least one/,
  ],
  ['In without values', term({ key: 'a', operator: 'In' }), `${TERM}.values`, 'FieldValueRequired', /'In' or 'NotIn'/],
  [
    'Exists with values',
    term({ key: 'a', operator: 'Exists', values: ['b'] }),
    `${TERM}.values`,
    'FieldValueForbidden',
    /may not be specified/,
  ],
  [
    'Gt with text',
    term({ key: 'a', operator: 'Gt', values: ['b'] }),
    `${TERM}.values`,
    'FieldValueRequired',
    /one integer/,
  ],
  ['bad key', term({ key: 'a b', operator: 'Exists' }), `${TERM}.key`, 'FieldValueInvalid', /name part/],
  [
    'unknown operator',
    term({ key: 'a', operator: 'Near' }),
    `${TERM}.operator`,
    'FieldValueNotSupported',
    /supported values/,
  ],
  [
    'no topology key',
    { affinity: { podAffinity: { [REQUIRED]: [{ topologyKey: '' }] } } },
    `spec.affinity.podAffinity.${REQUIRED}[0].topologyKey`,
    'FieldValueRequired',
    /can not be empty/,
  ],
  [
    'weight',
    { affinity: { podAffinity: { [PREFERRED]: [{ weight: 101, podAffinityTerm: { topologyKey: 'a' } }] } } },
    `spec.affinity.podAffinity.${PREFERRED}[0].weight`,
    'FieldValueInvalid',
    /<= 100/,
  ],
  ['skew', spread({ ...SPREAD, maxSkew: 0 }), 'spec.topologySpreadConstraints[0].maxSkew', 'FieldValueInvalid', />= 1/],
  [
    'the same spread twice',
    spread(SPREAD, SPREAD),
    'spec.topologySpreadConstraints[1]',
    'FieldValueDuplicate',
    /there twice/,
  ],
  [
    'minDomains',
    spread({ ...SPREAD, whenUnsatisfiable: 'ScheduleAnyway', minDomains: 2 }),
    'spec.topologySpreadConstraints[0].minDomains',
    'FieldValueInvalid',
    /DoNotSchedule/,
  ],
];

describe('admission', () => {
  it.each(REFUSED)('refuses: %s', async (_, spec, field, reason, message) => {
    const causes = await causesOf(spec);
    expect(causes.map((cause) => `${cause.field} ${cause.reason}`)).toEqual([`${field} ${reason}`]);
    expect(causes[0]?.message).toMatch(message);
  });

  it('gives all causes at once', async () => {
    expect(await causesOf({ hostname: 'A', subdomain: 'B', dnsPolicy: 'C', tolerations: [{}] })).toHaveLength(4);
  });

  it('asks nothing at an update: the spec stays', async () => {
    expect(await causesOf({ hostname: 'A' }, 'UPDATE')).toEqual([]);
  });

  it.each([null, 1, 'x', [], [1], [null], {}].map((value) => ({ value })))(
    'takes $value anywhere',
    async ({ value }) => {
      for (const key of Object.keys(FULL)) {
        await causesOf({ [key]: value });
        await causesOf({ [key]: { nodeAffinity: value, podAffinity: { [REQUIRED]: value }, nameservers: value } });
        await causesOf({ [key]: [{ labelSelector: value, key: value }] });
      }
    },
  );
});
