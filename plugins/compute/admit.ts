// What is refused: KubeVirt's rules on this plugin's fields, with its paths, reasons and words; all causes at once.
import type { AdmitInput, Verdict } from '../../core/index.ts';
import { deviceRules } from './rules-devices.ts';
import { machineRules } from './rules-machine.ts';
import { memoryIsGiven, resourceRules } from './rules-resources.ts';
import { Review, type Rule } from './rules.ts';

const RULES: readonly Rule[] = [...resourceRules, ...machineRules, ...deviceRules];

export function admit({ operation, kind, vmi, at }: AdmitInput): Verdict | undefined {
  if (!vmi || operation === 'DELETE') return undefined;
  const isVmi = kind === 'VirtualMachineInstance';
  // The spec of a VMI never changes.
  if (isVmi && operation === 'UPDATE') return undefined;
  const review = new Review(vmi, at);
  for (const rule of RULES) rule(review);
  if (isVmi) memoryIsGiven(review);
  return { causes: review.causes, warnings: review.warnings };
}
