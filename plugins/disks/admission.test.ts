// Defaults and rules: what is filled in, what is refused, under which field and with which words.
import { describe, expect, it } from 'vitest';
import { admitFor } from '../../core/testing.ts';
import { definePlugin } from '../../core/index.ts';
import type { Disk, Vmi, Volume } from '../../core/index.ts';
import { testVolumes, vmiOf } from './fixtures.ts';
import disks from './index.ts';

const plugins = [disks, testVolumes];
const D = 'spec.domain.devices.disks';

async function causesOf(vmi: Vmi): Promise<string[]> {
  const { causes } = await admitFor({ plugins, object: vmi });
  return causes.map(({ field, reason, message }) => `${field}: ${reason}: ${message}`);
}
const one = (disk: Omit<Disk, 'name'>) => vmiOf([{ name: 'a', ...disk }]);

describe('defaults', () => {
  const defaulted = async (vmi: Vmi) => {
    const { object, causes } = await admitFor({ plugins, object: vmi });
    expect(causes).toEqual([]);
    return (object as unknown as Vmi).spec.domain.devices?.disks;
  };

  it('give a bus, and a CD-ROM its tray', async () => {
    expect(
      await defaulted(vmiOf([{ name: 'a' }, { name: 'b', disk: { bus: 'virtio' } }, { name: 'c', cdrom: {} }])),
    ).toEqual([
      { name: 'a', disk: { bus: 'sata' } },
      { name: 'b', disk: { bus: 'virtio' } },
      { name: 'c', cdrom: { bus: 'sata', readonly: true, tray: 'closed' } },
    ]);
  });

  it('give each volume without a disk one, in order', async () => {
    const volumes = ['x', 'b', 'y'].map((name) => ({ name, test: {} }) as Volume);
    expect(await defaulted(vmiOf([{ name: 'b', disk: { bus: 'virtio' } }], { volumes }))).toEqual([
      { name: 'b', disk: { bus: 'virtio' } },
      { name: 'x', disk: { bus: 'sata' } },
      { name: 'y', disk: { bus: 'sata' } },
    ]);
  });

  it('make the list where there is none', async () => {
    const vmi = vmiOf([], { volumes: [{ name: 'x', test: {} } as Volume] });
    delete (vmi.spec.domain as { devices?: unknown }).devices;
    expect(await defaulted(vmi)).toEqual([{ name: 'x', disk: { bus: 'sata' } }]);
  });
});

describe('rules', () => {
  it('accept what is right', async () => {
    expect(await causesOf(one({ disk: { bus: 'virtio' }, bootOrder: 1, serial: 'a_B.+-9', cache: 'none' }))).toEqual(
      [],
    );
    expect(await causesOf(vmiOf([{ name: 'empty', cdrom: { bus: 'sata' } }], { volumes: [] }))).toEqual([]);
  });

  it.each<[string, Vmi, string[]]>([
    [
      'two disks of one name',
      vmiOf([{ name: 'a' }, { name: 'a' }], { volumes: [{ name: 'a', test: {} } as Volume] }),
      [`${D}[1].name: FieldValueInvalid: ${D}[1] and ${D}[0] must not have the same Name.`],
    ],
    [
      'two volumes of one name',
      vmiOf([{ name: 'a' }], { volumes: [{ name: 'a', test: {} } as Volume, { name: 'a', test: {} } as Volume] }),
      ['spec.volumes[1].name: FieldValueInvalid: spec.volumes[1] and spec.volumes[0] must not have the same Name.'],
    ],
    [
      'a disk without a volume',
      vmiOf([{ name: 'a', disk: {} }], { volumes: [] }),
      [`${D}[0].name: FieldValueInvalid: ${D}[0].name 'a' not found.`],
    ],
    [
      'two targets',
      one({ disk: {}, cdrom: {} }),
      [`${D}[0]: FieldValueInvalid: ${D}[0] must have exactly one target, but has disk and cdrom`],
    ],
    ['ide', one({ disk: { bus: 'ide' } }), [`${D}[0].disk.bus: FieldValueInvalid: IDE bus is not supported`]],
    [
      'an unknown bus',
      one({ disk: { bus: 'nvme' } }),
      [
        `${D}[0].disk.bus: FieldValueInvalid: ${D}[0] is set with an unrecognized bus nvme, must be one of: [virtio scsi sata usb]`,
      ],
    ],
    [
      'a CD-ROM on virtio',
      one({ cdrom: { bus: 'virtio' } }),
      [`${D}[0].cdrom.bus: FieldValueInvalid: Bus type virtio is invalid for CD-ROM device`],
    ],
    [
      'a read-only SATA disk',
      one({ disk: { bus: 'sata', readonly: true } }),
      [`${D}[0].disk.bus: FieldValueInvalid: sata hard-disks do not support read-only.`],
    ],
    [
      'a PCI address on SATA, and a malformed one',
      one({ disk: { bus: 'sata', pciAddress: '81:01.0' } }),
      [
        `${D}[0].disk.pciAddress: FieldValueInvalid: disk ${D}[0].name - setting a PCI address is only possible with bus type virtio.`,
        `${D}[0].disk.pciAddress: FieldValueInvalid: disk ${D}[0].name has malformed PCI address (81:01.0).`,
      ],
    ],
    [
      'boot order 0',
      one({ disk: { bus: 'sata' }, bootOrder: 0 }),
      [`${D}[0].bootOrder: FieldValueInvalid: ${D}[0] must have a boot order > 0, if supplied`],
    ],
    [
      'a boot order twice',
      vmiOf([
        { name: 'a', bootOrder: 1 },
        { name: 'b', bootOrder: 1 },
      ]),
      [`${D}[1].bootOrder: FieldValueInvalid: Boot order for ${D}[1].bootOrder already set for a different device.`],
    ],
    [
      'a serial of bad characters',
      one({ disk: {}, serial: 'a b' }),
      [
        `${D}[0].serial: FieldValueInvalid: ${D}[0] must be made up of the following characters [A-Za-z0-9_.+-], if specified`,
      ],
    ],
    [
      'a serial too long',
      one({ disk: {}, serial: 'x'.repeat(257) }),
      [`${D}[0].serial: FieldValueInvalid: ${D}[0] must be less than or equal to 256 in length, if specified`],
    ],
    [
      'an unknown cache mode',
      one({ disk: {}, cache: 'unsafe' }),
      [`${D}[0].cache: FieldValueInvalid: ${D}[0].cache has invalid value unsafe`],
    ],
    [
      'an unknown I/O mode',
      one({ disk: {}, io: 'io_uring' }),
      [
        `${D}[0].io: FieldValueNotSupported: Disk IO mode for ${D}[0] is not supported. Supported modes are: native, threads.`,
      ],
    ],
    [
      'an unknown error policy',
      one({ disk: {}, errorPolicy: 'retry' }),
      [`${D}[0].errorPolicy: FieldValueInvalid: ${D}[0].errorPolicy has invalid value "retry"`],
    ],
    [
      'a shareable disk with a cache',
      one({ disk: {}, shareable: true, cache: 'writeback' }),
      [`${D}[0].cache: FieldValueInvalid: a sharable disk requires cache = none got: writeback`],
    ],
    [
      'an I/O thread of its own on SATA',
      one({ disk: { bus: 'sata' }, dedicatedIOThread: true }),
      [`${D}[0]: FieldValueNotSupported: IOThreads are not supported for disks on a sata bus`],
    ],
    [
      'a logical block larger than the physical',
      one({ disk: { bus: 'virtio' }, blockSize: { custom: { logical: 4096, physical: 512 } } }),
      [
        `${D}[0].blockSize.custom.logical: FieldValueInvalid: Logical size 4096 must be the same or less than the physical size of 512`,
      ],
    ],
    [
      'a SATA disk of large blocks',
      one({ disk: { bus: 'sata' }, blockSize: { custom: { logical: 4096, physical: 4096 } } }),
      [`${D}[0].blockSize.custom.logical: FieldValueInvalid: Logical size 4096 must be 512 for SATA devices`],
    ],
    [
      'blocks out of range',
      one({ disk: { bus: 'virtio' }, blockSize: { custom: { logical: 256, physical: 1000 } } }),
      [
        `${D}[0].blockSize.custom.logical: FieldValueInvalid: Provided size of 256 is less than the supported minimum size of 512`,
        `${D}[0].blockSize.custom.physical: FieldValueInvalid: Provided size of 1000 is not a power of 2`,
      ],
    ],
    [
      'blocks too large',
      one({ disk: { bus: 'virtio' }, blockSize: { custom: { logical: 512, physical: 4194304 } } }),
      [
        `${D}[0].blockSize.custom.physical: FieldValueInvalid: Provided size of 4194304 is greater than the supported maximum size of 2097152`,
      ],
    ],
    [
      'a thread policy of another kind',
      vmiOf([{ name: 'a' }], { domain: { ioThreadsPolicy: 'many' } }),
      ['spec.domain.ioThreadsPolicy: FieldValueInvalid: Invalid IOThreadsPolicy (many)'],
    ],
    [
      'the pool that libvirt 9 does not know',
      vmiOf([{ name: 'a' }], { domain: { ioThreadsPolicy: 'supplementalPool' } }),
      [
        'spec.domain.ioThreadsPolicy: FieldValueNotSupported: IOThreadsPolicy supplementalPool is not supported: must be one of: shared, auto',
      ],
    ],
    [
      'a tray of another state',
      one({ cdrom: { bus: 'sata', tray: 'ajar' } }),
      [
        `${D}[0].cdrom.tray: FieldValueNotSupported: ${D}[0].cdrom.tray: unsupported value "ajar": supported values: "open", "closed"`,
      ],
    ],
  ])('refuse %s', async (_, vmi, expected) => {
    expect(await causesOf(vmi)).toEqual(expected);
  });

  it('refuse names that are no labels, disks and volumes alike', async () => {
    for (const name of ['../../etc', 'A', 'a_b', '', '-a', 'x'.repeat(64), 'a\n']) {
      const causes = await causesOf(vmiOf([{ name, disk: { bus: 'virtio' } }]));
      expect(causes.map((cause) => cause.split(':')[0])).toEqual([`${D}[0].name`, 'spec.volumes[0].name']);
    }
  });

  it('tell everything at once', async () => {
    const causes = await causesOf(
      vmiOf([{ name: 'A', disk: { bus: 'ide' }, cache: 'x', io: 'y', serial: '?', bootOrder: -1, errorPolicy: 'z' }]),
    );
    expect(causes).toHaveLength(8);
  });

  it('survive every wrong type', async () => {
    for (const junk of [null, 5, 'text', [], {}, true]) {
      const disk = Object.fromEntries(
        [
          'disk',
          'bootOrder',
          'serial',
          'cache',
          'io',
          'errorPolicy',
          'shareable',
          'blockSize',
          'dedicatedIOThread',
        ].map((key) => [key, junk]),
      );
      const vmi = vmiOf([{ name: 'a', ...disk } as Disk, { name: junk, cdrom: junk, lun: junk } as unknown as Disk]);
      (vmi.spec.domain as { ioThreadsPolicy?: unknown }).ioThreadsPolicy = junk;
      expect((await causesOf(vmi)).length).toBeGreaterThan(0);
    }
  });
});

describe('a kind that holds a template', () => {
  const kinds = definePlugin({
    name: 'test-kinds',
    version: '0.0.0',
    core: '^1.0.0',
    summary: 'a kind of tests',
    setup: () => ({
      kinds: [
        {
          resource: { group: 'test', version: 'v1', plural: 'machines', kind: 'Machine', namespaced: true },
          singular: 'machine',
          shortNames: [],
          versions: [{ name: 'v1' }],
          columns: [],
          statusSubresource: false,
          template: 'spec.template',
        },
      ],
    }),
  });
  const machine = (vmi: Vmi) => ({
    apiVersion: 'test/v1',
    kind: 'Machine',
    metadata: { name: 'm', namespace: 'ns' },
    spec: { template: { spec: vmi.spec } },
  });

  it('has its causes at their own places', async () => {
    const object = machine(one({ disk: { bus: 'ide' } }));
    const { causes } = await admitFor({ plugins: [...plugins, kinds], object });
    expect(causes.map(({ field }) => field)).toEqual(['spec.template.spec.domain.devices.disks[0].disk.bus']);
  });

  it('is not completed: its VMIs are', async () => {
    const object = machine(vmiOf([], { volumes: [{ name: 'x', test: {} } as Volume] }));
    expect(await admitFor({ plugins: [...plugins, kinds], object })).toMatchObject({ object, causes: [] });
  });
});
