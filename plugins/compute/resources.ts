// Requests and limits of the compute container: the guest's memory and the ledger of all plugins. Runs last.
import {
  bytesText,
  cpuText,
  type Facts,
  MIB,
  type PlanDraft,
  type PodPart,
  quantity,
  type Vmi,
} from '../../core/index.ts';
import { vcpusOf } from './cpu.ts';
import { guestBytes } from './memory.ts';
import { OVERHEAD_ANNOTATION } from './pod.ts';

/** A tenth of a CPU is asked for each vCPU, as KubeVirt's cpuAllocationRatio of 10 has it. */
const MILLIS_A_VCPU = 100;
/** For logs and scratch files. */
const EPHEMERAL_STORAGE = 50e6;
const OURS = new Set(['cpu', 'memory', 'ephemeral-storage']);

type List = Readonly<Record<string, string | number>>;

function others(list: List): Record<string, string | number> {
  return Object.fromEntries(Object.entries(list).filter(([name]) => !OURS.has(name)));
}

function storage(asked: unknown): string {
  const bytes = Math.ceil(quantity(asked) ?? 0) + EPHEMERAL_STORAGE;
  return bytes % 1e6 === 0 ? `${bytes / 1e6}M` : String(bytes);
}

function requests(vmi: Vmi, overhead: number): PodPart {
  const { requests: asked = {}, limits = {}, overcommitGuestOverhead } = vmi.spec.domain.resources ?? {};
  const memory = quantity(asked['memory']) || quantity(limits['memory']) || guestBytes(vmi.spec.domain);
  return {
    ...others(asked),
    cpu: asked['cpu'] ?? limits['cpu'] ?? cpuText(MILLIS_A_VCPU * vcpusOf(vmi.spec.domain)),
    memory: bytesText(Math.ceil(memory) + (overcommitGuestOverhead === true ? 0 : overhead)),
    'ephemeral-storage': storage(asked['ephemeral-storage']),
  };
}

function limits(vmi: Vmi, facts: Facts, hasNics: boolean, overhead: number): PodPart {
  const { limits: asked = {} } = vmi.spec.domain.resources ?? {};
  const memory = quantity(asked['memory']);
  return {
    ...others(asked),
    cpu: asked['cpu'],
    memory: memory ? bytesText(Math.ceil(memory) + overhead) : undefined,
    'ephemeral-storage': asked['ephemeral-storage'] === undefined ? undefined : storage(asked['ephemeral-storage']),
    'devices.kubevirt.io/kvm': facts.cluster.virtType === 'kvm' ? '1' : undefined,
    'devices.kubevirt.io/tun': hasNics ? '1' : undefined,
  };
}

export function resources(vmi: Vmi, facts: Facts, hasNics: boolean, plan: PlanDraft): void {
  const overhead = plan.overheadSoFar() * MIB;
  plan.pod.compute({
    resources: { requests: requests(vmi, overhead), limits: limits(vmi, facts, hasNics, overhead) },
  });
  plan.pod.merge({ metadata: { annotations: { [OVERHEAD_ANNOTATION]: String(overhead) } } });
}
