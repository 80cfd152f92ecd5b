// One `<disk>` element for each attached disk, in KubeVirt's shape.
import { el, keyed } from '../../core/index.ts';
import type { AttachedDisk, Disk, Element, PlanDraft, PrepareInput, Vmi } from '../../core/index.ts';
import { ioThreads } from './iothreads.ts';
import { busOf, deviceName, deviceOf, parsePciAddress, targetOf } from './target.ts';

interface Topology {
  cpu?: { sockets?: number; cores?: number; threads?: number };
}
interface Transitional {
  useVirtioTransitional?: boolean;
}
type Attached = NonNullable<AttachedDisk['disk']>;

function virtioModel(vmi: Vmi): string {
  const devices = vmi.spec.domain.devices as Transitional | undefined;
  return devices?.useVirtioTransitional === true ? 'virtio-transitional' : 'virtio-non-transitional';
}

/** vCPUs of the guest as it boots. */
function vcpus(vmi: Vmi): number {
  const { sockets, cores, threads } = (vmi.spec.domain as Topology).cpu ?? {};
  return (sockets || 1) * (cores || 1) * (threads || 1);
}

/** The VM cannot start with this disk; the message says what to change. */
function refuse(disk: Disk, problem: string): never {
  throw new Error(`disk ${disk.name} ${problem}`);
}

/** What the user asks for wins; what the volume can bear decides the rest. */
function cacheOf(disk: Disk, attached: Attached | undefined): string | undefined {
  const possible = attached?.driver['cache'];
  const asked = disk.cache || (disk.shareable === true ? 'none' : undefined);
  if (asked === 'none' && possible !== undefined && possible !== 'none') {
    refuse(
      disk,
      `asks for cache none, which the file system that holds it cannot do (no direct I/O). ` +
        `Use cache ${possible}, or leave cache${disk.shareable === true ? ' and shareable' : ''} out.`,
    );
  }
  return asked ?? possible;
}

function driverOf(
  disk: Disk,
  attached: Attached | undefined,
  given: { iothread: number | undefined; queues: number | undefined },
): Element {
  const cache = cacheOf(disk, attached);
  const discards = deviceOf(disk) !== 'cdrom' && attached !== undefined;
  return el('driver', {
    ...attached?.driver,
    name: 'qemu',
    type: attached?.driver['type'] ?? 'raw',
    cache,
    // Native I/O needs direct I/O.
    io: disk.io || (cache === 'none' ? attached?.driver['io'] : undefined),
    error_policy: disk.errorPolicy ?? 'stop',
    discard: discards ? (attached.driver['discard'] ?? 'unmap') : undefined,
    iothread: given.iothread,
    queues: given.queues,
  });
}

function addressOf(disk: Disk, bus: string, unit: number): Element | undefined {
  if (bus === 'scsi') return el('address', { type: 'drive', controller: 0, bus: 0, unit });
  const pci = disk.disk?.pciAddress ? parsePciAddress(disk.disk.pciAddress) : undefined;
  return pci && el('address', { type: 'pci', ...pci });
}

function diskElement(
  disk: Disk,
  attached: Attached | undefined,
  given: { unit: number; model: string; iothread: number | undefined; queues: number | undefined },
): Element {
  const device = deviceOf(disk);
  const bus = busOf(disk);
  const type = attached?.type ?? 'file';
  if (device === 'lun' && type !== 'block') {
    refuse(disk, 'is a lun, but its volume is not a block device. Use disk instead of lun.');
  }
  const readonly = attached?.readonly === true || (targetOf(disk)?.readonly ?? device === 'cdrom');
  const block = disk.blockSize?.custom;
  return keyed(
    `disk:${disk.name}`,
    el(
      'disk',
      { device, type, model: bus === 'virtio' ? given.model : undefined },
      attached?.source,
      el('target', {
        bus,
        dev: deviceName(bus === 'virtio' ? 'vd' : 'sd', given.unit),
        tray: device === 'cdrom' ? (disk.cdrom?.tray ?? 'closed') : undefined,
      }),
      disk.serial ? el('serial', {}, disk.serial) : undefined,
      driverOf(disk, attached, given),
      readonly ? el('readonly') : undefined,
      el('alias', { name: `ua-${disk.name}` }),
      attached?.backingStore,
      disk.bootOrder === undefined ? undefined : el('boot', { order: disk.bootOrder }),
      addressOf(disk, bus, given.unit),
      block && el('blockio', { logical_block_size: block.logical, physical_block_size: block.physical }),
      disk.shareable === true ? el('shareable') : undefined,
    ),
  );
}

function findByName(disks: readonly AttachedDisk[], name: string): AttachedDisk | undefined {
  for (const disk of disks) if (disk.name === name) return disk;
  return undefined;
}

/** Adds the disks in the order of spec.domain.devices.disks, which decides their names in the guest. */
export function addDisks(input: PrepareInput, plan: PlanDraft): void {
  const devices = input.vmi.spec.domain.devices;
  const disks = devices?.disks ?? [];
  if (disks.length === 0) return;
  const threads = ioThreads(input.vmi);
  if (threads) plan.domain.merge(el('iothreads', {}, String(threads.count)));
  const model = virtioModel(input.vmi);
  const queues = devices?.blockMultiQueue === true ? vcpus(input.vmi) : undefined;
  const units = { vd: 0, sd: 0 };
  for (const disk of disks) {
    const attached = findByName(input.disks, disk.name)?.disk;
    // A drive may stand empty; a hard disk without a medium is none.
    if (!attached && deviceOf(disk) !== 'cdrom') continue;
    const isVirtio = busOf(disk) === 'virtio';
    const unit = isVirtio ? units.vd++ : units.sd++;
    const iothread = threads?.next(disk);
    plan.domain.device(diskElement(disk, attached, { unit, model, iothread, queues: isVirtio ? queues : undefined }));
  }
}
