// One <interface> a NIC: the binding's part, and what all interfaces have in common.
import type { AttachedNic, Element, PlanDraft, PrepareInput, Vmi } from '../../core/index.ts';
import { el, keyed, parseMac, queuesOf } from '../../core/index.ts';
import { parsePciAddress } from './pci.ts';

export function buildInterfaces({ vmi, nics }: PrepareInput, plan: PlanDraft): void {
  for (const nic of nics) {
    if (nic.interface) plan.domain.device(keyed(`interface:${nic.name}`, element(vmi, nic, nic.interface)));
  }
}

function element(vmi: Vmi, nic: AttachedNic, bound: NonNullable<AttachedNic['interface']>): Element {
  const { macAddress, model, bootOrder, pciAddress, acpiIndex, state } = nic.spec;
  const mac = nic.mac ?? (macAddress === undefined ? undefined : parseMac(macAddress));
  const queues = queuesOf(vmi, model, vmi.spec.domain.devices?.networkInterfaceMultiqueue);
  const pci = pciAddress === undefined ? undefined : parsePciAddress(pciAddress);
  return el(
    'interface',
    { type: bound.type },
    ...bound.children,
    mac === undefined ? undefined : el('mac', { address: mac }),
    el('model', { type: libvirtModel(vmi, model) }),
    // Without a name libvirt takes vhost where the node has it, and QEMU's own where it has not.
    queues > 1 ? el('driver', { queues }) : undefined,
    state === 'down' ? el('link', { state }) : undefined,
    // A NIC that is not booted from needs no option ROM, which costs the firmware time.
    bootOrder === undefined ? el('rom', { enabled: false }) : el('boot', { order: bootOrder }),
    acpiIndex ? el('acpi', { index: acpiIndex }) : undefined,
    el('alias', { name: `ua-${nic.name}` }),
    pci && el('address', { type: 'pci', ...pci }),
  );
}

function libvirtModel(vmi: Vmi, model: string | undefined): string {
  if ((model ?? '') !== '' && model !== 'virtio') return model as string;
  const { useVirtioTransitional } = (vmi.spec.domain.devices ?? {}) as { useVirtioTransitional?: boolean };
  return useVirtioTransitional === true ? 'virtio-transitional' : 'virtio-non-transitional';
}
