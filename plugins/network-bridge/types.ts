// The fields of the API that this plugin owns or reads.
import type { DhcpOptions } from '../../core/index.ts';

declare module '../../core/index.ts' {
  interface Interface {
    bridge?: object;
    // Of the interfaces plugin.
    model?: string;
    macAddress?: string;
    dhcpOptions?: DhcpOptions;
  }
}
