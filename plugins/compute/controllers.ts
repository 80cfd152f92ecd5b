// The controllers that all plugins' devices need, and free PCIe ports for devices that come later: runs last.
import { childOf, type DomainDraft, el, type ReadonlyElement, type ElementDraft, type Vmi } from '../../core/index.ts';
import { virtioModel } from './devices.ts';
import { guestBytes } from './memory.ts';

const GIB = 2 ** 30;
/** Each root port has a bus number; q35's first bus holds 31 of them. */
const MAX_PORTS = 31;
/** Conventional PCI: they share a bridge, which libvirt adds with a port of its own. */
const CONVENTIONAL = new Set(['virtio-transitional', 'e1000', 'rtl8139', 'pcnet', 'ne2k_pci', 'i6300esb']);

const busOf = (device: ReadonlyElement): string | undefined =>
  device.attrs['bus'] ?? childOf(device, 'target')?.attrs['bus'];

const isOnBus = (device: ReadonlyElement, bus: string): boolean =>
  (device.tag === 'disk' || device.tag === 'input') && busOf(device) === bus;

const modelOf = (device: ReadonlyElement): string =>
  device.attrs['model'] ?? childOf(device, 'model')?.attrs['type'] ?? '';

/** Whether a device takes a PCI address of its own beyond those of the machine. */
function isPci(device: ReadonlyElement): boolean {
  const model = modelOf(device);
  switch (device.tag) {
    case 'interface':
    case 'rng':
    case 'filesystem':
    case 'vsock':
    case 'watchdog':
      return true;
    case 'memballoon':
      return model !== 'none';
    case 'disk':
    case 'input':
      return busOf(device) === 'virtio';
    case 'controller':
      return device.attrs['type'] !== 'pci' && model !== 'none';
    case 'hostdev':
      return device.attrs['type'] === 'pci';
    default:
      return false;
  }
}

/** KubeVirt's rule: eight ports in all, three of them free, twice that above 2 GiB; and room for four NICs. */
function freePorts(devices: readonly ReadonlyElement[], guest: number): number {
  const nics = devices.filter((device) => device.tag === 'interface').length;
  // KubeVirt counts the absent USB controller and an absent balloon too.
  const counted = devices.filter((device) => isPci(device) || device.attrs['model'] === 'none').length;
  const [all, least] = guest > 2 * GIB ? [16, 6] : [8, 3];
  return Math.max(all - counted, least, nics === 0 ? 0 : 4 - nics);
}

function rootPorts(vmi: Vmi, into: ElementDraft): void {
  const devices = into.element.children;
  const used = devices.filter((device) => isPci(device) && !CONVENTIONAL.has(modelOf(device))).length;
  const total = Math.min(used + freePorts(devices, guestBytes(vmi.spec.domain)), MAX_PORTS);
  into.add(el('controller', { type: 'pci', index: 0, model: 'pcie-root' }));
  for (let index = 1; index <= total; index++) {
    into.add(el('controller', { type: 'pci', index, model: 'pcie-root-port' }));
  }
}

export function controllers(vmi: Vmi, domain: DomainDraft): void {
  const into = domain.at('devices');
  const devices = into.element.children;
  const usb = devices.some((device) => isOnBus(device, 'usb'));
  const model = virtioModel(vmi);
  into.add(el('controller', { type: 'usb', index: 0, model: usb ? 'qemu-xhci' : 'none' }));
  // Hot-plugged disks come on SCSI.
  if (vmi.spec.domain.devices?.disableHotplug !== true || devices.some((device) => isOnBus(device, 'scsi'))) {
    into.add(el('controller', { type: 'scsi', index: 0, model }));
  }
  into.add(el('controller', { type: 'virtio-serial', index: 0, model }));
  rootPorts(vmi, into);
}
