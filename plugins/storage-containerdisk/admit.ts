// The rules for container disks, all causes at once.
import type { AdmitInput, Cause, CauseReason } from '../../core/index.ts';
import { NAME_MAX } from './pod.ts';

/** Types are checked elsewhere; what is of a wrong type is passed over here. */
export function admitContainerDisks(input: AdmitInput): Cause[] {
  const { vmi, operation } = input;
  if (!vmi || operation === 'DELETE') return [];
  const causes: Cause[] = [];
  const add = (field: string, message: string, reason: CauseReason = 'FieldValueInvalid') =>
    causes.push({ field, reason, message });
  const mine = new Set<string>();
  (vmi.spec.volumes ?? []).forEach((volume, index) => {
    const source: unknown = volume.containerDisk;
    if (typeof source !== 'object' || source === null) return;
    const at = `${input.at('spec.volumes')}[${index}]`;
    const { image, path } = source as { image?: unknown; path?: unknown };
    mine.add(volume.name);
    if (typeof volume.name === 'string' && volume.name.length > NAME_MAX && volume.name.length <= 63) {
      add(`${at}.name`, `${at}.name must be no more than ${NAME_MAX} characters for a containerDisk`);
    }
    if (image === '') add(`${at}.containerDisk.image`, `${at}.containerDisk.image is required`, 'FieldValueRequired');
    else if (typeof image === 'string' && !/^[!-~]+$/.test(image)) {
      add(`${at}.containerDisk.image`, `${at}.containerDisk.image must be the name of an image, without blanks`);
    }
    if (typeof path === 'string' && path !== '') checkPath(path, `${at}.containerDisk`, add);
  });
  (vmi.spec.domain.devices?.disks ?? []).forEach((disk, index) => {
    if (!('lun' in disk) || !mine.has(disk.name)) return;
    const field = `${input.at('spec.domain.devices.disks')}[${index}].lun`;
    add(field, `${field} can only be mapped to a DataVolume or PersistentVolumeClaim volume.`);
  });
  return causes;
}

function checkPath(path: string, field: string, add: (field: string, message: string) => void): void {
  if (path === '/') {
    add(field, `${field} must not point to root`);
    return;
  }
  const parts = path.replace(/\/$/, '').split('/');
  const isPlain = parts[0] === '' && parts.slice(1).every((part) => part !== '' && part !== '.' && part !== '..');
  if (!isPlain || path.includes('\0')) {
    add(field, `${field} must be an absolute path to a file without relative components`);
  }
}
