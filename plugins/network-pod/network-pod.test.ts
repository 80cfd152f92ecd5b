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
  summary: 'a binding for tests',
  api: [{ path: 'spec.domain.devices.interfaces[].wire', schema: { type: 'object' }, oneOf: 'binding' }],
  setup: () => ({ attachNetwork: { bindings: { wire: (input) => (seen.push(input), {}) } } }),
});
const plugins = [networkPod, wire];

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
