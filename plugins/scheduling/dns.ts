// Rules on dnsPolicy and dnsConfig.
import { isIP } from 'node:net';
import type { AdmitInput, Cause, VmiSpec } from '../../core/index.ts';
import { invalid, items } from './causes.ts';
import { dnsSubdomainProblem } from './names.ts';

const POLICIES = ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'];
const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 6;
const MAX_SEARCH_CHARACTERS = 256;

const strings = (list: unknown): string[] =>
  Array.isArray(list) ? list.filter((item) => typeof item === 'string') : [];

function policy({ dnsPolicy, dnsConfig }: VmiSpec, at: AdmitInput['at']): Cause[] {
  if (!dnsPolicy) return [];
  if (!POLICIES.includes(dnsPolicy)) {
    const message = `DNSPolicy: ${dnsPolicy} is not supported, valid values: [${POLICIES.join(' ')}]`;
    return [{ field: at('spec.dnsPolicy'), reason: 'FieldValueNotSupported', message }];
  }
  if (dnsPolicy !== 'None') return [];
  const required = (path: string, message: string): Cause[] => [
    { field: at(path), reason: 'FieldValueRequired', message },
  ];
  if (!dnsConfig) return required('spec.dnsConfig', 'must provide `dnsConfig` when `dnsPolicy` is None');
  if (strings(dnsConfig.nameservers).length > 0) return [];
  return required('spec.dnsConfig.nameservers', 'must provide at least one DNS nameserver when `dnsPolicy` is None');
}

export function dnsCauses(spec: VmiSpec, at: AdmitInput['at']): Cause[] {
  const causes = policy(spec, at);
  const { dnsConfig } = spec;
  if (!dnsConfig) return causes;
  const nameservers = strings(dnsConfig.nameservers);
  const field = at('spec.dnsConfig.nameservers');
  if (nameservers.length > MAX_NAMESERVERS) {
    causes.push(invalid(field, `must not have more than ${MAX_NAMESERVERS} nameservers: [${nameservers.join(' ')}]`));
  }
  for (const address of nameservers) {
    if (isIP(address) === 0) causes.push(invalid(field, `must be valid IP address: ${address}`));
  }
  const searches = strings(dnsConfig.searches);
  const searchField = at('spec.dnsConfig.searches');
  if (searches.length > MAX_SEARCHES) {
    causes.push(invalid(searchField, `must not have more than ${MAX_SEARCHES} search paths`));
  }
  if (searches.join(' ').length > MAX_SEARCH_CHARACTERS) {
    const message = `must not have more than ${MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list`;
    causes.push(invalid(searchField, message));
  }
  for (const search of searches) {
    // A final dot says that the name is whole.
    const problem = dnsSubdomainProblem(search.replace(/\.$/, ''));
    if (problem && search !== '.') causes.push(invalid(searchField, `${search}: ${problem}`));
  }
  for (const [index, option] of items(dnsConfig.options)) {
    if (!option.name)
      causes.push(invalid(`${at('spec.dnsConfig.options')}[${index}].name`, 'Option.Name must not be empty'));
  }
  return causes;
}
