// Values that a pod can learn about itself: fieldRef and resourceFieldRef.
import type { Container, Pod } from './pod-types.ts';
import { milli, quantity, units } from './quantity.ts';

export interface PodFacts {
  pod: Pod;
  hostIP: string;
  podIP: string;
  allocatable: Record<string, string>;
}

export class FieldError extends Error {
  override name = 'FieldError';
}

export function fieldValue(facts: PodFacts, fieldPath: string): string {
  const { metadata, spec } = facts.pod;
  const indexed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath);
  if (indexed) return metadata[indexed[1] === 'labels' ? 'labels' : 'annotations']?.[indexed[2] ?? ''] ?? '';
  const values: Record<string, string | undefined> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'metadata.labels': lines(metadata.labels),
    'metadata.annotations': lines(metadata.annotations),
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName ?? 'default',
    'status.hostIP': facts.hostIP,
    'status.hostIPs': facts.hostIP,
    'status.podIP': facts.podIP,
    'status.podIPs': facts.podIP,
  };
  const value = values[fieldPath];
  if (value === undefined) throw new FieldError(`unsupported fieldPath: ${fieldPath}`);
  return value;
}

/** A limit or request in units of `divisor`, rounded up; a limit that is not set is the node's allocatable. */
export function resourceValue(
  facts: PodFacts,
  own: Container,
  ref: { containerName?: string; resource: string; divisor?: string },
): string {
  const all = [...facts.pod.spec.containers, ...(facts.pod.spec.initContainers ?? [])];
  const container = ref.containerName ? all.find((candidate) => candidate.name === ref.containerName) : own;
  if (!container) throw new FieldError(`container ${ref.containerName ?? ''} not found`);
  const [kind = '', ...rest] = ref.resource.split('.');
  const name = rest.join('.');
  if (kind !== 'limits' && kind !== 'requests') throw new FieldError(`unsupported container resource: ${ref.resource}`);
  const limit = container.resources?.limits?.[name];
  const text =
    kind === 'limits' ? (limit ?? facts.allocatable[name]) : (container.resources?.requests?.[name] ?? limit);
  const divisor = quantity(ref.divisor ?? '1') || 1;
  if (name === 'cpu') return String(Math.ceil(milli(text) / (divisor * 1000)));
  return String(Math.ceil(units(text) / divisor));
}

function lines(map: Record<string, string> = {}): string {
  return Object.entries(map)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n');
}
