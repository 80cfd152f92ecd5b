// Disks in the domain: KubeVirt's shape, libvirt's schema, random VMIs.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planFor } from '../../core/testing.ts';
import type { Disk, Volume } from '../../core/index.ts';
import { testFrame, testVolumes, validateXml, vmiOf } from './fixtures.ts';
import disks from './index.ts';
import { deviceName } from './target.ts';

const plugins = [disks, testVolumes, testFrame];

async function xmlOf(list: Disk[], rest: Parameters<typeof vmiOf>[1] = {}): Promise<string> {
  return (await planFor({ plugins, vmi: vmiOf(list, rest) })).xml;
}
const diskXml = (xml: string): string => xml.slice(xml.indexOf('    <disk'), xml.lastIndexOf('</disk>') + 7);

describe('a disk', () => {
  it('on virtio is what KubeVirt makes of it', async () => {
    const xml = await xmlOf([{ name: 'root', disk: { bus: 'virtio' } }]);
    expect(diskXml(xml)).toBe(`    <disk device="disk" type="file" model="virtio-non-transitional">
      <source file="/test/root"/>
      <target bus="virtio" dev="vda"/>
      <driver type="raw" cache="none" name="qemu" error_policy="stop" discard="unmap"/>
      <alias name="ua-root"/>
    </disk>`);
    await validateXml(xml);
  });

  it('without a bus is SATA, a CD-ROM is closed and read-only', async () => {
    const xml = await xmlOf([{ name: 'a' }, { name: 'b', cdrom: {} }]);
    expect(diskXml(xml)).toBe(`    <disk device="disk" type="file">
      <source file="/test/a"/>
      <target bus="sata" dev="sda"/>
      <driver type="raw" cache="none" name="qemu" error_policy="stop" discard="unmap"/>
      <alias name="ua-a"/>
    </disk>
    <disk device="cdrom" type="file">
      <source file="/test/b"/>
      <target bus="sata" dev="sdb" tray="closed"/>
      <driver type="raw" cache="none" name="qemu" error_policy="stop"/>
      <readonly/>
      <alias name="ua-b"/>
    </disk>`);
    await validateXml(xml);
  });

  it('carries every option', async () => {
    const xml = await xmlOf(
      [
        {
          name: 'root',
          disk: { bus: 'virtio', readonly: true, pciAddress: '0000:81:01.0' },
          bootOrder: 2,
          serial: 'S-1',
          cache: 'writeback',
          io: 'threads',
          errorPolicy: 'enospace',
          dedicatedIOThread: true,
          blockSize: { custom: { logical: 512, physical: 4096 } },
        },
        { name: 'shared', disk: { bus: 'virtio' }, shareable: true },
        { name: 'tray', cdrom: { bus: 'scsi', tray: 'open', readonly: false }, bootOrder: 1 },
        { name: 'stick', disk: { bus: 'usb' } },
        { name: 'raw', lun: { bus: 'scsi' } },
      ],
      {
        domain: { cpu: { sockets: 2, cores: 3 } },
        devices: { blockMultiQueue: true },
        volumes: [
          ...['root', 'shared', 'tray', 'stick'].map((name) => ({ name, test: {} }) as Volume),
          { name: 'raw', test: { type: 'block', driver: { type: 'raw', cache: 'none', io: 'native' } } } as Volume,
        ],
      },
    );
    await validateXml(xml);
    expect(xml).toContain('<address type="pci" domain="0x0000" bus="0x81" slot="0x01" function="0x0"/>');
    expect(xml).toContain('<boot order="2"/>');
    expect(xml).toContain('<serial>S-1</serial>');
    expect(xml).toContain(
      '<driver type="raw" cache="writeback" name="qemu" io="threads" error_policy="enospace" discard="unmap" iothread="2" queues="6"/>',
    );
    expect(xml).toContain('<blockio logical_block_size="512" physical_block_size="4096"/>');
    expect(xml).toContain('<shareable/>');
    expect(xml).toContain('<target bus="scsi" dev="sda" tray="open"/>');
    expect(xml).toContain('<target bus="usb" dev="sdb"/>');
    expect(xml).toContain('<disk device="lun" type="block">');
    expect(xml).toContain('<address type="drive" controller="0" bus="0" unit="2"/>');
    expect(xml).toContain('io="native"');
    // The dedicated thread comes after the one that the four others share.
    expect(xml).toContain('<iothreads>2</iothreads>');
  });

  it('is left out where the volume is none, and an empty CD-ROM drive is not', async () => {
    const xml = await xmlOf([{ name: 'a' }, { name: 'drive', cdrom: {} }], {
      volumes: [{ name: 'a', test: { none: true } } as Volume],
    });
    expect(diskXml(xml)).toBe(`    <disk device="cdrom" type="file">
      <target bus="sata" dev="sda" tray="closed"/>
      <driver name="qemu" type="raw" error_policy="stop"/>
      <readonly/>
      <alias name="ua-drive"/>
    </disk>`);
    await validateXml(xml);
  });

  it('takes the cache that its file system can do, and says so where the user asks for more', async () => {
    const volumes = [{ name: 'a', test: { driver: { type: 'raw', cache: 'writethrough', io: 'native' } } } as Volume];
    const xml = await xmlOf([{ name: 'a' }], { volumes });
    expect(xml).toContain('cache="writethrough"');
    expect(xml).not.toContain('io=');
    await expect(xmlOf([{ name: 'a', cache: 'none' }], { volumes })).rejects.toThrow(
      /disk a asks for cache none, which the file system that holds it cannot do.*Use cache writethrough/,
    );
    await expect(xmlOf([{ name: 'a', lun: {} }], { volumes })).rejects.toThrow(/disk a is a lun/);
  });

  it('keeps what its volume says of discard and readonly', async () => {
    const xml = await xmlOf([{ name: 'a', disk: { bus: 'virtio' } }], {
      volumes: [{ name: 'a', test: { driver: { type: 'raw', discard: 'ignore' }, readonly: true } } as Volume],
    });
    expect(xml).toContain('discard="ignore"');
    expect(xml).toContain('<readonly/>');
  });

  it('is found by others by its key', async () => {
    const { domain } = await planFor({ plugins, vmi: vmiOf([{ name: 'root' }]) });
    const devices = domain.children.find((child) => child.tag === 'devices');
    expect(devices?.children.map(({ key }) => key)).toEqual(['disk:root']);
    expect(devices?.children[0]?.by?.plugin).toBe('disks');
    expect(devices?.children[0]?.children[0]?.by?.plugin).toBe('test-volumes');
  });
});

describe('I/O threads', () => {
  const list = (count: number, dedicated = 0): Disk[] =>
    Array.from({ length: count }, (_, i) => ({
      name: `d${i}`,
      disk: { bus: 'virtio' },
      ...(i < dedicated ? { dedicatedIOThread: true } : {}),
    }));
  const threads = (xml: string) => [...xml.matchAll(/iothread="(\d+)"/g)].map((match) => Number(match[1]));

  it.each([
    [{ ioThreadsPolicy: 'shared' }, 3, 0, '1', [1, 1, 1]],
    [{ ioThreadsPolicy: 'auto' }, 3, 0, '2', [1, 2, 1]],
    [{ ioThreadsPolicy: 'auto', resources: { requests: { cpu: '1500m' } } }, 3, 1, '3', [3, 1, 2]],
    [{}, 3, 2, '3', [2, 3, 1]],
    [{}, 1, 1, '1', [1]],
  ])('%j with %i disks, %i of them dedicated', async (domain, count, dedicated, total, each) => {
    const xml = await xmlOf(list(count, dedicated), { domain });
    expect(xml).toContain(`<iothreads>${total}</iothreads>`);
    expect(threads(xml)).toEqual(each);
  });

  it('are none unless asked for', async () => {
    expect(await xmlOf(list(2))).not.toContain('iothread');
  });
});

describe('device names', () => {
  it('count as Linux counts', () => {
    expect([0, 25, 26, 701, 702].map((index) => deviceName('sd', index))).toEqual([
      'sda',
      'sdz',
      'sdaa',
      'sdzz',
      'sdaaa',
    ]);
  });
  it('are never given twice', () => {
    expect(new Set(Array.from({ length: 2000 }, (_, index) => deviceName('vd', index))).size).toBe(2000);
  });
});

const target = (bus: fc.Arbitrary<string>, extra: object = {}) =>
  fc.record({ bus, ...extra } as { bus: fc.Arbitrary<string> }, { requiredKeys: [] });
const anyDisk = (name: string): fc.Arbitrary<Disk> =>
  fc
    .record(
      {
        serial: fc.stringMatching(/^[A-Za-z0-9_.+-]{1,30}$/),
        cache: fc.constantFrom('none', 'writethrough', 'writeback'),
        io: fc.constantFrom('native', 'threads'),
        errorPolicy: fc.constantFrom('stop', 'ignore', 'report', 'enospace'),
        bootOrder: fc.integer({ min: 1, max: 1000 }),
        blockSize: fc.constant({ custom: { logical: 512, physical: 4096 } }),
      },
      { requiredKeys: [] },
    )
    .chain((options) =>
      fc
        .oneof(
          target(fc.constantFrom('virtio', 'scsi', 'sata', 'usb')).map((disk) => ({ disk })),
          target(fc.constantFrom('scsi', 'sata', 'usb'), {
            tray: fc.constantFrom('open', 'closed'),
            readonly: fc.boolean(),
          }).map((cdrom) => ({ cdrom })),
          fc.constant({}),
        )
        .map((kind) => ({ name, ...options, ...kind }) as Disk),
    );

it('any disks make a domain that libvirt knows', async () => {
  const lists = fc
    .integer({ min: 1, max: 8 })
    .chain((n) => fc.tuple(...Array.from({ length: n }, (_, i) => anyDisk(`d${i}`))));
  await fc.assert(
    fc.asyncProperty(lists, async (list) => {
      const xml = await xmlOf(list);
      await validateXml(xml);
      const names = [...xml.matchAll(/dev="([sv]d[a-z]+)"/g)].map((match) => match[1]);
      expect(new Set(names).size).toBe(list.length);
    }),
    { numRuns: 25 },
  );
});
