// The pod network: the network that Kubernetes gives every pod.
import { definePlugin } from '../../core/index.ts';
import type { AdmitInput, Cause, SourceAttachment } from '../../core/index.ts';
import { defaultInterface } from './default.ts';

/** KubeVirt's podNetwork; other plugins add their fields. */
declare module '../../core/index.ts' {
  interface Network {
    pod?: PodNetwork;
  }
  interface Devices {
    /** false: no NIC unless the manifest names one. */
    autoattachPodInterface?: boolean;
  }
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type
  interface PodNetwork {}
}

const SOURCE: SourceAttachment = Object.freeze({ podInterface: 'eth0' });

export function admitPodNetwork({ vmi, at, operation }: AdmitInput): Cause[] {
  if (!vmi || operation === 'DELETE') return [];
  const onPod = (vmi.spec.networks ?? []).filter((network) => 'pod' in network);
  if (onPod.length < 2) return [];
  // The path is KubeVirt's, which clients match.
  const field = at('spec.interfaces');
  const message = `more than one interface is connected to a pod network in ${field}`;
  return [{ field, reason: 'FieldValueDuplicate', message }];
}

export default definePlugin({
  name: 'network-pod',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'the pod network as a network of the guest',
  requires: ['interfaces'],
  options: {
    type: 'object',
    additionalProperties: false,
    properties: {
      defaultNetworkInterface: {
        type: 'string',
        default: 'bridge',
        description: 'binding of the interface that a VMI gets which names none',
      },
    },
  },
  api: [
    { path: 'spec.networks[].pod', schema: { type: 'object' }, oneOf: 'source' },
    { path: 'spec.domain.devices.autoattachPodInterface', schema: { type: 'boolean' } },
  ],
  setup(_host, options) {
    const binding = String(options['defaultNetworkInterface'] ?? 'bridge');
    return {
      admit: admitPodNetwork,
      defaultPreset: (input) => defaultInterface(input, binding),
      attachNetwork: { sources: { pod: () => SOURCE } },
    };
  },
});
