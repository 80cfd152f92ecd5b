// Bridge: the guest stands on the pod's network itself, with the address and MAC that the pod got.
import { definePlugin } from '../../core/index.ts';
import { admitBridge } from './admit.ts';
import { attachBridge } from './attach.ts';
import type {} from './types.ts';

export default definePlugin({
  name: 'network-bridge',
  version: '1.0.0',
  core: '^1.0.0',
  summary: "the guest on the pod's network itself, with the pod's address",
  requires: ['interfaces'],
  options: {
    type: 'object',
    properties: {
      permitBridgeInterfaceOnPodNetwork: {
        type: 'boolean',
        default: true,
        description: 'whether a guest may take the address of its pod',
      },
    },
  },
  api: [{ path: 'spec.domain.devices.interfaces[].bridge', schema: { type: 'object' }, oneOf: 'binding' }],
  actions: () => import('./actions.ts'),
  setup(_host, options) {
    const permit = options['permitBridgeInterfaceOnPodNetwork'] !== false;
    return {
      admit: (input) => admitBridge(input, permit),
      attachNetwork: { bindings: { bridge: attachBridge } },
    };
  },
});
