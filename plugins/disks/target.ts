// What a disk is to the guest: its kind of device, its bus, its name on that bus.
import type { Disk } from '../../core/index.ts';
import type { CdromTarget, DiskTarget, LunTarget } from './types.ts';

/** The bus of a disk that names none: SATA, which guests of every kind can boot from on a q35 machine. */
export const DEFAULT_BUS = 'sata';

export type Device = 'disk' | 'lun' | 'cdrom';

/** The device that `disk` asks for; a hard disk unless told. */
export function deviceOf(disk: Disk): Device {
  if (disk.disk !== undefined) return 'disk';
  if (disk.lun !== undefined) return 'lun';
  return disk.cdrom !== undefined ? 'cdrom' : 'disk';
}

/** The target as written; undefined where the disk names none. */
export function targetOf(disk: Disk): (DiskTarget & LunTarget & CdromTarget) | undefined {
  return disk.disk ?? disk.lun ?? disk.cdrom;
}

export function busOf(disk: Disk): string {
  return targetOf(disk)?.bus || DEFAULT_BUS;
}

/** vda, vdb, ... vdz, vdaa: the `index`th name with this prefix, as Linux counts disks. */
export function deviceName(prefix: string, index: number): string {
  let letters = '';
  for (let rest = index; rest >= 0; rest = Math.floor(rest / 26) - 1) {
    letters = String.fromCharCode(97 + (rest % 26)) + letters;
  }
  return prefix + letters;
}

/** A PCI address as written, e.g. 0000:81:01.0, or undefined if malformed. */
export function parsePciAddress(
  text: string,
): { domain: string; bus: string; slot: string; function: string } | undefined {
  const match = /^([\da-f]{4}):([\da-f]{2}):([\da-f]{2})\.([0-7])$/i.exec(text);
  if (!match) return undefined;
  const [, domain, bus, slot, fn] = match;
  return { domain: `0x${domain}`, bus: `0x${bus}`, slot: `0x${slot}`, function: `0x${fn}` };
}
