// The devices that every guest has, and those that the manifest can add or leave out one by one.
import { type DomainDraft, el, type ElementDraft, type Vmi } from '../../core/index.ts';
import { type Input, isEfi } from './types.ts';

const PRIVATE = '/var/run/kubevirt-private';
const NO_PAGE_REPORTING = 'kubevirt.io/free-page-reporting-disabled';

/** Virtio as guests since Linux 3.18 know it, or with the old interface beside it. */
export function virtioModel(vmi: Vmi): string {
  return vmi.spec.domain.devices?.useVirtioTransitional === true ? 'virtio-transitional' : 'virtio-non-transitional';
}

function guestAgentChannel(devices: ElementDraft): void {
  // libvirt chooses the path of the socket.
  devices.add(el('channel', { type: 'unix' }, el('target', { type: 'virtio', name: 'org.qemu.guest_agent.0' })));
}

function serialConsole(vmi: Vmi, devices: ElementDraft): void {
  if (vmi.spec.domain.devices?.autoattachSerialConsole === false) return;
  const path = `${PRIVATE}/${vmi.metadata.uid ?? ''}/virt-serial0`;
  devices.add(el('serial', { type: 'unix' }, el('source', { mode: 'bind', path }), el('target', { port: 0 })));
  devices.add(el('console', { type: 'pty' }, el('target', { type: 'serial', port: 0 })));
}

export function hasGraphics(vmi: Vmi): boolean {
  return vmi.spec.domain.devices?.autoattachGraphicsDevice !== false;
}

function graphics(vmi: Vmi, devices: ElementDraft): void {
  if (!hasGraphics(vmi)) return;
  const asked = vmi.spec.domain.devices?.video?.type;
  // UEFI has a driver for bochs, which is free of VGA's legacy.
  const type = asked || (isEfi(vmi.spec.domain) ? 'bochs' : 'vga');
  const vram = type === 'bochs' && !asked ? undefined : 16384;
  const socket = `${PRIVATE}/${vmi.metadata.uid ?? ''}/virt-vnc`;
  devices.add(el('graphics', { type: 'vnc' }, el('listen', { type: 'socket', socket })));
  devices.add(el('video', {}, el('model', { type, heads: 1, vram })));
}

function memballoon(vmi: Vmi, devices: ElementDraft): void {
  if (vmi.spec.domain.devices?.autoattachMemBalloon === false) {
    devices.add(el('memballoon', { model: 'none' }));
    return;
  }
  const freePageReporting = vmi.metadata.annotations?.[NO_PAGE_REPORTING] === 'true' ? 'off' : 'on';
  devices.add(el('memballoon', { model: virtioModel(vmi), freePageReporting }, el('stats', { period: 10 })));
}

function rng(vmi: Vmi, devices: ElementDraft): void {
  if (!vmi.spec.domain.devices?.rng) return;
  devices.add(el('rng', { model: virtioModel(vmi) }, el('backend', { model: 'random' }, '/dev/urandom')));
}

/** The manifest's input devices; one tablet where it wants them attached and names none. */
function inputsOf(vmi: Vmi): readonly Input[] {
  const { inputs, autoattachInputDevice } = vmi.spec.domain.devices ?? {};
  if (inputs?.length) return inputs;
  return autoattachInputDevice === true ? [{ name: 'default-0', type: 'tablet', bus: 'usb' }] : [];
}

function inputs(vmi: Vmi, devices: ElementDraft): void {
  for (const { name, type, bus } of inputsOf(vmi)) {
    const virtio = bus === 'virtio';
    devices.add(
      el(
        'input',
        { type: type || 'tablet', bus: virtio ? 'virtio' : 'usb', model: virtio ? 'virtio' : undefined },
        el('alias', { name: `ua-${name}` }),
      ),
    );
  }
}

function watchdog(vmi: Vmi, devices: ElementDraft): void {
  const asked = vmi.spec.domain.devices?.watchdog;
  if (!asked) return;
  const action = asked.i6300esb?.action || 'reset';
  devices.add(el('watchdog', { model: 'i6300esb', action }, el('alias', { name: `ua-${asked.name}` })));
}

export function devices(vmi: Vmi, domain: DomainDraft): void {
  const into = domain.at('devices');
  guestAgentChannel(into);
  graphics(vmi, into);
  memballoon(vmi, into);
  inputs(vmi, into);
  serialConsole(vmi, into);
  rng(vmi, into);
  watchdog(vmi, into);
}
