// The guest's memory: <memory>.
import { type DomainDraft, type DomainSpec, el } from '../../core/index.ts';
import { quantity } from './quantity.ts';

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

export function memory(spec: DomainSpec, domain: DomainDraft): void {
  domain.merge(el('memory', { unit: 'b' }, String(guestBytes(spec))));
}
