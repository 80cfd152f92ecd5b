// The pod network: the network that Kubernetes gives every pod.
import { definePlugin } from '../../core/index.ts';
import type { AdmitInput, Cause, SourceAttachment } from '../../core/index.ts';

/** KubeVirt's podNetwork; other plugins add their fields. */
declare module '../../core/index.ts' {
  interface Network {
    pod?: PodNetwork;
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
  summary: 'the pod network as a network of the guest',
  api: [{ path: 'spec.networks[].pod', schema: { type: 'object' }, oneOf: 'source' }],
  setup: () => ({
    admit: admitPodNetwork,
    attachNetwork: { sources: { pod: () => SOURCE } },
  }),
});
