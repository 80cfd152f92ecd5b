// Disks and volumes: names, buses, sources, paths.
import { badVmi, type BadCase, type Changes, INVALID, REQUIRED } from './case.ts';

const DISK = 'spec.domain.devices.disks[0]';
const NAME_RULE = 'a lowercase RFC 1123 label';

/** A volume and a disk of one name. */
const named = (name: string): Changes => ({ [`${DISK}.name`]: name, 'spec.volumes[0].name': name });
const badName = (what: string, name: string): BadCase =>
  badVmi(
    `a disk's name that is ${what}`,
    named(name),
    [`${DISK}.name`, INVALID, NAME_RULE],
    ['spec.volumes[0].name', INVALID, NAME_RULE],
  );
const badPath = (path: string, part: string): BadCase =>
  badVmi(`containerDisk.path ${JSON.stringify(path)}`, { 'spec.volumes[0].containerDisk.path': path }, [
    'spec.volumes[0].containerDisk',
    INVALID,
    part,
  ]);
const second = (disk: object): Changes => ({
  'spec.domain.devices.disks[1]': disk,
  'spec.volumes[1]': { name: 'data', emptyDisk: { capacity: '1Gi' } },
});

export const disks: readonly BadCase[] = [
  badVmi('two disks of one name', { 'spec.domain.devices.disks[1]': { name: 'root', disk: {} } }, [
    'spec.domain.devices.disks[1].name',
    INVALID,
    'must not have the same Name',
  ]),
  badVmi('two volumes of one name', { 'spec.volumes[1]': { name: 'root', emptyDisk: { capacity: '1Gi' } } }, [
    'spec.volumes[1].name',
    INVALID,
    'must not have the same Name',
  ]),
  badVmi('a disk without a volume', { 'spec.domain.devices.disks[1]': { name: 'data', disk: {} } }, [
    'spec.domain.devices.disks[1].name',
    INVALID,
    "'data' not found",
  ]),
  badVmi('an unknown bus', { [`${DISK}.disk.bus`]: 'floppy' }, [
    `${DISK}.disk.bus`,
    INVALID,
    'unrecognized bus floppy, must be one of: [virtio scsi sata usb]',
  ]),
  badVmi('IDE', { [`${DISK}.disk.bus`]: 'ide' }, [`${DISK}.disk.bus`, INVALID, 'IDE bus is not supported']),
  badVmi('a CD-ROM on virtio', { [`${DISK}.disk`]: undefined, [`${DISK}.cdrom`]: { bus: 'virtio' } }, [
    `${DISK}.cdrom.bus`,
    INVALID,
    'Bus type virtio is invalid for CD-ROM device',
  ]),
  badVmi('two targets', { [`${DISK}.cdrom`]: { bus: 'sata' } }, [
    DISK,
    INVALID,
    'exactly one target, but has disk and cdrom',
  ]),
  badVmi('a bad PCI address', { [`${DISK}.disk.pciAddress`]: '0000:00:zz.0' }, [
    `${DISK}.disk.pciAddress`,
    INVALID,
    'malformed PCI address (0000:00:zz.0)',
  ]),
  badVmi(
    'boot orders that are equal, and of 0',
    {
      ...second({ name: 'data', disk: {}, bootOrder: 1 }),
      [`${DISK}.bootOrder`]: 1,
      'spec.domain.devices.interfaces[0].bootOrder': 0,
    },
    ['spec.domain.devices.disks[1].bootOrder', INVALID, 'already set for a different device'],
    ['spec.domain.devices.interfaces[0].bootOrder', INVALID, 'must have a boot order > 0'],
  ),
  badVmi(
    'a disk and an interface of one boot order',
    { [`${DISK}.bootOrder`]: 2, 'spec.domain.devices.interfaces[0].bootOrder': 2 },
    ['spec.domain.devices.interfaces[0].bootOrder', INVALID, 'already set for a different device'],
  ),
  badVmi(
    'values no disk has, all at once',
    {
      [`${DISK}.cache`]: 'fast',
      [`${DISK}.io`]: 'uring',
      [`${DISK}.errorPolicy`]: 'shrug',
      [`${DISK}.serial`]: 'no spaces',
    },
    [`${DISK}.cache`, INVALID, 'invalid value fast'],
    [`${DISK}.io`, 'FieldValueNotSupported', 'native, threads'],
    [`${DISK}.errorPolicy`, INVALID, 'invalid value "shrug"'],
    [`${DISK}.serial`, INVALID, '[A-Za-z0-9_.+-]'],
  ),
  badVmi(
    'a block size that is no power of two',
    { [`${DISK}.blockSize`]: { custom: { logical: 1000, physical: 1000 } } },
    [`${DISK}.blockSize.custom.logical`, INVALID, 'power of 2'],
    [`${DISK}.blockSize.custom.physical`, INVALID, 'power of 2'],
  ),
  badName('a way up', '../../etc'),
  badName('an absolute path', '/etc/passwd'),
  badName('empty', ''),
  badName('one with a NUL', 'a\u0000b'),
  badName('upper case', 'Root'),
  badName('markup', '<disk>'),
  badVmi(
    "a disk's name of 300 characters",
    named('x'.repeat(300)),
    [`${DISK}.name`, INVALID, 'no more than 63 characters'],
    ['spec.volumes[0].name', INVALID, 'no more than 63 characters'],
  ),
  badPath('/', 'must not point to root'),
  badPath('disk.img', 'absolute path to a file without relative components'),
  badPath('/disk/../../etc/shadow', 'absolute path to a file without relative components'),
  badPath('/disk/./a', 'absolute path to a file without relative components'),
  badPath('//disk', 'absolute path to a file without relative components'),
  badPath('/disk\u0000/a', 'absolute path to a file without relative components'),
  badVmi('an empty image', { 'spec.volumes[0].containerDisk.image': '' }, [
    'spec.volumes[0].containerDisk.image',
    REQUIRED,
    'image is required',
  ]),
  badVmi('no image', { 'spec.volumes[0].containerDisk': {} }, [
    'spec.volumes[0].containerDisk.image',
    REQUIRED,
    'Required value',
  ]),
  badVmi('an image with a blank', { 'spec.volumes[0].containerDisk.image': 'some image' }, [
    'spec.volumes[0].containerDisk.image',
    INVALID,
    'without blanks',
  ]),
  badVmi('two sources of a volume', { 'spec.volumes[0].emptyDisk': { capacity: '1Gi' } }, [
    'spec.volumes[0]',
    INVALID,
    'exactly one source, but has containerDisk and emptyDisk',
  ]),
  badVmi('a volume without a source', { 'spec.volumes[1]': { name: 'data' } }, [
    'spec.volumes[1]',
    REQUIRED,
    'exactly one source (containerDisk, emptyDisk, cloudInitNoCloud, cloudInitConfigDrive)',
  ]),
  badVmi('a capacity of 0', { 'spec.volumes[1]': { name: 'data', emptyDisk: { capacity: '0' } } }, [
    'spec.volumes[1].emptyDisk.capacity',
    INVALID,
    'at least 1Mi',
  ]),
  badVmi('a capacity that is none', { 'spec.volumes[1]': { name: 'data', emptyDisk: { capacity: 'big' } } }, [
    'spec.volumes[1].emptyDisk.capacity',
    INVALID,
    'is not a quantity such as 2Gi: "big"',
  ]),
  badVmi('no capacity', { 'spec.volumes[1]': { name: 'data', emptyDisk: {} } }, [
    'spec.volumes[1].emptyDisk.capacity',
    REQUIRED,
    'Required value',
  ]),
  badVmi('a container disk as a LUN', { [`${DISK}.disk`]: undefined, [`${DISK}.lun`]: {} }, [
    `${DISK}.lun`,
    INVALID,
    'can only be mapped to a DataVolume or PersistentVolumeClaim volume',
  ]),
];
