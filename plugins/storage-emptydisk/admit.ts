// The rules for empty disks, all causes at once.
import { type AdmitInput, type Cause, quantity } from '../../core/index.ts';
import { sizeOf } from './capacity.ts';

/** qcow2 with 64 KiB clusters holds no more: its first table would pass QEMU's limit. */
const MAX_BYTES = 2 ** 51;

/** Types are checked elsewhere; what is of a wrong type is passed over here. */
export function admitEmptyDisks(input: AdmitInput): Cause[] {
  const { vmi, operation } = input;
  if (!vmi || operation === 'DELETE') return [];
  const causes: Cause[] = [];
  const add = (field: string, message: string) => causes.push({ field, reason: 'FieldValueInvalid', message });
  const mine = new Set<string>();
  (vmi.spec.volumes ?? []).forEach((volume, index) => {
    const source: unknown = volume.emptyDisk;
    if (typeof source !== 'object' || source === null) return;
    mine.add(volume.name);
    const { capacity } = source as { capacity?: unknown };
    if (typeof capacity !== 'string' && typeof capacity !== 'number') return;
    const field = `${input.at('spec.volumes')}[${index}].emptyDisk.capacity`;
    if (quantity(capacity) === undefined)
      add(field, `${field} is not a quantity such as 2Gi: ${JSON.stringify(capacity)}`);
    else if (sizeOf(capacity) <= 0) add(field, `${field} must be at least 1Mi`);
    else if (sizeOf(capacity) > MAX_BYTES) add(field, `${field} must be at most 2Pi`);
  });
  (vmi.spec.domain.devices?.disks ?? []).forEach((disk, index) => {
    if (!('lun' in disk) || !mine.has(disk.name)) return;
    const field = `${input.at('spec.domain.devices.disks')}[${index}].lun`;
    add(field, `${field} can only be mapped to a DataVolume or PersistentVolumeClaim volume.`);
  });
  return causes;
}
