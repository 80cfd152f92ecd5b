// The rule on the bridge binding: whether it may take the pod network.
import type { AdmitInput, Cause } from '../../core/index.ts';

export function admitBridge({ vmi, at, operation }: AdmitInput, permitPodNetwork: boolean): Cause[] {
  if (!vmi || operation === 'DELETE' || permitPodNetwork) return [];
  const causes: Cause[] = [];
  (vmi.spec.domain.devices?.interfaces ?? []).forEach((nic, index) => {
    const network = vmi.spec.networks?.find((one) => one.name === nic.name);
    if (nic.bridge === undefined || !network || !('pod' in network)) return;
    const message = 'Bridge on pod network configuration is not enabled under kubevirt-config';
    const field = at(`spec.domain.devices.interfaces[${index}].name`);
    causes.push({ field, reason: 'FieldValueInvalid', message });
  });
  return causes;
}
