// The rules for disks and for the names of volumes: KubeVirt's field paths, reasons and messages, all causes at once.
import type { AdmitInput, Cause, CauseReason, Disk } from '../../core/index.ts';
import { deviceOf, parsePciAddress, targetOf } from './target.ts';

const BUSES = ['virtio', 'scsi', 'sata', 'usb'];
const CACHES = ['none', 'writethrough', 'writeback'];
const IO_MODES = ['native', 'threads'];
const ERROR_POLICIES = ['stop', 'ignore', 'report', 'enospace'];
const IO_POLICIES = ['shared', 'auto'];
const SERIAL = /^[A-Za-z0-9_.+-]+$/;
const SERIAL_LENGTH = 256;
const MIN_BLOCK = 512;
const MAX_BLOCK = 2 * 1024 * 1024;
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_LENGTH = 63;
const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an " +
  "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/** Collects causes; `field` is the path of the disk or volume they speak of. */
class Causes {
  readonly list: Cause[] = [];

  add(field: string, message: string, reason: CauseReason = 'FieldValueInvalid'): void {
    this.list.push({ field, reason, message });
  }
}

/** Every rule. The fields' types are checked elsewhere; what is of a wrong type is passed over here. */
export function admitDisks(input: AdmitInput): Cause[] {
  const { vmi, operation } = input;
  if (!vmi || operation === 'DELETE') return [];
  const causes = new Causes();
  const disks = vmi.spec.domain.devices?.disks ?? [];
  const volumes = vmi.spec.volumes ?? [];
  const disksAt = input.at('spec.domain.devices.disks');
  const volumesAt = input.at('spec.volumes');
  names(disks, disksAt, causes);
  names(volumes, volumesAt, causes);
  const known = new Set(volumes.map((volume) => volume.name));
  disks.forEach((disk, index) => {
    const at = `${disksAt}[${index}]`;
    if (!known.has(disk.name) && deviceOf(disk) !== 'cdrom') {
      causes.add(`${at}.name`, `${at}.name '${disk.name}' not found.`);
    }
    target(disk, at, causes);
    options(disk, at, causes);
    blockSize(disk, at, causes);
  });
  bootOrders(disks, disksAt, causes);
  const policy: unknown = vmi.spec.domain.ioThreadsPolicy;
  if (typeof policy === 'string' && !IO_POLICIES.includes(policy)) {
    causes.add(
      input.at('spec.domain.ioThreadsPolicy'),
      policy === 'supplementalPool'
        ? 'IOThreadsPolicy supplementalPool is not supported: must be one of: shared, auto'
        : `Invalid IOThreadsPolicy (${policy})`,
      policy === 'supplementalPool' ? 'FieldValueNotSupported' : 'FieldValueInvalid',
    );
  }
  return causes.list;
}

/** Names become parts of container names, paths and aliases. */
function names(items: readonly { name: string }[], listAt: string, causes: Causes): void {
  const first = new Map<string, number>();
  items.forEach(({ name }, index) => {
    if (typeof name !== 'string') return;
    const at = `${listAt}[${index}]`;
    const other = first.get(name);
    if (other !== undefined) {
      causes.add(`${at}.name`, `${at} and ${listAt}[${other}] must not have the same Name.`);
      return;
    }
    first.set(name, index);
    if (name.length > LABEL_LENGTH) causes.add(`${at}.name`, `must be no more than ${LABEL_LENGTH} characters`);
    if (!LABEL.test(name)) causes.add(`${at}.name`, LABEL_TEXT);
  });
}

function target(disk: Disk, at: string, causes: Causes): void {
  const given: unknown = targetOf(disk);
  if (typeof given !== 'object' || given === null) return;
  const { bus, readonly, pciAddress } = given as { bus?: unknown; readonly?: unknown; pciAddress?: unknown };
  const device = deviceOf(disk);
  if (device === 'disk' && typeof pciAddress === 'string' && pciAddress !== '') {
    const field = `${at}.disk.pciAddress`;
    if (bus !== 'virtio') {
      causes.add(field, `disk ${at}.name - setting a PCI address is only possible with bus type virtio.`);
    }
    if (!parsePciAddress(pciAddress)) {
      causes.add(field, `disk ${at}.name has malformed PCI address (${pciAddress}).`);
    }
  }
  if (typeof bus !== 'string' || bus === '') return;
  const field = `${at}.${device}.bus`;
  if (bus === 'ide') causes.add(field, 'IDE bus is not supported');
  else if (!BUSES.includes(bus)) {
    causes.add(field, `${at} is set with an unrecognized bus ${bus}, must be one of: [${BUSES.join(' ')}]`);
  } else if (bus === 'virtio' && device === 'cdrom') {
    causes.add(field, 'Bus type virtio is invalid for CD-ROM device');
  } else if (bus === 'sata' && device === 'disk' && readonly === true) {
    causes.add(field, 'sata hard-disks do not support read-only.');
  }
  if (disk.dedicatedIOThread === true && bus !== 'virtio') {
    causes.add(at, `IOThreads are not supported for disks on a ${bus} bus`, 'FieldValueNotSupported');
  }
}

function options(disk: Disk, at: string, causes: Causes): void {
  const { bootOrder, serial, cache, io, errorPolicy } = disk;
  if (typeof bootOrder === 'number' && bootOrder < 1) {
    causes.add(`${at}.bootOrder`, `${at} must have a boot order > 0, if supplied`);
  }
  if (typeof serial === 'string' && serial !== '') {
    if (!SERIAL.test(serial)) {
      causes.add(`${at}.serial`, `${at} must be made up of the following characters [A-Za-z0-9_.+-], if specified`);
    }
    if ([...serial].length > SERIAL_LENGTH) {
      causes.add(`${at}.serial`, `${at} must be less than or equal to ${SERIAL_LENGTH} in length, if specified`);
    }
  }
  if (typeof cache === 'string' && cache !== '' && !CACHES.includes(cache)) {
    causes.add(`${at}.cache`, `${at}.cache has invalid value ${cache}`);
  }
  if (disk.shareable === true && cache && cache !== 'none') {
    causes.add(`${at}.cache`, `a sharable disk requires cache = none got: ${cache}`);
  }
  if (typeof io === 'string' && io !== '' && !IO_MODES.includes(io)) {
    causes.add(
      `${at}.io`,
      `Disk IO mode for ${at} is not supported. Supported modes are: native, threads.`,
      'FieldValueNotSupported',
    );
  }
  if (typeof errorPolicy === 'string' && !ERROR_POLICIES.includes(errorPolicy)) {
    causes.add(`${at}.errorPolicy`, `${at}.errorPolicy has invalid value "${errorPolicy}"`);
  }
}

function blockSize(disk: Disk, at: string, causes: Causes): void {
  const custom: unknown = disk.blockSize?.custom;
  if (typeof custom !== 'object' || custom === null) return;
  const { logical, physical } = custom as { logical?: unknown; physical?: unknown };
  if (typeof logical !== 'number' || typeof physical !== 'number') return;
  const field = `${at}.blockSize.custom`;
  if (logical > physical) {
    causes.add(
      `${field}.logical`,
      `Logical size ${logical} must be the same or less than the physical size of ${physical}`,
    );
  } else if (targetOf(disk)?.bus === 'sata' && logical !== MIN_BLOCK) {
    causes.add(`${field}.logical`, `Logical size ${logical} must be ${MIN_BLOCK} for SATA devices`);
  } else {
    size(logical, `${field}.logical`, causes);
    size(physical, `${field}.physical`, causes);
  }
}

function size(bytes: number, field: string, causes: Causes): void {
  if (bytes < MIN_BLOCK) {
    causes.add(field, `Provided size of ${bytes} is less than the supported minimum size of ${MIN_BLOCK}`);
  } else if (bytes > MAX_BLOCK) {
    causes.add(field, `Provided size of ${bytes} is greater than the supported maximum size of ${MAX_BLOCK}`);
  } else if (!Number.isInteger(Math.log2(bytes))) {
    causes.add(field, `Provided size of ${bytes} is not a power of 2`);
  }
}

/** Interfaces, which share the order, are their own plugin's business. */
function bootOrders(disks: readonly Disk[], disksAt: string, causes: Causes): void {
  const taken = new Set<number>();
  disks.forEach(({ bootOrder }, index) => {
    if (typeof bootOrder !== 'number') return;
    const field = `${disksAt}[${index}].bootOrder`;
    if (taken.has(bootOrder)) causes.add(field, `Boot order for ${field} already set for a different device.`);
    taken.add(bootOrder);
  });
}
