// The fields of the API that this plugin owns, as it reads them.
import type { DhcpOptions } from '../../core/index.ts';

declare module '../../core/index.ts' {
  interface Interface {
    /** e1000, e1000e, igb, ne2k_pci, pcnet, rtl8139 or virtio, which is the default. */
    model?: string;
    macAddress?: string;
    /** From 1; unique among disks and interfaces. */
    bootOrder?: number;
    /** e.g. 0000:01:00.0 */
    pciAddress?: string;
    /** Guests name the NIC after it (eno1); 1 to 16383. */
    acpiIndex?: number;
    dhcpOptions?: DhcpOptions;
    /** up, down: the state of the link. */
    state?: string;
  }
  interface Devices {
    /** As many queues for each virtio NIC as the guest has vCPUs. */
    networkInterfaceMultiqueue?: boolean;
  }
}
