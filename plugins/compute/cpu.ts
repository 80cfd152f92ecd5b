// CPU topology, model and features: <vcpu>, <vcpus>, <cpu>.
import { type DomainDraft, type DomainSpec, el, type Element, type Facts, quantity } from '../../core/index.ts';

/** Past this libvirt wants an IOMMU with extended interrupt mode, which no domain here has. */
export const MAX_VCPUS = 255;

export interface Topology {
  readonly sockets: number;
  readonly cores: number;
  readonly threads: number;
}

/** The topology asked for; without one, as many sockets as the CPU limit or request says. */
export function topologyOf(domain: DomainSpec): Topology {
  const { sockets, cores, threads } = domain.cpu ?? {};
  if (!sockets && !cores && !threads) {
    const asked = quantity(domain.resources?.limits?.['cpu'] ?? domain.resources?.requests?.['cpu']) ?? 1;
    return { sockets: Math.max(1, Math.ceil(asked)), cores: 1, threads: 1 };
  }
  return { sockets: sockets || 1, cores: cores || 1, threads: threads || 1 };
}

/** The vCPUs that the guest starts with. */
export function vcpusOf(domain: DomainSpec): number {
  const { sockets, cores, threads } = topologyOf(domain);
  return sockets * cores * threads;
}

/** The vCPUs that the guest can grow to. */
export function possibleVcpus(domain: DomainSpec): number {
  const { sockets, cores, threads } = topologyOf(domain);
  return (domain.cpu?.maxSockets || sockets) * cores * threads;
}

/** One element a vCPU: the first socket is fixed, the others can come and go, those past the topology are off. */
function vcpuList(possible: number, fixed: number, enabled: number): Element {
  const list = el('vcpus');
  for (let id = 0; id < possible; id++) {
    list.children.push(el('vcpu', { id, enabled: id < enabled, hotpluggable: id >= fixed }));
  }
  return list;
}

/**
 * `<cpu>` without its topology. Software emulation has no host CPU to pass through, so `host-passthrough` becomes
 * `maximum` there: all that QEMU can give.
 */
function model(domain: DomainSpec, emulated: boolean): Element {
  const name = domain.cpu?.model || 'host-model';
  if (name === 'host-passthrough') return el('cpu', { mode: emulated ? 'maximum' : name });
  if (name === 'host-model') return el('cpu', { mode: name });
  return el('cpu', { mode: 'custom' }, el('model', {}, name));
}

/** Throws where the topology has more vCPUs than a domain can have. */
export function cpu(spec: DomainSpec, facts: Facts, domain: DomainDraft): void {
  const { sockets, cores, threads } = topologyOf(spec);
  const maxSockets = spec.cpu?.maxSockets || sockets;
  const possible = possibleVcpus(spec);
  if (possible > MAX_VCPUS) {
    throw new Error(`spec.domain.cpu asks for ${possible} vCPUs, a domain has at most ${MAX_VCPUS}`);
  }
  domain.merge(el('vcpu', { placement: 'static' }, String(possible)));
  if (spec.cpu?.maxSockets) domain.merge(vcpuList(possible, cores * threads, sockets * cores * threads));

  const element = model(spec, facts.cluster.virtType === 'qemu');
  element.children.push(el('topology', { sockets: maxSockets, cores, threads }));
  const features = spec.cpu?.features ?? [];
  for (const feature of features) {
    element.children.push(el('feature', { policy: feature.policy || 'require', name: feature.name }));
  }
  // libvirt's named models still list mpx, which QEMU no longer gives to guests of newer CPUs.
  if (element.attrs['mode'] === 'custom' && !features.some((feature) => feature.name === 'mpx')) {
    element.children.push(el('feature', { policy: 'disable', name: 'mpx' }));
  }
  domain.merge(element);
}
