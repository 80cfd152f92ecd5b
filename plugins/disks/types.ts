// The fields of the API that this plugin owns, as it reads them.
import type {} from '../../core/index.ts';

export type Bus = 'virtio' | 'sata' | 'scsi' | 'usb';

/** A hard disk. */
export interface DiskTarget {
  bus?: string;
  readonly?: boolean;
  /** e.g. 0000:81:01.0; bus virtio only. */
  pciAddress?: string;
}
/** A block device whose SCSI commands pass through. */
export interface LunTarget {
  bus?: string;
  readonly?: boolean;
}
/** A CD-ROM drive, which may be empty. */
export interface CdromTarget {
  bus?: string;
  /** true unless told. */
  readonly?: boolean;
  /** closed unless told. */
  tray?: string;
}
/** Sizes in bytes, powers of two from 512 to 2 MiB. */
export interface CustomBlockSize {
  logical?: number;
  physical?: number;
}

declare module '../../core/index.ts' {
  interface Disk {
    disk?: DiskTarget;
    lun?: LunTarget;
    cdrom?: CdromTarget;
    /** From 1; unique among disks and interfaces. */
    bootOrder?: number;
    serial?: string;
    cache?: string;
    io?: string;
    dedicatedIOThread?: boolean;
    blockSize?: { custom?: CustomBlockSize };
    shareable?: boolean;
    errorPolicy?: string;
  }
  interface Devices {
    /** As many queues for each virtio disk as the guest has vCPUs. */
    blockMultiQueue?: boolean;
  }
  interface DomainSpec {
    ioThreadsPolicy?: string;
  }
}
