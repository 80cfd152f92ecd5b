// The pod network: which interface of the pod it is, and that there is only one.
import { describe, expect, it } from 'vitest';
import { admitFor, planFor } from '../../core/testing.ts';
import { definePlugin } from '../../core/index.ts';
import type { AttachBindingInput, Vmi, VmiSpec } from '../../core/index.ts';
import networkPod from './index.ts';

const seen: AttachBindingInput[] = [];
const wire = definePlugin({
  name: 'wire',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'a binding for tests',
  writes: { pod: [''], domain: [''] },
  api: [{ path: 'spec.domain.devices.interfaces[].wire', schema: { type: 'object' }, oneOf: 'binding' }],
  setup: () => ({ attachNetwork: { bindings: { wire: (input) => (seen.push(input), {}) } } }),
});
const interfaces = definePlugin({
  name: 'interfaces',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'for tests',
  writes: { pod: [''], domain: [''] },
  setup: () => ({}),
});
const plugins = [networkPod, interfaces, wire];

function vmiOf(networks: object[]): Vmi {
  const interfaces = networks.map((_, index) => ({ name: `n${index}`, wire: {} }));
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'testvm', namespace: 'default' },
    spec: {
      domain: { devices: { interfaces } },
      networks: networks.map((network, index) => ({ name: `n${index}`, ...network })),
    } as unknown as VmiSpec,
  };
}

describe('the pod network', () => {
  it('is the interface that every pod has', async () => {
    await planFor({ plugins, vmi: vmiOf([{ pod: {} }]) });
    expect(seen.at(-1)?.source.podInterface).toBe('eth0');
  });

  it('is there once', async () => {
    expect((await admitFor({ plugins, object: vmiOf([{ pod: {} }]) })).causes).toEqual([]);
    expect((await admitFor({ plugins, object: vmiOf([{ pod: {} }, { pod: {} }]) })).causes).toEqual([
      {
        field: 'spec.interfaces',
        reason: 'FieldValueDuplicate',
        message: 'more than one interface is connected to a pod network in spec.interfaces',
      },
    ]);
  });

  it('is one source among others', async () => {
    const { causes } = await admitFor({ plugins, object: vmiOf([{}]) });
    expect(causes).toEqual([
      {
        field: 'spec.networks[0]',
        reason: 'FieldValueRequired',
        message: 'spec.networks[0] must have exactly one source (pod)',
      },
    ]);
  });
});

describe('the default interface', () => {
  const entry = { plugin: networkPod, options: { defaultNetworkInterface: 'wire' } };
  const bare = (devices: object = {}): Vmi => ({ ...vmiOf([]), spec: { domain: { devices } } });
  const defaulted = async (vmi: Vmi, operation: 'CREATE' | 'UPDATE' = 'CREATE', using: object = entry) => {
    const { object, causes } = await admitFor({
      plugins: [using as typeof entry, interfaces, wire],
      object: vmi,
      operation,
    });
    const { spec } = object as unknown as Vmi;
    return { nics: spec.domain.devices?.interfaces, networks: spec.networks, causes };
  };

  it('stands on the pod network, bound as configured', async () => {
    expect(await defaulted(bare())).toEqual({
      nics: [{ name: 'default', wire: {} }],
      networks: [{ name: 'default', pod: {} }],
      causes: [],
    });
  });

  it('is bound by bridge, as in KubeVirt, unless the operator says otherwise', async () => {
    const { nics } = await defaulted(bare(), 'CREATE', { plugin: networkPod });
    expect(nics).toEqual([{ name: 'default', bridge: {} }]);
  });

  it('is not made against the manifest, nor later', async () => {
    const none = { nics: undefined, networks: undefined, causes: [] };
    expect(await defaulted(bare({ autoattachPodInterface: false }))).toEqual(none);
    expect((await defaulted(vmiOf([{ pod: {} }]))).nics).toEqual([{ name: 'n0', wire: {} }]);
    expect(await defaulted(bare(), 'UPDATE')).toEqual(none);
  });
});
