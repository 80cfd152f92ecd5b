import { describe, expect, it } from 'vitest';
import { definePlugin, el, keyed, type Vmi } from 'virtloom/plugin';
import { admitFor, planFor, testHost } from 'virtloom/plugin/testing';
import ioLimits from './index.ts';

/** As much of the plugins that this one requires as it sees of them. */
const disks = definePlugin({
  name: 'disks',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'disks',
  writes: { domain: ['devices'] },
  api: [{ path: 'spec.volumes[].blank', oneOf: 'source', schema: { type: 'object' } }],
  setup: () => ({
    attachDisk: { blank: () => ({ disk: { type: 'file', source: el('source'), driver: {} } }) },
    prepareDomain({ disks: attached }, { domain }) {
      for (const { name } of attached) domain.device(keyed(`disk:${name}`, el('disk')));
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

const vmi = (limits?: object, nic: object = { wire: {} }): Vmi => {
  const devices = {
    disks: [{ name: 'a', ...(limits ? { ioLimits: limits } : {}) }],
    interfaces: [{ name: 'n', ...nic }],
  };
  const networks = [{ name: 'n', pod: {} }];
  const volumes = [{ name: 'a', blank: {} }];
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'vm', namespace: 'ns' },
    spec: { domain: { devices }, networks, volumes },
  };
};
const wired = (bandwidthLimits: object): Vmi => vmi(undefined, { wire: {}, bandwidthLimits });

type Options = Record<string, unknown>;
const plugins = (options: Options = {}) => [disks, interfaces, { plugin: ioLimits, options }];
const messages = async (options: Options, object: Vmi, old?: Vmi): Promise<string> => {
  const change = old ? ({ old, operation: 'UPDATE' } as const) : {};
  const { causes } = await admitFor({ plugins: plugins(options), object, ...change });
  return causes.map(({ message }) => message).join('\n');
};
const DISK = 'spec.domain.devices.disks[0].ioLimits';
const NIC = 'spec.domain.devices.interfaces[0].bandwidthLimits';

describe('the domain', () => {
  it('has libvirt’s iotune, bursts and all, signed', async () => {
    const limits = {
      bytesPerSecond: { read: '10Mi', burst: '20Mi', burstSeconds: 5 },
      operationsPerSecond: { total: 100 },
    };
    const { xml, domain } = await planFor({ plugins: plugins(), vmi: vmi(limits) });
    expect(xml.replace(/\s+/g, '')).toContain(
      '<iotune><read_bytes_sec>10485760</read_bytes_sec><read_bytes_sec_max>20971520</read_bytes_sec_max>' +
        '<read_bytes_sec_max_length>5</read_bytes_sec_max_length><total_iops_sec>100</total_iops_sec></iotune>',
    );
    expect(domain.children[0]?.children[0]?.children[0]?.by).toMatchObject({ plugin: 'io-limits' });
  });

  it('has none where nothing is limited', async () => {
    const { xml, chains } = await planFor({ plugins: plugins(), vmi: vmi() });
    expect(xml).not.toContain('iotune');
    expect(chains).toEqual([]);
  });
});

describe('a step', () => {
  it('limits the tap of an interface, with room for large packets', async () => {
    const object = wired({ toGuest: { bytesPerSecond: '10Mi' }, fromGuest: { bytesPerSecond: 1000 } });
    const { chains } = await planFor({ plugins: plugins(), vmi: object });
    expect(chains.flatMap(({ steps }) => steps)).toMatchObject([
      {
        id: 'io-limits/domain/bandwidth-n',
        args: { tap: 'tap0', toGuest: { rate: 10485760, burst: 1048576 }, fromGuest: { rate: 1000, burst: 131072 } },
      },
    ]);
  });

  it('cannot be made without a tap', async () => {
    const object = vmi(undefined, { bare: {}, bandwidthLimits: { toGuest: { bytesPerSecond: '10Mi' } } });
    await expect(planFor({ plugins: plugins(), vmi: object })).rejects.toThrow(
      'interface n has bandwidthLimits, and no tap that could be limited',
    );
  });
});

describe('who asks for nothing', () => {
  const filled = async (options: Options, object: Vmi) => {
    const { object: made, causes } = await admitFor({ plugins: plugins(options), object });
    expect(causes).toEqual([]);
    return made['spec'];
  };
  const ceilings = { maxBytesPerSecond: '1Mi', maxOperationsPerSecond: 50, maxBandwidth: '2Mi' };

  it('gets the ceilings', async () => {
    const limits = { bytesPerSecond: { total: '1Mi' }, operationsPerSecond: { total: 50 } };
    const way = { bytesPerSecond: '2Mi' };
    const expected = vmi(limits, { wire: {}, bandwidthLimits: { toGuest: way, fromGuest: way } });
    expect(await filled(ceilings, vmi())).toEqual(expected.spec);
  });

  it('gets the defaults where there are any, and for what it does not say', async () => {
    const defaults = {
      defaultIoLimits: { operationsPerSecond: { read: 20, write: 10 } },
      defaultBandwidthLimits: { toGuest: { bytesPerSecond: '1Mi' } },
    };
    const asked = vmi({ bytesPerSecond: { total: '512Ki' } });
    const limits = { bytesPerSecond: { total: '512Ki' }, operationsPerSecond: { read: 20, write: 10 } };
    const nic = { toGuest: { bytesPerSecond: '1Mi' }, fromGuest: { bytesPerSecond: '2Mi' } };
    const expected = vmi(limits, { wire: {}, bandwidthLimits: nic });
    expect(await filled({ ...ceilings, ...defaults }, asked)).toEqual(expected.spec);
  });

  it('stays as it is without options, and once it is made', async () => {
    expect(await filled({}, vmi())).toEqual(vmi().spec);
    const { object } = await admitFor({ plugins: plugins(ceilings), object: vmi(), old: vmi(), operation: 'UPDATE' });
    expect(object['spec']).toEqual(vmi().spec);
  });
});

describe('a disk is refused that asks for', () => {
  it.each<[object, string]>([
    [
      { bytesPerSecond: { total: '2Mi' } },
      ".total '2Mi' is more than '1Mi', which is the most that the operator allows",
    ],
    [{ bytesPerSecond: { read: '1Mi', write: '1Mi' } }, " read and write together are more than '1Mi'"],
    [{ bytesPerSecond: { read: '1Mi' } }, " needs both read and write: together they must stay within the operator's"],
    [{ bytesPerSecond: { total: 1, burst: '2Mi' } }, ".burst '2Mi' is more than '1Mi'"],
    [{ bytesPerSecond: { read: 1, write: 1, burst: '1Mi' } }, ".burst '1Mi', for reads and for writes, is more than"],
    [{ bytesPerSecond: {} }, ' limits nothing'],
    [{ bytesPerSecond: { burst: 5, burstSeconds: 5 } }, ' limits nothing'],
  ])('%j, where 1Mi is the most', async (limits, why) => {
    expect(await messages({ maxBytesPerSecond: '1Mi' }, vmi(limits))).toContain(`${DISK}.bytesPerSecond${why}`);
  });

  it.each<[object, string]>([
    [{ bytesPerSecond: { total: 'lots' } }, "bytesPerSecond.total 'lots' must be an amount from 1"],
    [{ bytesPerSecond: { total: 0 } }, "bytesPerSecond.total '0' must be an amount from 1"],
    [{ bytesPerSecond: { total: '-1Mi' } }, "bytesPerSecond.total '-1Mi' must be an amount from 1"],
    [{ bytesPerSecond: { total: '1E' } }, "bytesPerSecond.total '1E' must be at most 1000000000000000"],
    [{ bytesPerSecond: { total: 1000, read: 1000 } }, 'bytesPerSecond has total beside read or write'],
    [{ bytesPerSecond: { read: 1000, burst: 10 } }, "bytesPerSecond.burst '10' is less than the steady limit"],
    [{ bytesPerSecond: { read: 10, burst: '1T', burstSeconds: 2000 } }, "burst '1T' is too much for 2000 seconds"],
    [{ operationsPerSecond: { read: 10, burstSeconds: 3 } }, 'burstSeconds says how long a burst may be'],
    [{ operationsPerSecond: { read: 10, burst: 20, burstSeconds: 0 } }, 'burstSeconds'],
    [{ bytesPerDay: {} }, 'bytesPerDay'],
  ])('%j', async (limits, why) => {
    expect(await messages({}, vmi(limits))).toContain(why);
  });

  it('more than a ceiling that came later: but not while it asks for nothing new', async () => {
    const had = vmi({ bytesPerSecond: { total: '5Mi' } });
    expect(await messages({ maxBytesPerSecond: '1Mi' }, had, structuredClone(had))).toBe('');
    const more = vmi({ bytesPerSecond: { total: '6Mi' } });
    expect(await messages({ maxBytesPerSecond: '1Mi' }, more, had)).toContain("'6Mi' is more than '1Mi'");
  });
});

describe('an interface is refused that asks for', () => {
  it.each<[object, string]>([
    [{ toGuest: { bytesPerSecond: '2Mi' } }, ".toGuest.bytesPerSecond '2Mi' is more than '1Mi'"],
    [{ fromGuest: { bytesPerSecond: 1, burst: '2Mi' } }, ".fromGuest.burst '2Mi' is more than '1Mi'"],
    [{ fromGuest: { bytesPerSecond: 1, burst: 1500 } }, ".fromGuest.burst '1500' must be at least 131072"],
    [{ fromGuest: { bytesPerSecond: 1, burst: '4Gi' } }, ".fromGuest.burst '4Gi' must be at most 4294967295"],
    [{ toGuest: { bytesPerSecond: '20G' } }, ".toGuest.bytesPerSecond '20G' must be at most 10000000000"],
    [{ toGuest: { bytesPerSecond: 'x' } }, ".toGuest.bytesPerSecond 'x' must be an amount from 1"],
    [{ toGuest: {} }, '.toGuest.bytesPerSecond is required'],
    [{ inbound: {} }, '.inbound'],
  ])('%j', async (limits, why) => {
    expect(await messages({ maxBandwidth: '1Mi' }, wired(limits))).toContain(NIC + why);
  });
});

describe('options are refused', () => {
  it.each<[Options, string]>([
    [{ maxBytesPerSecond: 'lots' }, "maxBytesPerSecond 'lots' must be an amount from 1"],
    [{ maxBandwidth: 0 }, "maxBandwidth '0' must be an amount from 1"],
    [
      { maxBytesPerSecond: '1Mi', defaultIoLimits: { bytesPerSecond: { total: '2Mi' } } },
      "defaultIoLimits.bytesPerSecond.total '2Mi' is more than '1Mi'",
    ],
    [{ defaultBandwidthLimits: { toGuest: {} } }, 'defaultBandwidthLimits.toGuest'],
    [{ maxBytes: 1 }, 'maxBytes'],
  ])('%j', (options, why) => {
    expect(() => testHost(plugins(options))).toThrow(why);
  });
});
