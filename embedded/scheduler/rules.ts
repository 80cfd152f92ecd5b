// The placement rules a pod states: node selectors and affinity, tolerations, pod affinity and anti-affinity.
import type { LabelSelector, Pod, PodAffinityTerm, SelectorRequirement, Toleration } from '../kubelet/pod-types.ts';
import type { Node, NodeState, Taint } from './fit.ts';

type Labels = Record<string, string>;

export function nodeMatches(pod: Pod, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  if (!Object.entries(pod.spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value)) return false;
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (!required) return true;
  const fields = { 'metadata.name': node.metadata.name ?? '' };
  // Terms are alternatives; an empty one matches nothing.
  return required.nodeSelectorTerms.some(
    ({ matchExpressions = [], matchFields = [] }) =>
      matchExpressions.length + matchFields.length > 0 &&
      matchExpressions.every((requirement) => meets(requirement, labels)) &&
      matchFields.every((requirement) => meets(requirement, fields)),
  );
}

/** The first taint that keeps the pod away. */
export function untolerated(pod: Pod, taints: readonly Taint[]): Taint | undefined {
  const tolerations = pod.spec.tolerations ?? [];
  return taints.find((taint) => taint.effect !== 'PreferNoSchedule' && !tolerations.some((t) => tolerates(t, taint)));
}

function tolerates({ key, operator = 'Equal', value = '', effect }: Toleration, taint: Taint): boolean {
  if (effect && effect !== taint.effect) return false;
  if (!key) return operator === 'Exists';
  return key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''));
}

/** Required pod affinity and anti-affinity, also that of the pods already there. */
export function podAffinityProblem(pod: Pod, on: NodeState, nodes: readonly NodeState[]): string | undefined {
  const domain = (term: PodAffinityTerm) => neighbours(term.topologyKey, on, nodes);
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  for (const term of podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
    if (domain(term).some((other) => selects(term, pod, other))) continue;
    // The first pod of a group that wants to be together may begin anywhere.
    const anywhere = nodes.some(({ pods }) => pods.some((other) => selects(term, pod, other)));
    if (anywhere || !selects(term, pod, pod)) return "node(s) didn't match pod affinity rules";
  }
  for (const term of podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
    if (domain(term).some((other) => selects(term, pod, other))) return "node(s) didn't match pod anti-affinity rules";
  }
  for (const { node, pods } of nodes) {
    for (const other of pods) {
      const terms = other.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
      const near = (term: PodAffinityTerm) => sameDomain(term.topologyKey, node, on.node);
      if (terms.some((term) => near(term) && selects(term, other, pod))) {
        return "node(s) didn't satisfy existing pods anti-affinity rules";
      }
    }
  }
  return undefined;
}

function neighbours(topologyKey: string, on: NodeState, nodes: readonly NodeState[]): Pod[] {
  return nodes.filter(({ node }) => sameDomain(topologyKey, node, on.node)).flatMap(({ pods }) => pods);
}

function sameDomain(key: string, a: Node, b: Node): boolean {
  const value = a.metadata.labels?.[key];
  return value !== undefined && value === b.metadata.labels?.[key];
}

/** Whether `term`, stated by `owner`, means `other`. */
function selects(term: PodAffinityTerm, owner: Pod, other: Pod): boolean {
  const namespaces = term.namespaces?.length ? term.namespaces : [owner.metadata.namespace ?? ''];
  // Namespaces' own labels are not looked at: any namespaceSelector means every namespace.
  const inScope = term.namespaceSelector !== undefined || namespaces.includes(other.metadata.namespace ?? '');
  return inScope && term.labelSelector !== undefined && labelsMatch(term.labelSelector, other.metadata.labels ?? {});
}

export function labelsMatch({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every((requirement) => meets(requirement, labels))
  );
}

function meets({ key, operator, values = [] }: SelectorRequirement, labels: Labels): boolean {
  const value = labels[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
  }
}
