// Rules on affinity and topology spread that a schema cannot say.
import type { Cause } from '../../core/index.ts';
import { invalid, items } from './causes.ts';
import { labelKeyProblem } from './names.ts';
import type {
  Affinity,
  Expression,
  LabelSelector,
  NodeSelectorTerm,
  PodAffinity,
  PodAffinityTerm,
  TopologySpreadConstraint,
} from './types.ts';

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';

const required = (field: string, message: string): Cause => ({ field, reason: 'FieldValueRequired', message });

function expressionCauses(list: Expression[] | undefined, field: string): Cause[] {
  return items(list).flatMap(([index, { key, operator, values }]) => {
    const at = `${field}[${index}]`;
    const causes: Cause[] = [];
    const problem = labelKeyProblem(key);
    if (problem) causes.push(invalid(`${at}.key`, `${at}.key: ${problem}`));
    const count = Array.isArray(values) ? values.length : 0;
    if ((operator === 'In' || operator === 'NotIn') && count === 0) {
      causes.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    } else if ((operator === 'Exists' || operator === 'DoesNotExist') && count > 0) {
      causes.push({
        field: `${at}.values`,
        reason: 'FieldValueForbidden',
        message: "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
      });
    } else if ((operator === 'Gt' || operator === 'Lt') && (count !== 1 || !/^-?\d+$/.test(String(values?.[0])))) {
      causes.push(required(`${at}.values`, "must be one integer when `operator` is 'Lt' or 'Gt'"));
    }
    return causes;
  });
}

function selectorCauses(selector: LabelSelector | undefined, field: string): Cause[] {
  return expressionCauses(selector?.matchExpressions, `${field}.matchExpressions`);
}

function nodeTermCauses(term: NodeSelectorTerm | undefined, field: string): Cause[] {
  return [
    ...expressionCauses(term?.matchExpressions, `${field}.matchExpressions`),
    ...expressionCauses(term?.matchFields, `${field}.matchFields`),
  ];
}

function podTermCauses(term: PodAffinityTerm | undefined, field: string): Cause[] {
  const causes = [
    ...selectorCauses(term?.labelSelector, `${field}.labelSelector`),
    ...selectorCauses(term?.namespaceSelector, `${field}.namespaceSelector`),
  ];
  const key = term?.topologyKey;
  const keyField = `${field}.topologyKey`;
  if (key === '') causes.push(required(keyField, 'can not be empty'));
  else if (labelKeyProblem(key)) {
    causes.push(invalid(keyField, `${keyField}: ${labelKeyProblem(key)}`));
  }
  return causes;
}

function podAffinityCauses(affinity: PodAffinity | undefined, field: string): Cause[] {
  return [
    ...items(affinity?.[REQUIRED]).flatMap(([i, term]) => podTermCauses(term, `${field}.${REQUIRED}[${i}]`)),
    ...items(affinity?.[PREFERRED]).flatMap(([i, wish]) =>
      podTermCauses(wish.podAffinityTerm, `${field}.${PREFERRED}[${i}].podAffinityTerm`),
    ),
  ];
}

export function affinityCauses(affinity: Affinity | undefined, field: string): Cause[] {
  const nodes = affinity?.nodeAffinity;
  const terms = nodes?.[REQUIRED]?.nodeSelectorTerms;
  const termsField = `${field}.nodeAffinity.${REQUIRED}.nodeSelectorTerms`;
  return [
    ...(Array.isArray(terms) && terms.length === 0
      ? [required(termsField, 'must have at least one node selector term')]
      : []),
    ...items(terms).flatMap(([i, term]) => nodeTermCauses(term, `${termsField}[${i}]`)),
    ...items(nodes?.[PREFERRED]).flatMap(([i, wish]) =>
      nodeTermCauses(wish.preference, `${field}.nodeAffinity.${PREFERRED}[${i}].preference`),
    ),
    ...podAffinityCauses(affinity?.podAffinity, `${field}.podAffinity`),
    ...podAffinityCauses(affinity?.podAntiAffinity, `${field}.podAntiAffinity`),
  ];
}

export function spreadCauses(constraints: TopologySpreadConstraint[] | undefined, field: string): Cause[] {
  const seen = new Set<string>();
  return items(constraints).flatMap(([index, one]) => {
    const at = `${field}[${index}]`;
    const causes = selectorCauses(one.labelSelector, `${at}.labelSelector`);
    const pair = `{${one.topologyKey}, ${one.whenUnsatisfiable}}`;
    if (seen.has(pair)) {
      const message = `{topologyKey, whenUnsatisfiable} ${pair} is there twice`;
      causes.push({ field: at, reason: 'FieldValueDuplicate', message });
    }
    seen.add(pair);
    if (one.minDomains !== undefined && one.whenUnsatisfiable !== 'DoNotSchedule') {
      causes.push(invalid(`${at}.minDomains`, 'can only use minDomains if whenUnsatisfiable=DoNotSchedule'));
    }
    return causes;
  });
}
