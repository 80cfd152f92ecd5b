// A capacity as the size of a disk.
import { MIB, quantity } from '../../core/index.ts';

/** The size of the disk: the capacity rounded down to a whole MiB, as KubeVirt does. */
export function sizeOf(capacity: unknown): number {
  return Math.floor((quantity(capacity) ?? 0) / MIB) * MIB;
}
