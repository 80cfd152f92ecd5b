// What is refused: KubeVirt's rules on this plugin's fields, with its paths, reasons and words; all causes at once.
import type { AdmitInput, Verdict } from '../../core/index.ts';
import { deviceRules } from './rules-devices.ts';
import { machineRules } from './rules-machine.ts';
import { memoryIsGiven, resourceRules } from './rules-resources.ts';
import { Review, type Rule } from './rules.ts';

/** Labels by which controllers find their way: a VMI must not be born with them. */
const RESERVED_LABELS = [
  'kubevirt.io/created-by',
  'kubevirt.io/migrationJobUID',
  'kubevirt.io/nodeName',
  'kubevirt.io/migrationTargetNodeName',
  'kubevirt.io/schedulable',
  'kubevirt.io/install-strategy',
];

const reservedLabels: Rule = (review) => {
  const found = RESERVED_LABELS.filter((label) => review.vmi.metadata.labels?.[label] !== undefined);
  if (found.length === 0) return;
  review.refuse(
    'metadata.labels',
    'FieldValueNotSupported',
    `creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited: ${found.join(', ')}`,
  );
};

const RULES: readonly Rule[] = [...resourceRules, ...machineRules, ...deviceRules];

export function admit({ operation, kind, vmi, at }: AdmitInput): Verdict | undefined {
  if (!vmi || operation === 'DELETE') return undefined;
  const isVmi = kind === 'VirtualMachineInstance';
  // The spec of a VMI never changes; its labels are the controllers' own from then on.
  if (isVmi && operation === 'UPDATE') return undefined;
  const review = new Review(vmi, at);
  reservedLabels(review);
  for (const rule of RULES) rule(review);
  if (isVmi) memoryIsGiven(review);
  return { causes: review.causes, warnings: review.warnings };
}
