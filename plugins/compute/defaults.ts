// KubeVirt's defaults for this plugin's fields: what a VMI says about itself once it is stored.
import {
  bytesText,
  type DefaultInput,
  type DomainSpec,
  MEMORY_END,
  type Patch,
  quantity,
  type Vmi,
} from '../../core/index.ts';
import { MAX_VCPUS, topologyOf } from './cpu.ts';
import { DEFAULT_ARCHITECTURE, DEFAULT_MACHINE } from './firmware.ts';
import { guestMemoryText, memoryRoomProblem } from './memory.ts';
import { LAUNCHER_USER } from './pod.ts';
import { type Hyperv, isOn } from './types.ts';

/** Sockets and memory that can be plugged in, by what there is. */
const HOTPLUG_RATIO = 4;

/** What each enlightenment stands on. Leaves first, so that a chain fills in one pass. */
export const HYPERV_NEEDS: readonly [keyof Hyperv, keyof Hyperv][] = [
  ['evmcs', 'vapic'],
  ['ipi', 'vpindex'],
  ['tlbflush', 'vpindex'],
  ['synictimer', 'synic'],
  ['synic', 'vpindex'],
];

function isUnset(value: unknown): boolean {
  return value === undefined || value === null || value === '' || value === 0;
}

/** Collects patches for fields that the VMI leaves open; never writes through something that is no object. */
class Filling {
  readonly patches: Patch[] = [];
  readonly #vmi: Vmi;
  readonly #at: (path: string) => string;

  constructor(vmi: Vmi, at: (path: string) => string) {
    this.#vmi = vmi;
    this.#at = at;
  }

  set(path: string, value: unknown, why: string, below: readonly (string | number)[] = []): void {
    let found: unknown = this.#vmi;
    for (const key of [...path.split('.'), ...below]) {
      if (found === undefined || found === null) break;
      if (typeof found !== 'object') return;
      found = (found as Record<string | number, unknown>)[key];
    }
    if (isUnset(found)) this.patches.push({ path: [...this.#at(path).split('.'), ...below], value, why });
  }
}

function machine(fill: Filling): void {
  fill.set('spec.architecture', DEFAULT_ARCHITECTURE, 'the default architecture');
  fill.set('spec.domain.machine.type', DEFAULT_MACHINE, 'the default machine type');
}

function memory(domain: DomainSpec, fill: Filling): void {
  const guest = guestMemoryText(domain);
  if (guest === undefined) return;
  fill.set('spec.domain.memory.guest', guest, 'requested or limited memory');
  const bytes = quantity(guest) ?? 0;
  const most = bytes * HOTPLUG_RATIO;
  if (memoryRoomProblem(bytes, most) !== undefined || most >= MEMORY_END) return;
  fill.set('spec.domain.memory.maxGuest', bytesText(most), `live update: ${HOTPLUG_RATIO} times guest`);
}

function cpu(domain: DomainSpec, fill: Filling): void {
  const limit = domain.resources?.limits?.['cpu'];
  if (quantity(limit)) fill.set('spec.domain.resources.requests.cpu', limit, 'limits.cpu');
  const { sockets, cores, threads } = topologyOf(domain);
  if (!domain.cpu?.sockets && !domain.cpu?.cores && !domain.cpu?.threads) {
    const why = 'CPU limit or request as sockets, else 1';
    fill.set('spec.domain.cpu.sockets', sockets, why);
    fill.set('spec.domain.cpu.cores', cores, why);
    fill.set('spec.domain.cpu.threads', threads, why);
  }
  fill.set('spec.domain.cpu.model', 'host-model', 'the default CPU model');
  const room = Math.floor(MAX_VCPUS / (cores * threads));
  const maxSockets = Math.max(sockets, Math.min(sockets * HOTPLUG_RATIO, room));
  fill.set('spec.domain.cpu.maxSockets', maxSockets, `live update: ${HOTPLUG_RATIO} times sockets`);
}

function features(domain: DomainSpec, fill: Filling): void {
  fill.set('spec.domain.features.acpi.enabled', true, 'ACPI is on');
  const hyperv = domain.features?.hyperv;
  if (!hyperv) return;
  const added = new Set<keyof Hyperv>();
  for (const [key, needed] of HYPERV_NEEDS) {
    if (!isOn(hyperv[key]) && !added.has(key)) continue;
    if (hyperv[needed]?.enabled !== undefined || added.has(needed)) continue;
    added.add(needed);
    fill.set(`spec.domain.features.hyperv.${needed}.enabled`, true, `hyperv.${key} needs it`);
  }
  if (!isOn(hyperv.evmcs)) return;
  const asked = Array.isArray(domain.cpu?.features) ? domain.cpu.features : [];
  if (asked.some((feature) => feature.name === 'vmx')) return;
  fill.set('spec.domain.cpu.features', { name: 'vmx', policy: 'require' }, 'hyperv.evmcs needs it', [asked.length]);
}

function devices(domain: DomainSpec, fill: Filling): void {
  const { inputs, watchdog } = domain.devices ?? {};
  if (Array.isArray(inputs)) {
    inputs.forEach((_, index) => {
      fill.set('spec.domain.devices.inputs', 'usb', 'the default bus', [index, 'bus']);
      fill.set('spec.domain.devices.inputs', 'tablet', 'the default input device', [index, 'type']);
    });
  }
  if (watchdog) fill.set('spec.domain.devices.watchdog.i6300esb.action', 'reset', 'the default action');
}

/** A VirtualMachine gets what must not change with the platform's version; a VMI gets everything. */
export function defaults({ operation, kind, vmi, at }: DefaultInput): Patch[] | undefined {
  if (!vmi) return undefined;
  const fill = new Filling(vmi, at);
  const domain = vmi.spec.domain;
  if (kind === 'VirtualMachine') {
    machine(fill);
  } else if (kind === 'VirtualMachineInstance' && operation === 'CREATE') {
    machine(fill);
    memory(domain, fill);
    cpu(domain, fill);
    features(domain, fill);
    devices(domain, fill);
    fill.set('status.runtimeUser', LAUNCHER_USER, 'the user that QEMU runs as');
  }
  return fill.patches;
}
