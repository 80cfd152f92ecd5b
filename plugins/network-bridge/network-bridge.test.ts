// Rules, plan, and what a lease says; the plugins that it needs are stood in for.
import { describe, expect, it } from 'vitest';
import { admitFor, planFor } from '../../core/testing.ts';
import { definePlugin } from '../../core/index.ts';
import type { Json, Route, Vmi, VmiSpec } from '../../core/index.ts';
import bridge from './index.ts';
import { leaseRoutes } from './lease.ts';

const interfaces = definePlugin({
  name: 'interfaces',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'stands in for interfaces',
  writes: { pod: [''], domain: [''] },
  api: [{ path: 'spec.domain.devices.interfaces[].macAddress', schema: { type: 'string' } }],
  setup: () => ({}),
});
const networks = definePlugin({
  name: 'networks',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'stands in for network sources',
  writes: { pod: [''], domain: [''] },
  api: ['pod', 'other'].map((source) => ({
    path: `spec.networks[].${source}`,
    schema: { type: 'object' },
    oneOf: 'source',
  })),
  setup: () => ({
    attachNetwork: {
      sources: { pod: () => ({ podInterface: 'eth0' }), other: () => ({ podInterface: 'pod16477688c0e' }) },
    },
  }),
});
const plugins = [interfaces, networks, bridge];

function vmiOf(nic: object = {}, source: object = { pod: {} }, annotations = {}): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'testvm', namespace: 'default', annotations },
    spec: {
      domain: { devices: { interfaces: [{ name: 'default', bridge: {}, ...nic }] } },
      networks: [{ name: 'default', ...source }],
    } as unknown as VmiSpec,
  };
}

/** What this plugin itself says against a migration. */
const own = <T extends { by: { plugin: string } }>(blockers: readonly T[]): T[] =>
  blockers.filter(({ by }) => by.plugin === 'network-bridge');

describe('rules', () => {
  const forbidding = { plugin: bridge, options: { permitBridgeInterfaceOnPodNetwork: false } };

  it('let the operator keep bridges off the pod network', async () => {
    expect((await admitFor({ plugins, object: vmiOf() })).causes).toEqual([]);
    expect((await admitFor({ plugins: [interfaces, networks, forbidding], object: vmiOf() })).causes).toEqual([
      {
        field: 'spec.domain.devices.interfaces[0].name',
        reason: 'FieldValueInvalid',
        message: 'Bridge on pod network configuration is not enabled under kubevirt-config',
      },
    ]);
    const other = vmiOf({}, { other: {} });
    expect((await admitFor({ plugins: [interfaces, networks, forbidding], object: other })).causes).toEqual([]);
  });
});

describe('the plan', () => {
  it('has one step, and a reason why the guest cannot migrate from the pod network', async () => {
    const { chains, blockers, nics } = await planFor({ plugins, vmi: vmiOf() });
    expect(chains[0]?.steps).toEqual([
      {
        id: 'network-bridge/nic/default/bridge',
        plugin: 'network-bridge',
        action: 'bridge',
        args: {
          podInterface: 'eth0',
          mac: null,
          server: '169.254.75.10',
          hostname: 'testvm',
          multiQueue: false,
          dhcpOptions: {},
        },
      },
    ]);
    expect(nics[0]?.mac).toBeUndefined();
    expect(own(blockers)).toMatchObject([
      {
        reason: 'InterfaceNotLiveMigratable',
        message:
          'cannot migrate VMI which does not use masquerade, bridge with kubevirt.io/allow-pod-bridge-network-live-migration VM annotation or a migratable plugin to connect to the pod network',
      },
    ]);
    const allowed = vmiOf({}, { pod: {} }, { 'kubevirt.io/allow-pod-bridge-network-live-migration': '' });
    expect(own((await planFor({ plugins, vmi: allowed })).blockers)).toEqual([]);
  });

  it('names the links after any pod interface, in 15 characters', async () => {
    const { blockers, nics } = await planFor({ plugins, vmi: vmiOf({}, { other: {} }) });
    expect(nics[0]?.interface?.children[1]?.attrs).toEqual({ dev: 'tap16477688c0e', managed: 'no' });
    expect(own(blockers)).toEqual([]);
  });

  it('has what the step found', async () => {
    const made: Json = { tap: 'tap0', mtu: 1450, mac: '0a:00:00:00:00:01', ips: ['10.77.0.2'] };
    const facts = { steps: { 'network-bridge/nic/default/bridge': made } };
    const { nics } = await planFor({ plugins, vmi: vmiOf(), facts });
    expect(nics[0]).toMatchObject({ mac: '0a:00:00:00:00:01', ips: ['10.77.0.2'] });
    const own = await planFor({ plugins, vmi: vmiOf({ macAddress: '02:00:00:00:00:99' }), facts });
    expect(own.nics[0]?.mac).toBe('02:00:00:00:00:99');
  });
});

describe('the lease', () => {
  const route = (to: string, via?: string) => ({ to, via, link: 'eth0' }) as Route;
  const original = (prefix: number, routes: Route[]) => ({
    mac: '',
    ipv4: [{ address: '10.1.0.5', prefix, broadcast: undefined }],
    routes,
  });

  it.each([
    ['no route', original(24, []), { gateway: undefined, routes: [] }],
    ['a plain gateway', original(24, [route('default', '10.1.0.1')]), { gateway: '10.1.0.1', routes: [] }],
    [
      'further routes',
      original(24, [route('default', '10.1.0.1'), route('10.96.0.0/12', '10.1.0.2'), route('10.5.0.1')]),
      {
        gateway: '10.1.0.1',
        routes: [
          ['0.0.0.0/0', '10.1.0.1'],
          ['10.96.0.0/12', '10.1.0.2'],
          ['10.5.0.1/32', '0.0.0.0'],
        ],
      },
    ],
    [
      'a gateway outside of the network',
      original(32, [route('default', '169.254.1.1')]),
      {
        gateway: '169.254.1.1',
        routes: [
          ['169.254.1.1/32', '0.0.0.0'],
          ['0.0.0.0/0', '169.254.1.1'],
        ],
      },
    ],
  ])('hands on %s', (_, from, lease) => {
    expect(leaseRoutes(from)).toEqual(lease);
  });
});
