import { describe, expect, it } from 'vitest';
import { definePlugin, type KubeObject, type Vmi } from '../../core/index.ts';
import { admitFor } from '../../core/testing.ts';
import plugin from './index.ts';
import type { Preset } from './kind.ts';

const domainOwner = definePlugin({
  name: 'compute',
  version: '0.0.0',
  core: '^1.0.0',
  summary: 'owns the fields that the tests set',
  api: ['cpu', 'resources', 'clock', 'firmware', 'features', 'memory'].map((field) => ({
    path: `spec.domain.${field}`,
    schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  })),
  // A default that comes after the presets.
  setup: () => ({
    defaultPreset: ({ vmi }) =>
      vmi && !('cpu' in vmi.spec.domain) ? [{ path: ['spec', 'domain', 'cpu'], value: { cores: 1 } }] : undefined,
  }),
});

function preset(name: string, domain: object, selector: object = { matchLabels: { size: 'small' } }): Preset {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstancePreset',
    metadata: { name, namespace: 'default' },
    spec: { selector, domain } as Preset['spec'],
  };
}
function vmi(domain: object, annotations: Record<string, string> = {}): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'a', namespace: 'default', labels: { size: 'small' }, annotations },
    spec: { domain } as Vmi['spec'],
  };
}
async function apply(presets: Preset[], object: Vmi) {
  const list = async <T extends KubeObject>() => presets as unknown as T[];
  return admitFor({ plugins: [domainOwner, plugin], object, options: { list } });
}

describe('presets', () => {
  it('fill in what the VMI leaves empty, before any default, and are noted', async () => {
    const verdict = await apply(
      [preset('small', { cpu: { cores: 2 }, resources: { requests: { memory: '64M' } } })],
      vmi({}),
    );
    expect(verdict.causes).toEqual([]);
    expect(verdict.object.spec).toEqual({ domain: { cpu: { cores: 2 }, resources: { requests: { memory: '64M' } } } });
    expect(verdict.object.metadata.annotations).toEqual({ 'virtualmachinepreset.kubevirt.io/small': 'kubevirt.io/v1' });
    expect(verdict.warnings[0]).toContain('deprecated');
  });

  it('give way to the VMI, whole sub-structures at a time, and name what it kept', async () => {
    const { object } = await apply(
      [preset('small', { cpu: { cores: 2, model: 'EPYC' }, firmware: { uuid: 'x' } })],
      vmi({ cpu: { cores: 4 } }),
    );
    expect(object.spec).toEqual({ domain: { cpu: { cores: 4 }, firmware: { uuid: 'x' } } });
    expect(JSON.parse(object.metadata.annotations?.['presets.virtloom.io/overridden'] ?? '')).toEqual({
      small: ['spec.domain.cpu'],
    });
  });

  it('are not noted when nothing of them holds', async () => {
    const { object } = await apply([preset('small', { cpu: { cores: 2 } })], vmi({ cpu: { cores: 4 } }));
    expect(object.metadata.annotations).not.toHaveProperty(['virtualmachinepreset.kubevirt.io/small']);
  });

  it('compare requests key by key and fill the clock apart from its timer', async () => {
    const { object } = await apply(
      [
        preset('small', {
          resources: { requests: { memory: '64M', cpu: '1' } },
          clock: { utc: {}, timer: { hpet: {} } },
        }),
      ],
      vmi({ resources: { requests: { memory: '1G' } }, clock: { timer: { rtc: {} } } }),
    );
    expect(object.spec).toMatchObject({
      domain: { resources: { requests: { memory: '1G' } }, clock: { utc: {}, timer: { rtc: {} } } },
    });
    expect(JSON.parse(object.metadata.annotations?.['presets.virtloom.io/overridden'] ?? '')).toEqual({
      small: ['spec.domain.resources.requests.memory', 'spec.domain.clock.timer'],
    });
  });

  it('refuse the VMI when two of them disagree, naming both', async () => {
    const { causes } = await apply(
      [preset('one', { cpu: { cores: 1 } }), preset('two', { cpu: { cores: 2 } })],
      vmi({ cpu: { cores: 4 } }),
    );
    expect(causes).toMatchObject([{ field: 'spec.domain.cpu' }]);
    expect(causes[0]?.message).toContain("presets 'two' and 'one' conflict");
  });

  it('leave a VMI alone that opts out, or whose labels do not match', async () => {
    const small = preset('small', { cpu: { cores: 2 } });
    const out = await apply(
      [small],
      vmi({}, { 'virtualmachineinstancepresets.admission.kubevirt.io/exclude': 'true' }),
    );
    expect(out.object.spec).toEqual({ domain: { cpu: { cores: 1 } } });
    const big = preset(
      'big',
      { cpu: { cores: 8 } },
      { matchExpressions: [{ key: 'size', operator: 'NotIn', values: ['small'] }] },
    );
    expect((await apply([big], vmi({}))).object.spec).toEqual({ domain: { cpu: { cores: 1 } } });
  });

  it.each([
    [{ selector: {} }, 'spec.domain: missing domain.'],
    [{ selector: {}, domain: { devices: { disks: [] } } }, 'spec.domain.devices.disks is never taken from a preset'],
    [{ selector: {}, domain: { memory: { guest: '1G' } } }, 'spec.domain.memory is never taken from a preset'],
    [
      { selector: { matchExpressions: [{ key: 'a', operator: 'Like' }] }, domain: {} },
      '"Like" is not a valid label selector operator',
    ],
    [{ selector: { matchExpressions: [{ key: 'a', operator: 'In' }] }, domain: {} }, 'must be set when operator is In'],
  ])('are refused when malformed: %j', async (spec, expected) => {
    const object = { ...preset('bad', {}), spec } as unknown as KubeObject;
    const { causes } = await admitFor({ plugins: [domainOwner, plugin], object });
    expect(causes.map((cause) => `${cause.field}: ${cause.message}`).join('\n')).toContain(expected);
  });
});
