// Who the domain is: name, KubeVirt's metadata, and what the guest reads of itself by SMBIOS.
import { type DomainDraft, type Element, el, type Vmi } from '../../core/index.ts';

/**
 * The machine's UUID in the guest. Without one in the manifest it is the VirtualMachine's uid, so that it stays through
 * restarts, or the VMI's own where no VirtualMachine stands behind it.
 */
export function machineUuid(vmi: Vmi): string | undefined {
  const machine = vmi.metadata.ownerReferences?.find((owner) => owner.kind === 'VirtualMachine');
  return vmi.spec.domain.firmware?.uuid || machine?.uid || vmi.metadata.uid;
}

function entries(tag: string, values: Record<string, string | undefined>): Element | undefined {
  const element = el(tag);
  for (const name in values) {
    const value = values[name];
    if (value) element.children.push(el('entry', { name }, value));
  }
  return element.children.length > 0 ? element : undefined;
}

export function identity(vmi: Vmi, domain: DomainDraft): void {
  const { name = '', namespace = '', uid } = vmi.metadata;
  const { firmware, chassis } = vmi.spec.domain;
  domain.merge(el('name', {}, `${namespace}_${name}`));
  if (uid) domain.merge(el('metadata', {}, el('kubevirt', { xmlns: 'http://kubevirt.io' }, el('uid', {}, uid))));
  // Guests know the platform by these: systemd-detect-virt, cloud-init and Ansible look for the word KubeVirt.
  const system = entries('system', {
    uuid: machineUuid(vmi),
    serial: firmware?.serial,
    manufacturer: 'KubeVirt',
    family: 'KubeVirt',
    product: 'None',
  });
  const { manufacturer, version, serial, asset, sku } = chassis ?? {};
  const box = entries('chassis', { manufacturer, version, serial, asset, sku });
  domain.merge(el('sysinfo', { type: 'smbios' }, system, box));
}
