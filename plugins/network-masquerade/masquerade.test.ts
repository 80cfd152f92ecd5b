// Rules, plan and nftables script; the plugins that it needs are stood in for.
import { describe, expect, it } from 'vitest';
import { admitFor, planFor } from '../../core/testing.ts';
import { definePlugin } from '../../core/index.ts';
import type { Facts, Json, Vmi, VmiSpec } from '../../core/index.ts';
import masquerade from './index.ts';
import { guestNetwork } from './network.ts';
import { rulesScript } from './rules.ts';

const N = 'spec.domain.devices.interfaces';

const interfaces = definePlugin({
  name: 'interfaces',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'stands in for interfaces',
  writes: { pod: [''], domain: [''] },
  api: ['model', 'macAddress'].map((field) => ({ path: `${N}[].${field}`, schema: { type: 'string' } })),
  setup: () => ({
    prepareDomain({ nics }, plan) {
      for (const nic of nics)
        if (nic.interface) plan.domain.device({ tag: 'interface', attrs: {}, children: [...nic.interface.children] });
    },
  }),
});
const network = definePlugin({
  name: 'network-pod',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'stands in for network-pod',
  writes: { pod: [''], domain: [''] },
  api: [
    { path: 'spec.networks[].pod', schema: { type: 'object' }, oneOf: 'source' },
    { path: 'spec.networks[].wire', schema: { type: 'object' }, oneOf: 'source' },
  ],
  setup: () => ({ attachNetwork: { sources: { pod: () => ({ podInterface: 'eth0' }) } } }),
});
const plugins = [interfaces, network, masquerade];

function vmiOf(nic: object = {}, source: object = { pod: {} }): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'testvm.example', namespace: 'default' },
    spec: {
      domain: { devices: { interfaces: [{ name: 'default', masquerade: {}, ...nic }] } },
      networks: [{ name: 'default', ...source }],
    } as unknown as VmiSpec,
  };
}

async function causesOf(vmi: Vmi): Promise<string[]> {
  const { causes } = await admitFor({ plugins, object: vmi });
  return causes.map(({ field, reason, message }) => `${field}: ${reason}: ${message}`);
}

describe('rules', () => {
  it('accept ports, ranges and networks', async () => {
    const ports = [{ port: 80, name: 'http', protocol: 'TCP' }, { port: 65_535, protocol: 'UDP' }, { port: 443 }];
    expect(await causesOf(vmiOf({ ports }, { pod: { vmNetworkCIDR: '192.168.1.7/30' } }))).toEqual([]);
    const portRanges = [
      { protocol: 'TCP', start: 1, end: 100 },
      { protocol: 'UDP', start: 50, end: 65_535 },
    ];
    expect(await causesOf(vmiOf({ portRanges }))).toEqual([]);
  });

  it.each<[string, Vmi, string[]]>([
    [
      'another network than the pod’s',
      vmiOf({}, { wire: {} }),
      [`${N}[0].name: FieldValueInvalid: Masquerade interface only implemented with pod network`],
    ],
    [
      'the MAC address of the bridge',
      vmiOf({ macAddress: '02-00-00-00-00-00' }),
      [
        `${N}[0].macAddress: FieldValueInvalid: The requested MAC address is reserved for the in-pod bridge. Please choose another one.`,
      ],
    ],
    [
      'ports',
      vmiOf({
        ports: [
          { port: 0 },
          { port: 65_536 },
          { port: 80, protocol: 'SCTP' },
          { port: 81, name: 'a--b' },
          { port: 82, name: 'http' },
          { port: 83, name: 'http' },
          { name: 'none' },
        ],
      }),
      [
        `${N}[0].ports[6].port: FieldValueRequired: ${N}[0].ports[6].port is required`,
        `${N}[0].ports[0]: FieldValueRequired: Port field is mandatory.`,
        `${N}[0].ports[1]: FieldValueInvalid: Port field must be in range 0 < x < 65536.`,
        `${N}[0].ports[2].protocol: FieldValueInvalid: Unknown protocol, only TCP or UDP allowed`,
        `${N}[0].ports[3].name: FieldValueInvalid: Invalid name of the port: a--b`,
        `${N}[0].ports[5].name: FieldValueDuplicate: Duplicate name of the port: http`,
      ],
    ],
    [
      'port ranges',
      vmiOf({
        portRanges: [
          { protocol: 'TCP', start: 0, end: 70_000 },
          { protocol: 'ICMP', start: 9, end: 8 },
          { protocol: 'UDP', start: 10, end: 20 },
          { protocol: 'UDP', start: 20, end: 30 },
        ],
      }),
      [
        `${N}[0].portRanges[0].start: FieldValueInvalid: Start must be a valid port number, 0 < x < 65536`,
        `${N}[0].portRanges[0].end: FieldValueInvalid: End must be a valid port number, 0 < x < 65536`,
        `${N}[0].portRanges[1].protocol: FieldValueInvalid: Unknown protocol, only TCP or UDP allowed`,
        `${N}[0].portRanges[1].start: FieldValueInvalid: Start must be less than or equal to end`,
        `${N}[0].portRanges: FieldValueInvalid: UDP portRanges [10-20] and [20-30] overlap`,
      ],
    ],
    [
      'ports beside port ranges',
      vmiOf({ ports: [{ port: 80 }], portRanges: [{ protocol: 'TCP', start: 81, end: 82 }] }),
      [`${N}[0].name: FieldValueInvalid: ports and portRanges cannot be given together on interface ${N}[0].name`],
    ],
    [
      'networks',
      vmiOf({}, { pod: { vmNetworkCIDR: '10.0.2.0/31', vmIPv6NetworkCIDR: 'fd10::/120' } }),
      [
        'spec.networks[0].pod.vmNetworkCIDR: FieldValueInvalid: spec.networks[0].pod.vmNetworkCIDR must have room for a gateway and a guest: /30 or wider: 10.0.2.0/31',
        'spec.networks[0].pod.vmIPv6NetworkCIDR: FieldValueNotSupported: spec.networks[0].pod.vmIPv6NetworkCIDR is not supported: guests get IPv4 only; leave the field out',
      ],
    ],
  ])('refuse %s', async (_, vmi, causes) => {
    expect(await causesOf(vmi)).toEqual(causes);
  });

  it.each([
    '',
    '10.0.2.0',
    '10.0.2.0/33',
    '010.0.2.0/24',
    '10.0.2/24',
    'fd10::/64',
    '127.0.0.0/24',
    '224.0.0.0/24',
    '0.0.0.0/0',
  ])('know %j as no network for a guest', (cidr) => {
    expect(guestNetwork(cidr)).toBeTypeOf('string');
  });
});

describe('the plan', () => {
  it('has one step, KubeVirt’s tap, and no address before the step ran', async () => {
    const { chains, xml, nics, blockers } = await planFor({ plugins, vmi: vmiOf({ ports: [{ port: 80 }] }) });
    expect(chains).toEqual([
      {
        phase: 'network',
        subject: 'nic/default',
        steps: [
          {
            id: 'network-masquerade/nic/default/nat',
            plugin: 'network-masquerade',
            action: 'nat',
            args: {
              podInterface: 'eth0',
              cidr: '10.0.2.0/24',
              ports: [{ protocol: 'TCP', start: 80, end: 80 }],
              mac: null,
              hostname: 'testvm',
              multiQueue: false,
              dhcpOptions: {},
            },
          },
        ],
      },
    ]);
    expect(xml).toContain('<source/>\n      <target dev="tap0" managed="no"/>\n      <mtu size="1500"/>');
    expect(nics[0]?.mac).toBeUndefined();
    // What speaks against it is not of this plugin.
    expect(blockers.filter(({ by }) => by.plugin === 'network-masquerade')).toEqual([]);
  });

  it('has what the step found', async () => {
    const made: Json = { tap: 'tap0', mtu: 1450, mac: '0a:00:00:00:00:01', ips: ['10.77.0.2'] };
    const facts: Partial<Facts> = {
      steps: { 'network-masquerade/nic/default/nat': made },
      pod: { name: 'p', uid: 'u', ip: '10.77.0.2', ips: ['10.77.0.2'] },
    };
    const { xml, nics, chains } = await planFor({ plugins, vmi: vmiOf(), facts });
    expect(xml).toContain('<mtu size="1450"/>');
    expect(nics[0]).toMatchObject({ mac: '0a:00:00:00:00:01', ips: ['10.77.0.2'] });
    // What a step found must not change the step.
    expect(chains).toEqual((await planFor({ plugins, vmi: vmiOf() })).chains);
    const own = await planFor({ plugins, vmi: vmiOf({ macAddress: 'DE-AD-00-00-BE-AF' }), facts });
    expect(own.nics[0]?.mac).toBe('de:ad:00:00:be:af');
    expect(own.chains[0]?.steps[0]?.args['mac']).toBe('de:ad:00:00:be:af');
  });
});

describe('the rules of nftables', () => {
  const network2 = guestNetwork('10.0.2.0/24');
  if (typeof network2 === 'string') throw new Error(network2);
  const base = { podInterface: 'eth0', bridge: 'k6t-eth0', podIps: ['10.77.0.2'], network: network2 };

  it('lead everything to the guest where no port is declared', () => {
    const script = rulesScript({ ...base, forwards: [] });
    expect(script).toContain('    iifname "eth0" ip daddr { 10.77.0.2 } dnat to 10.0.2.2\n');
    expect(script.indexOf('49152-49215')).toBeLessThan(script.indexOf('dnat'));
  });

  it('lead the declared ports to the guest, each protocol by itself', () => {
    const forwards = [
      { protocol: 'TCP', start: 80, end: 80 },
      { protocol: 'TCP', start: 80, end: 80 },
      { protocol: 'UDP', start: 53, end: 60 },
    ];
    const script = rulesScript({ ...base, forwards });
    expect(script.match(/.*prerouting(.|\n)*chain output/)?.[0].match(/.*dnat.*/g)).toEqual([
      '    iifname "eth0" ip daddr { 10.77.0.2 } tcp dport { 80 } dnat to 10.0.2.2',
      '    iifname "eth0" ip daddr { 10.77.0.2 } udp dport { 53-60 } dnat to 10.0.2.2',
    ]);
  });
});
