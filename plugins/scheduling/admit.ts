// What is refused: what Kubernetes would refuse in the pod, said where the user can still change it.
import type { AdmitInput, Cause } from '../../core/index.ts';
import { affinityCauses, spreadCauses } from './affinity.ts';
import { invalid, items } from './causes.ts';
import { dnsCauses } from './dns.ts';
import { dnsLabelProblem, dnsSubdomainProblem, labelKeyProblem, labelValueProblem } from './names.ts';
import type { Toleration } from './types.ts';

function names(spec: NonNullable<AdmitInput['vmi']>['spec'], at: AdmitInput['at']): Cause[] {
  const causes: Cause[] = [];
  const check = (name: 'hostname' | 'subdomain' | 'priorityClassName', rules: string, problem?: string): void => {
    const field = at(`spec.${name}`);
    if (problem) causes.push(invalid(field, `${field} does not conform to the kubernetes ${rules} rules : ${problem}`));
  };
  const { hostname, subdomain, priorityClassName } = spec;
  if (hostname) check('hostname', 'DNS_LABEL', dnsLabelProblem(String(hostname)));
  if (subdomain) check('subdomain', 'DNS_SUBDOMAIN', dnsSubdomainProblem(String(subdomain)));
  if (priorityClassName) check('priorityClassName', 'DNS_SUBDOMAIN', dnsSubdomainProblem(String(priorityClassName)));
  return causes;
}

function nodeSelector(selector: unknown, field: string): Cause[] {
  if (typeof selector !== 'object' || selector === null) return [];
  return Object.entries(selector).flatMap(([key, value]) => {
    const problem = labelKeyProblem(key) ?? labelValueProblem(value);
    return problem ? [invalid(field, `${field} "${key}": ${problem}`)] : [];
  });
}

function toleration({ key, operator = 'Equal', value, effect, tolerationSeconds }: Toleration, field: string): Cause[] {
  const causes: Cause[] = [];
  const problem = key ? labelKeyProblem(key) : undefined;
  if (problem) causes.push(invalid(`${field}.key`, `${field}.key: ${problem}`));
  if (!key && operator !== 'Exists') {
    const message = 'operator must be Exists when `key` is empty, which means "match all values and all keys"';
    causes.push(invalid(`${field}.operator`, message));
  }
  if (operator === 'Exists' && value) {
    causes.push(invalid(`${field}.operator`, 'value must be empty when `operator` is "Exists"'));
  }
  if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
    causes.push(invalid(`${field}.effect`, 'effect must be "NoExecute" when `tolerationSeconds` is set'));
  }
  return causes;
}

export function admit({ operation, kind, vmi, at }: AdmitInput): Cause[] | undefined {
  if (!vmi || operation === 'DELETE') return undefined;
  // The spec of a VMI never changes.
  if (kind === 'VirtualMachineInstance' && operation === 'UPDATE') return undefined;
  const { spec } = vmi;
  return [
    ...names(spec, at),
    ...nodeSelector(spec.nodeSelector, at('spec.nodeSelector')),
    ...affinityCauses(spec.affinity, at('spec.affinity')),
    ...items(spec.tolerations).flatMap(([index, one]) => toleration(one, `${at('spec.tolerations')}[${index}]`)),
    ...spreadCauses(spec.topologySpreadConstraints, at('spec.topologySpreadConstraints')),
    ...dnsCauses(spec, at),
  ];
}
