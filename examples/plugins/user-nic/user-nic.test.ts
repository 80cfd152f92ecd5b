import { expect, it } from 'vitest';
import { definePlugin, type Vmi } from 'virtloom/plugin';
import { admitFor, planFor } from 'virtloom/plugin/testing';
import userNic from './index.ts';

const stub = (name: string) =>
  definePlugin({ name, version: '1.0.0', core: '^1.0.0', summary: name, setup: () => ({}) });
const network = definePlugin({
  name: 'network-pod',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'the pod network',
  api: [{ path: 'spec.networks[].pod', oneOf: 'source', schema: { type: 'object' } }],
  setup: () => ({ attachNetwork: { sources: { pod: () => ({ podInterface: 'eth0' }) } } }),
});
const plugins = [stub('interfaces'), network, userNic];

const vmi = (...forwards: object[]): Vmi => {
  const nic = { name: 'n', userNetwork: { forwards } };
  const network = { name: 'n', pod: {} };
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'vm', namespace: 'ns' },
    spec: { domain: { devices: { interfaces: [nic] } }, networks: [network] },
  };
};

it('forwards once the guest runs, and opens low ports before', async () => {
  const { chains } = await planFor({ plugins, vmi: vmi({ port: 80 }, { port: 5353, guestPort: 53, protocol: 'UDP' }) });
  expect(chains.map(({ phase, steps }) => [phase, ...steps.map(({ action }) => action)])).toEqual(
    expect.arrayContaining([
      ['network', 'lowPorts'],
      ['started', 'forward'],
    ]),
  );
  expect(chains.flatMap(({ steps }) => steps).find(({ action }) => action === 'forward')?.args).toEqual({
    domain: 'ns_vm',
    netdev: 'hostua-n',
    forwards: [
      { port: 80, guestPort: 80, protocol: 'tcp' },
      { port: 5353, guestPort: 53, protocol: 'udp' },
    ],
  });
});

it('does nothing on the node where nothing is forwarded', async () => {
  expect((await planFor({ plugins, vmi: vmi() })).chains).toEqual([]);
});

it('refuses one port twice, and what is no port', async () => {
  const twice = await admitFor({ plugins, object: vmi({ port: 80 }, { port: 80, guestPort: 8080 }) });
  expect(twice.causes.map(({ field, reason }) => `${field} ${reason}`)).toEqual([
    'spec.domain.devices.interfaces[0].userNetwork.forwards[1].port FieldValueDuplicate',
  ]);
  const both = await admitFor({ plugins, object: vmi({ port: 80 }, { port: 80, protocol: 'UDP' }) });
  expect(both.causes).toEqual([]);
  const none = await admitFor({ plugins, object: vmi({ port: 0 }) });
  expect(none.causes[0]?.field).toBe('spec.domain.devices.interfaces[0].userNetwork.forwards[0].port');
});
