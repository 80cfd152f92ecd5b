// What a VMI leaves open about its disks: a disk for each volume, the device, the bus.
import type { DefaultInput, Disk, Patch } from '../../core/index.ts';
import { DEFAULT_BUS, deviceOf, targetOf } from './target.ts';

const LIST = ['spec', 'domain', 'devices', 'disks'] as const;

interface Filesystems {
  filesystems?: unknown;
}

/** Names of volumes that the guest sees as file systems, not as disks. */
function filesystemNames(devices: Filesystems | undefined): Set<unknown> {
  const list = devices?.filesystems;
  return new Set(Array.isArray(list) ? list.map((one: { name?: unknown } | null) => one?.name) : []);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function completeDisk(disk: Disk, index: number, patches: Patch[]): void {
  const device = deviceOf(disk);
  const target: unknown = targetOf(disk) ?? {};
  // Malformed: the rules will say so.
  if (!isObject(target)) return;
  const set = (field: string, value: unknown) =>
    patches.push({ path: [...LIST, index, device, field], value, why: `default of a ${device}` });
  if (target['bus'] === undefined || target['bus'] === '') set('bus', DEFAULT_BUS);
  if (device !== 'cdrom') return;
  if (target['readonly'] === undefined) set('readonly', true);
  if (target['tray'] === undefined) set('tray', 'closed');
}

/** Templates stay as their authors wrote them; their VMIs are completed when they are made. */
export function defaultDisks(input: DefaultInput): Patch[] {
  if (input.vmi === undefined || input.kind !== input.vmi.kind) return [];
  const { domain, volumes } = input.vmi.spec;
  const disks = domain.devices?.disks ?? [];
  const patches: Patch[] = [];
  disks.forEach((disk, index) => completeDisk(disk, index, patches));

  const taken = filesystemNames(domain.devices as Filesystems | undefined);
  for (const disk of disks) taken.add(disk.name);
  let next = disks.length;
  for (const { name } of volumes ?? []) {
    if (typeof name !== 'string' || taken.has(name)) continue;
    taken.add(name);
    patches.push({
      path: [...LIST, next++],
      value: { name, disk: { bus: DEFAULT_BUS } },
      why: `volume ${name} has no disk`,
    });
  }
  return patches;
}
