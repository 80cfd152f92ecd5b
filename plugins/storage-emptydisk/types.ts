// The volume source as this plugin reads it, and where its disk lies in the launcher pod.
import type {} from '../../core/index.ts';

export interface EmptyDiskSource {
  /** A quantity of bytes, such as 2Gi. */
  capacity: string | number;
}

declare module '../../core/index.ts' {
  interface Volume {
    emptyDisk?: EmptyDiskSource;
  }
}

/** What the step finds out, and the domain needs to know. */
export interface EmptyDisk {
  readonly cache: 'none' | 'writethrough';
}

export function diskPath(volume: string): string {
  return `/var/run/libvirt/empty-disks/${volume}.qcow2`;
}
