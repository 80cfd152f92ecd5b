// What the launcher pod needs besides the guest's memory: this plugin's entries of the memory ledger.
import { type Facts, MIB, type PlanDraft, type Vmi } from '../../core/index.ts';
import { vcpusOf } from './cpu.ts';
import { hasGraphics } from './devices.ts';
import { TRANSLATION_CACHE_MIB } from './features.ts';
import { guestBytes } from './memory.ts';
import { isEfi } from './types.ts';

export function ledger(vmi: Vmi, facts: Facts, plan: PlanDraft): void {
  const spec = vmi.spec.domain;
  const guestMebibytes = guestBytes(spec) / MIB;
  plan.overhead({ mebibytes: 2, why: 'the shell that is PID 1: 1.7 measured' });
  plan.overhead({ mebibytes: 32, why: 'libvirtd with one domain: 27 measured' });
  plan.overhead({ mebibytes: 56, why: 'QEMU, its heap and device buffers: 49 measured' });
  plan.overhead({ mebibytes: Math.ceil(guestMebibytes / 512), why: 'page tables, 1/512 of guest memory' });
  plan.overhead({ mebibytes: 8 * vcpusOf(spec), why: 'threads, 8 for each vCPU: 5.5 measured' });
  plan.overhead({ mebibytes: 8, why: 'threads for disk I/O' });
  if (hasGraphics(vmi)) plan.overhead({ mebibytes: 24, why: 'video memory of 16, VNC buffers' });
  if (isEfi(spec)) plan.overhead({ mebibytes: 8, why: 'UEFI images and variables: 7 measured' });
  if (facts.cluster.virtType === 'qemu') {
    plan.overhead({ mebibytes: TRANSLATION_CACHE_MIB, why: 'cache of translated code under emulation' });
  }
}
