import { describe, expect, it } from 'vitest';
import { definePlugin, type KubeObject } from '../../core/index.ts';
import { admitFor } from '../../core/testing.ts';
import { review, stored, vmi } from './fixtures.ts';
import compute from './index.ts';

describe('defaults of a VMI', () => {
  it('are KubeVirt’s, each with its reason', async () => {
    const { object, record } = await review(vmi());
    expect(object.spec).toEqual({
      architecture: 'amd64',
      domain: {
        cpu: { sockets: 1, cores: 1, threads: 1, model: 'host-model', maxSockets: 4 },
        devices: {},
        features: { acpi: { enabled: true } },
        machine: { type: 'q35' },
        memory: { guest: '128Mi' },
      },
    });
    expect(object.status).toMatchObject({ runtimeUser: 107 });
    const ours = record.filter(({ by }) => by.plugin === 'compute');
    expect(ours.length).toBeGreaterThan(7);
    expect(ours.every(({ why }) => why !== undefined && why !== '')).toBe(true);
  });

  it('take memory from requests, else limits, and CPU from limits', async () => {
    const requested = await stored(vmi({ memory: {}, resources: { requests: { memory: '64Mi' } } }));
    expect(requested.spec.domain.memory).toEqual({ guest: '64Mi' });
    const limited = await stored(vmi({ memory: {}, resources: { limits: { memory: '96Mi', cpu: '2' } } }));
    expect(limited.spec.domain.memory).toEqual({ guest: '96Mi' });
    expect(limited.spec.domain.resources?.requests).toEqual({ cpu: '2' });
    expect(limited.spec.domain.cpu).toMatchObject({ sockets: 2, cores: 1, threads: 1, maxSockets: 8 });
  });

  it('keep what the manifest says', async () => {
    const cpu = { cores: 2, model: 'Haswell', maxSockets: 2 };
    const { spec } = await stored(
      vmi({ cpu, machine: { type: 'pc-q35-7.2' }, features: { acpi: { enabled: false } } }),
    );
    expect(spec.domain).toMatchObject({
      cpu,
      machine: { type: 'pc-q35-7.2' },
      features: { acpi: { enabled: false } },
    });
    expect(spec.domain.cpu).not.toHaveProperty('sockets');
  });

  it('make room for four times the memory from 1Gi on, where it can be plugged in', async () => {
    const maxGuest = async (guest: string) => (await stored(vmi({ memory: { guest } }))).spec.domain.memory?.maxGuest;
    expect(await maxGuest('1Gi')).toBe('4096Mi');
    expect(await maxGuest('1536Mi')).toBe('6144Mi');
    expect(await maxGuest('1023Mi')).toBeUndefined();
    expect(await maxGuest('1025Mi')).toBeUndefined();
  });

  it('fill in inputs, watchdog and what Hyper-V enlightenments stand on', async () => {
    const { spec } = await stored(
      vmi(
        { features: { hyperv: { ipi: {}, synictimer: {} } } },
        {
          inputs: [{ name: 'a', type: 'tablet' }],
          watchdog: { name: 'dog' },
        },
      ),
    );
    expect(spec.domain.devices?.inputs).toEqual([{ name: 'a', type: 'tablet', bus: 'usb' }]);
    expect(spec.domain.devices?.watchdog).toEqual({ name: 'dog', i6300esb: { action: 'reset' } });
    expect(spec.domain.features?.hyperv).toEqual({
      ipi: {},
      synictimer: {},
      synic: { enabled: true },
      vpindex: { enabled: true },
    });
  });

  it('change nothing later on', async () => {
    const { record } = await review(vmi(), 'UPDATE');
    expect(record.filter(({ by }) => by.plugin === 'compute')).toEqual([]);
  });

  it('do not paper over fields of a wrong type', async () => {
    const { object, causes } = await review(vmi({ cpu: 5, machine: 'q35' } as never));
    expect(object.spec.domain).toMatchObject({ cpu: 5, machine: 'q35' });
    expect(causes.map((cause) => cause.field)).toEqual(
      expect.arrayContaining(['spec.domain.cpu', 'spec.domain.machine']),
    );
  });
});

describe('defaults of a VirtualMachine', () => {
  const machines = definePlugin({
    name: 'machines',
    version: '0.0.0',
    core: '^1.0.0',
    summary: 'a kind with a template',
    setup: () => ({
      kinds: [
        {
          resource: {
            group: 'kubevirt.io',
            version: 'v1',
            plural: 'virtualmachines',
            kind: 'VirtualMachine',
            namespaced: true,
          },
          singular: 'virtualmachine',
          shortNames: [],
          versions: [{ name: 'v1' }],
          columns: [],
          statusSubresource: true,
          template: 'spec.template',
        },
      ],
    }),
  });

  it('are only what must stay when the platform changes', async () => {
    const object = {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: { name: 'a', namespace: 'b' },
      spec: { template: { spec: { domain: { devices: {} } } } },
    } as KubeObject;
    const given = await admitFor({ plugins: [compute, machines], object });
    expect(given.causes).toEqual([]);
    expect(given.object.spec).toEqual({
      template: { spec: { architecture: 'amd64', domain: { devices: {}, machine: { type: 'q35' } } } },
    });
  });

  it('are refused with the paths of the template', async () => {
    const object = {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: { name: 'a', namespace: 'b' },
      spec: {
        template: {
          spec: { domain: { devices: {}, machine: { type: 'isapc' } } },
        },
      },
    } as KubeObject;
    const { causes } = await admitFor({ plugins: [compute, machines], object });
    expect(causes.map((cause) => cause.field)).toEqual(['spec.template.spec.domain.machine.type']);
    expect(causes[0]?.message).toContain('spec.template.spec.domain.machine.type is not supported');
  });
});
