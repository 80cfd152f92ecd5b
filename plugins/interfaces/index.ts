// Network interfaces: what all NICs have in common, whatever network and binding they have.
import { definePlugin } from '../../core/index.ts';
import { admitInterfaces } from './admit.ts';
import { buildInterfaces } from './domain.ts';
import { slices } from './schema.ts';
import type {} from './types.ts';

export default definePlugin({
  name: 'interfaces',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'network interfaces: model, MAC address, boot order, addresses, link state, DHCP options',
  writes: { domain: ['devices/interface'] },
  api: slices,
  setup: () => ({ admit: admitInterfaces, prepareDomain: buildInterfaces }),
});
