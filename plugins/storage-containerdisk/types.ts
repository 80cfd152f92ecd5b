// The volume source as this plugin reads it, and where its parts lie in the launcher pod.
import type {} from '../../core/index.ts';

export interface ContainerDiskSource {
  image: string;
  /** File in the image; else the only one in /disk. */
  path?: string;
  imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  /** Name of a secret in the VMI's namespace. */
  imagePullSecret?: string;
}

declare module '../../core/index.ts' {
  interface Volume {
    containerDisk?: ContainerDiskSource;
  }
}

/** What the step finds out, and the domain needs to know. */
export interface Overlay {
  /** Format of the image. */
  readonly format: 'qcow2' | 'raw';
  readonly cache: 'none' | 'writethrough';
}

/** Where the image's files are, read-only. */
export function imageRoot(volumeIndex: number): string {
  return `/var/run/kubevirt-image-volume/disk_${volumeIndex}`;
}

/** The disk in the image, under a name that does not depend on the image. */
export function imageLink(volumeIndex: number): string {
  return `/var/run/kubevirt/container-disks/disk_${volumeIndex}.img`;
}

/** The guest's own layer on top. */
export function overlayPath(volume: string): string {
  return `/var/run/kubevirt-ephemeral-disks/disk-data/${volume}/disk.qcow2`;
}
