// The API slices: the binding, its ports, and the guest's private network.
import type { ApiSlice } from '../../core/index.ts';

const INTERFACE = 'spec.domain.devices.interfaces[]';

export const slices: readonly ApiSlice[] = [
  { path: `${INTERFACE}.masquerade`, schema: { type: 'object' }, oneOf: 'binding' },
  {
    path: `${INTERFACE}.ports`,
    schema: {
      type: 'array',
      items: {
        type: 'object',
        required: ['port'],
        properties: { name: { type: 'string' }, protocol: { type: 'string' }, port: { type: 'integer' } },
      },
    },
  },
  {
    path: `${INTERFACE}.portRanges`,
    schema: {
      type: 'array',
      items: {
        type: 'object',
        required: ['protocol', 'start', 'end'],
        properties: { protocol: { type: 'string' }, start: { type: 'integer' }, end: { type: 'integer' } },
      },
    },
  },
  { path: 'spec.networks[].pod.vmNetworkCIDR', schema: { type: 'string' } },
  { path: 'spec.networks[].pod.vmIPv6NetworkCIDR', schema: { type: 'string' } },
];
