// Masquerade: the guest has a private address and the pod's name to the world, by NAT inside of the pod.
import { definePlugin } from '../../core/index.ts';
import { admitMasquerade } from './admit.ts';
import { attachMasquerade } from './attach.ts';
import { slices } from './schema.ts';
import type {} from './types.ts';

export default definePlugin({
  name: 'network-masquerade',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'NAT between guest and pod network, with a list of open ports',
  requires: ['interfaces', 'network-pod'],
  api: slices,
  actions: () => import('./actions.ts'),
  setup: () => ({
    admit: admitMasquerade,
    attachNetwork: { bindings: { masquerade: attachMasquerade } },
  }),
});
