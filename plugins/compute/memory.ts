// The guest's memory: <memory>.
import { type DomainDraft, type DomainSpec, el, MIB, quantity } from '../../core/index.ts';
import { possibleVcpus } from './cpu.ts';

/** What memory.guest is when the manifest leaves it out; undefined where nothing says how much. */
export function guestMemoryText(domain: DomainSpec): string | number | undefined {
  const { requests, limits } = domain.resources ?? {};
  if (quantity(domain.memory?.guest) !== undefined) return domain.memory?.guest;
  if (quantity(requests?.['memory'])) return requests?.['memory'];
  return quantity(limits?.['memory']) ? limits?.['memory'] : undefined;
}

/** Whole bytes of guest memory. Throws where the VMI names none. */
export function guestBytes(domain: DomainSpec): number {
  const bytes = Math.floor(quantity(guestMemoryText(domain)) ?? 0);
  if (bytes <= 0) {
    throw new Error('no memory requested: set spec.domain.memory.guest or spec.domain.resources.requests.memory');
  }
  return bytes;
}

const ROOM_FROM = 2 ** 30;
const ROOM_ALIGNMENT = 2 * MIB;

/** Why a guest of so many bytes cannot have room to grow to so many. KubeVirt's rules and words. */
export function memoryRoomProblem(guest: number, most: number): string | undefined {
  if (guest > most) return 'Guest memory is greater than the configured maxGuest memory';
  if (guest % ROOM_ALIGNMENT !== 0) return 'Guest memory must be 2Mi aligned';
  if (most % ROOM_ALIGNMENT !== 0) return 'MaxGuest must be 2Mi aligned';
  return guest < ROOM_FROM ? 'Memory hotplug is only available for VMs with at least 1Gi of guest memory' : undefined;
}

/** Bytes of memory that the guest can grow to, where that is more than it has. */
export function maxGuestBytes(domain: DomainSpec): number | undefined {
  const most = Math.floor(quantity(domain.memory?.maxGuest) ?? 0);
  return most > guestBytes(domain) ? most : undefined;
}

/** Throws where the VMI names no memory. */
export function memory(spec: DomainSpec, domain: DomainDraft): void {
  const guest = guestBytes(spec);
  domain.merge(el('memory', { unit: 'b' }, String(guest)));
  const most = maxGuestBytes(spec);
  if (most === undefined) return;
  domain.merge(el('maxMemory', { unit: 'b', slots: 1 }, String(most)));
  // libvirt has room for more memory only in a guest with a NUMA node, which newer versions add by themselves.
  const cell = el('cell', { id: 0, cpus: `0-${possibleVcpus(spec) - 1}`, memory: guest, unit: 'b' });
  domain.merge(el('cpu', {}, el('numa', {}, cell)));
}
