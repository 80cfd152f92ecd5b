// Rules for presets themselves.
import { getPath, type AdmitInput, type Cause } from '../../core/index.ts';
import { PRESET, type Preset } from './kind.ts';
import { MERGEABLE } from './merge.ts';
import { OPERATORS } from './selector.ts';

export function admit(input: AdmitInput): Cause[] | undefined {
  if (input.kind !== PRESET.resource.kind || input.operation === 'DELETE') return undefined;
  const spec = (input.object as Preset).spec as Partial<Preset['spec']> | undefined;
  const causes: Cause[] = [];
  if (typeof spec?.domain !== 'object') {
    causes.push({ field: 'spec.domain', reason: 'FieldValueRequired', message: 'missing domain.' });
  } else {
    for (const field of unmergeable(spec.domain, [])) {
      causes.push({
        field,
        reason: 'FieldValueNotSupported',
        message: `${field} is never taken from a preset: leave it out, or set it in the VirtualMachineInstance`,
      });
    }
  }
  (spec?.selector?.matchExpressions ?? []).forEach(({ operator, values = [] }, index) => {
    const field = `spec.selector.matchExpressions[${index}]`;
    if (!OPERATORS.includes(operator)) {
      causes.push({
        field: `${field}.operator`,
        reason: 'FieldValueNotSupported',
        message: `"${operator}" is not a valid label selector operator: use ${OPERATORS.join(', ')}`,
      });
    } else if (operator.endsWith('In') !== values.length > 0) {
      const message =
        values.length > 0 ? `must be empty when operator is ${operator}` : `must be set when operator is ${operator}`;
      causes.push({ field: `${field}.values`, reason: 'FieldValueInvalid', message: `${field}.values ${message}` });
    }
  });
  return causes;
}

/** Paths in a preset's domain that no merge ever reads. */
function unmergeable(value: unknown, path: readonly string[]): string[] {
  const isMergeable = MERGEABLE.some((part) => part.path.join('.') === path.join('.'));
  if (isMergeable) return [];
  const isOnTheWay = MERGEABLE.some((part) => path.every((key, index) => part.path[index] === key));
  if (!isOnTheWay) return [['spec.domain', ...path].join('.')];
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap((key) => unmergeable(getPath(value, [key]), [...path, key]));
}
