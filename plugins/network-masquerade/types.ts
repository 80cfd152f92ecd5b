// The fields of the API that this plugin owns or reads.
import type { DhcpOptions } from '../../core/index.ts';

export interface Port {
  name?: string;
  /** TCP unless told. */
  protocol?: string;
  port: number;
}
export interface PortRange {
  protocol: string;
  start: number;
  end: number;
}

declare module '../../core/index.ts' {
  interface Interface {
    masquerade?: object;
    /** Ports of the pod that lead to the guest; all of them where no port is named. */
    ports?: Port[];
    portRanges?: PortRange[];
    // Of the interfaces plugin.
    model?: string;
    macAddress?: string;
    dhcpOptions?: DhcpOptions;
  }
  interface PodNetwork {
    /** The guest's private network, 10.0.2.0/24 unless told: the gateway is its first address, the guest its second. */
    vmNetworkCIDR?: string;
    vmIPv6NetworkCIDR?: string;
  }
  interface Network {
    pod?: PodNetwork;
  }
}
