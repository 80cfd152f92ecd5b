// How many I/O threads the domain has, and which disk runs on which.
import type { Disk, Vmi } from '../../core/index.ts';
import { busOf } from './target.ts';

export interface IOThreads {
  /** Threads in all; their ids count from 1. */
  readonly count: number;
  /** The next virtio disk's thread: call it once a disk, in order. */
  next(disk: Disk): number | undefined;
}

interface CpuRequest {
  resources?: { requests?: { cpu?: string | number }; limits?: { cpu?: string | number } };
}

/** Whole CPUs of a quantity such as 2, "1.5" or "500m", rounded up; 1 where nothing is asked. */
function wholeCpus(vmi: Vmi): number {
  const { requests, limits } = (vmi.spec.domain as CpuRequest).resources ?? {};
  const text = String(requests?.cpu ?? limits?.cpu ?? 1);
  const cpus = text.endsWith('m') ? Number(text.slice(0, -1)) / 1000 : Number(text);
  return Number.isFinite(cpus) && cpus > 0 ? Math.ceil(cpus) : 1;
}

/**
 * The threads of a VMI, undefined if it asks for none. `shared` is one thread for all, `auto` is one a disk up to two a
 * CPU; a disk with a dedicated thread has it to itself, and the others take turns on the rest.
 */
export function ioThreads(vmi: Vmi): IOThreads | undefined {
  const disks = vmi.spec.domain.devices?.disks ?? [];
  const policy = vmi.spec.domain.ioThreadsPolicy;
  const dedicated = disks.reduce((count, disk) => count + (disk.dedicatedIOThread === true ? 1 : 0), 0);
  if (policy === undefined && dedicated === 0) return undefined;

  const limit = policy === 'auto' ? 2 * wholeCpus(vmi) : 1;
  let shared = disks.length - dedicated;
  // Someone must serve the disks without a thread of their own.
  if (shared + dedicated > limit) shared = Math.max(1, limit - dedicated);
  let turn = 0;
  let own = shared;
  return {
    count: shared + dedicated,
    next(disk) {
      if (busOf(disk) !== 'virtio') return undefined;
      if (disk.dedicatedIOThread === true) return ++own;
      const thread = (turn % Math.max(1, shared)) + 1;
      turn++;
      return thread;
    },
  };
}
