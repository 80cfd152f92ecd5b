// The NIC of a VMI that names none: on the pod network, bound as the operator's configuration says.
import type { DefaultInput, Patch } from '../../core/index.ts';

const WHY = 'default network interface';

export function defaultInterface({ vmi, kind, operation }: DefaultInput, binding: string): Patch[] {
  // A template keeps what its author wrote; the VMI made from it comes by here by itself.
  if (!vmi || kind !== 'VirtualMachineInstance' || operation !== 'CREATE') return [];
  const { devices } = vmi.spec.domain;
  if (devices?.autoattachPodInterface === false) return [];
  if ((devices?.interfaces ?? []).length > 0 || (vmi.spec.networks ?? []).length > 0) return [];
  return [
    {
      path: ['spec', 'domain', 'devices', 'interfaces'],
      value: [{ name: 'default', [binding]: {} }],
      why: WHY,
    },
    { path: ['spec', 'networks'], value: [{ name: 'default', pod: {} }], why: WHY },
  ];
}
