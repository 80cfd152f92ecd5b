// Network interfaces: what all NICs have in common, whatever network and binding they have.
import { definePlugin } from '../../core/index.ts';
import { admitInterfaces } from './admit.ts';
import { defaultInterface } from './default.ts';
import { buildInterfaces } from './domain.ts';
import { slices } from './schema.ts';
import type {} from './types.ts';

export default definePlugin({
  name: 'interfaces',
  version: '1.0.0',
  summary: 'network interfaces: model, MAC address, boot order, addresses, link state, DHCP options',
  options: {
    type: 'object',
    properties: {
      defaultNetworkInterface: {
        type: 'string',
        default: 'bridge',
        description: 'binding of the interface that a VMI gets which names none',
      },
    },
  },
  api: slices,
  setup(_host, options) {
    const binding = String(options['defaultNetworkInterface'] ?? 'bridge');
    return {
      admit: admitInterfaces,
      defaultPreset: (input) => defaultInterface(input, binding),
      prepareDomain: buildInterfaces,
    };
  },
});
