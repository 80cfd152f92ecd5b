// What a binding and the domain say to each other about one NIC of a guest.
import type { Json, Vmi } from '../types.ts';

/** What a binding's node step found out and made; the step's result. */
export type GuestNic = {
  readonly tap: string;
  readonly mtu: number;
  /** The guest's MAC address. */
  readonly mac: string;
  /** The pod interface's IPv4 addresses. */
  readonly ips: string[];
};

/** A step's result as a GuestNic; undefined before the step ran. */
export function guestNicOf(result: Json | undefined): GuestNic | undefined {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return undefined;
  const { tap, mtu, mac, ips } = result;
  if (typeof tap !== 'string' || typeof mtu !== 'number' || typeof mac !== 'string' || !Array.isArray(ips)) {
    return undefined;
  }
  return { tap, mtu, mac, ips: ips.filter((ip) => typeof ip === 'string') };
}

/** MTU before the pod's is known. */
export const DEFAULT_MTU = 1500;

const MAX_QUEUES = 256;

interface QueueFields {
  domain: { cpu?: { cores?: number; sockets?: number; threads?: number } };
}

/** Queues of a NIC of this model: one a vCPU where several are asked for and the model is virtio, else 1. */
export function queuesOf(vmi: Vmi, model: string | undefined, isMultiqueue: boolean | undefined): number {
  const { cpu } = (vmi.spec as QueueFields).domain;
  if (isMultiqueue !== true || (model || 'virtio') !== 'virtio') return 1;
  const vcpus = (cpu?.cores ?? 1) * (cpu?.sockets ?? 1) * (cpu?.threads ?? 1);
  return Math.min(Math.max(vcpus, 1), MAX_QUEUES);
}

/** The name that DHCP gives the guest: spec.hostname, else the VMI's name up to its first dot; at most 63 characters. */
export function hostnameOf(vmi: Vmi): string {
  const { hostname } = vmi.spec as { hostname?: string };
  const name = hostname ?? vmi.metadata.name?.split('.')[0] ?? '';
  return name.slice(0, 63).replace(/-+$/, '');
}

/** The address in lower case with colons; undefined if `text` is no MAC address. */
export function parseMac(text: string): string | undefined {
  const bytes = /^([0-9a-f]{2})([:-])((?:[0-9a-f]{2}\2){4}[0-9a-f]{2})$/i.test(text)
    ? text.split(/[:-]/)
    : /^([0-9a-f]{4}\.){2}[0-9a-f]{4}$/i.test(text)
      ? text.replaceAll('.', '').match(/../g)
      : undefined;
  return bytes?.join(':').toLowerCase();
}
