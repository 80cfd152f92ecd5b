import { describe, expect, it } from 'vitest';
import { definePlugin, el, keyed, type Vmi } from 'virtloom/plugin';
import { admitFor, planFor } from 'virtloom/plugin/testing';
import { script } from './actions.ts';
import ioLimits from './index.ts';

/** As much of the plugins that this one requires as it sees of them. */
const disks = definePlugin({
  name: 'disks',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'disks',
  writes: { domain: ['devices'] },
  setup: () => ({
    prepareDomain({ vmi }, { domain }) {
      for (const { name } of vmi.spec.domain.devices?.disks ?? []) domain.device(keyed(`disk:${name}`, el('disk')));
    },
  }),
});
const interfaces = definePlugin({
  name: 'interfaces',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'interfaces',
  api: [
    { path: 'spec.networks[].pod', oneOf: 'source', schema: { type: 'object' } },
    { path: 'spec.domain.devices.interfaces[].wire', oneOf: 'binding', schema: { type: 'object' } },
    { path: 'spec.domain.devices.interfaces[].bare', oneOf: 'binding', schema: { type: 'object' } },
  ],
  setup: () => ({
    attachNetwork: {
      sources: { pod: () => ({ podInterface: 'eth0' }) },
      bindings: {
        wire: () => ({ interface: { type: 'ethernet', children: [el('target', { dev: 'tap0' })] } }),
        bare: () => ({ interface: { type: 'user', children: [] } }),
      },
    },
  }),
});

const vmi = (limits: object | undefined, nic: object = { wire: {} }): Vmi =>
  ({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'vm', namespace: 'ns' },
    spec: {
      domain: {
        devices: {
          disks: [{ name: 'a', ...(limits ? { ioLimits: limits } : {}) }],
          interfaces: [{ name: 'n', ...nic }],
        },
      },
      networks: [{ name: 'n', pod: {} }],
    },
  }) as unknown as Vmi;

const plugins = (options: Record<string, unknown> = {}) => [disks, interfaces, { plugin: ioLimits, options }];

describe('disks', () => {
  it('get libvirt’s iotune, bursts and all', async () => {
    const limits = {
      bytesPerSecond: { read: '10Mi', burst: '20Mi', burstSeconds: 5 },
      operationsPerSecond: { total: 100 },
    };
    const { xml, domain } = await planFor({ plugins: plugins(), vmi: vmi(limits) });
    expect(xml.replace(/\s+/g, '')).toContain(
      '<iotune><read_bytes_sec>10485760</read_bytes_sec><read_bytes_sec_max>20971520</read_bytes_sec_max>' +
        '<read_bytes_sec_max_length>5</read_bytes_sec_max_length><total_iops_sec>100</total_iops_sec></iotune>',
    );
    const iotune = domain.children[0]?.children[0]?.children[0];
    expect(iotune?.by).toMatchObject({ plugin: 'io-limits' });
  });

  it('that ask for nothing get the operator’s ceiling, and nothing where there is none', async () => {
    const ceiling = await planFor({ plugins: plugins({ maxBytesPerSecond: '1Mi' }), vmi: vmi(undefined) });
    expect(ceiling.xml).toContain('<total_bytes_sec>1048576</total_bytes_sec>');
    const none = await planFor({ plugins: plugins(), vmi: vmi(undefined) });
    expect(none.xml).not.toContain('iotune');
  });

  it.each([
    [{ bytesPerSecond: { total: '2Mi' } }, "bytesPerSecond.total '2Mi' is more than '1Mi'"],
    [{ bytesPerSecond: { total: 'lots' } }, "bytesPerSecond.total 'lots' must be an amount from 1"],
    [{ bytesPerSecond: { total: 0 } }, "bytesPerSecond.total '0' must be an amount from 1"],
    [{ bytesPerSecond: { total: 1000, read: 1000 } }, 'bytesPerSecond has total beside read or write'],
    [{ bytesPerSecond: { read: 1000, burst: 10 } }, "bytesPerSecond.burst '10' is less than the steady limit"],
    [{ operationsPerSecond: { read: 10, burstSeconds: 3 } }, 'burstSeconds says how long a burst may be'],
    [{ bytesPerDay: {} }, 'bytesPerDay'],
  ])('are refused with %j', async (limits, message) => {
    const { causes } = await admitFor({ plugins: plugins({ maxBytesPerSecond: '1Mi' }), object: vmi(limits) });
    expect(causes.map((cause) => cause.message).join('\n')).toContain(message);
  });
});

describe('interfaces', () => {
  it('get a step for their tap', async () => {
    const nic = { wire: {}, bandwidth: { toGuest: { bytesPerSecond: '10Mi' } } };
    const { chains } = await planFor({ plugins: plugins(), vmi: vmi(undefined, nic) });
    expect(chains.flatMap(({ steps }) => steps)).toMatchObject([
      { id: 'io-limits/domain/bandwidth-n', args: { tap: 'tap0', toGuest: { rate: 10485760 }, fromGuest: null } },
    ]);
  });

  it('without a tap cannot be limited', async () => {
    const nic = { bare: {}, bandwidth: { toGuest: { bytesPerSecond: '10Mi' } } };
    await expect(planFor({ plugins: plugins(), vmi: vmi(undefined, nic) })).rejects.toThrow(
      'interface n has a bandwidth, and no tap that could be limited',
    );
  });

  it('have rules that replace those of an earlier life', () => {
    const rules = script({ tap: 'tap-1', toGuest: { rate: 1000, burst: 500 }, fromGuest: null });
    expect(rules).toContain('table netdev io_limits_tap_1 {}\ndelete table netdev io_limits_tap_1');
    expect(rules).toContain('type filter hook egress device "tap-1"');
    expect(rules).not.toContain('ingress');
  });
});
