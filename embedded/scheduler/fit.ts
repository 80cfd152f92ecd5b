// Which node a pod fits on, and Kubernetes' message when it fits on none. Pure.
import type { KubeObject } from '../../core/kube/objects.ts';
import { isSidecar } from '../kubelet/pod-status.ts';
import type { Container, Pod } from '../kubelet/pod-types.ts';
import { milli, units } from '../kubelet/quantity.ts';
import { nodeMatches, podAffinityProblem, untolerated } from './rules.ts';

export interface Taint {
  key: string;
  value?: string;
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

export interface Node extends KubeObject {
  spec?: { unschedulable?: boolean; taints?: Taint[] };
  status?: {
    allocatable?: Record<string, string>;
    conditions?: { type: string; status: string }[];
  };
}

export interface NodeState {
  node: Node;
  /** Pods that run there or are on their way; not those that have ended. */
  pods: Pod[];
}

export type Fit = { node: NodeState; message: '' } | { node: undefined; message: string };

/** Unbound, alive, and ours to place. */
export function isPending(pod: Pod): boolean {
  const { nodeName, schedulerName = 'default-scheduler' } = pod.spec;
  const phase = pod.status?.phase ?? 'Pending';
  return !nodeName && !pod.metadata.deletionTimestamp && phase === 'Pending' && schedulerName === 'default-scheduler';
}

/** The fitting node with the smallest share of its memory and CPU asked for. */
export function fit(pod: Pod, nodes: readonly NodeState[]): Fit {
  if (nodes.length === 0) return { node: undefined, message: 'no nodes available to schedule pods' };
  const counts = new Map<string, number>();
  const fitting: NodeState[] = [];
  for (const state of nodes) {
    const problems = problemsOf(pod, state, nodes);
    if (problems.length === 0) fitting.push(state);
    for (const problem of problems) counts.set(problem, (counts.get(problem) ?? 0) + 1);
  }
  const best = fitting.toSorted((a, b) => load(a) - load(b))[0];
  if (best) return { node: best, message: '' };
  const why = [...counts].map(([problem, count]) => `${count} ${problem}`).sort();
  return { node: undefined, message: `0/${nodes.length} nodes are available: ${why.join(', ')}.` };
}

/** In the order Kubernetes looks; only the first kind of problem of a node is told, but all its short resources. */
function problemsOf(pod: Pod, state: NodeState, nodes: readonly NodeState[]): string[] {
  const { node } = state;
  if (node.spec?.unschedulable) {
    const tolerated = !untolerated(pod, [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }]);
    if (!tolerated) return ['node(s) were unschedulable'];
  }
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True';
  const taints: Taint[] = [...(node.spec?.taints ?? [])];
  if (!ready) taints.push({ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' });
  const taint = untolerated(pod, taints);
  if (taint) return [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`];
  if (!nodeMatches(pod, node)) return ["node(s) didn't match Pod's node affinity/selector"];
  const short = shortResources(pod, state);
  if (short.length > 0) return short;
  const affinity = podAffinityProblem(pod, state, nodes);
  return affinity ? [affinity] : [];
}

function shortResources(pod: Pod, { node, pods }: NodeState): string[] {
  const allocatable = node.status?.allocatable ?? {};
  const used = sum(pods.map(requestsOf));
  const short = pods.length + 1 > units(allocatable['pods'] ?? '110') ? ['Too many pods'] : [];
  for (const [name, amount] of requestsOf(pod)) {
    const has = name === 'cpu' ? milli(allocatable[name]) : units(allocatable[name]);
    if (amount > 0 && (used.get(name) ?? 0) + amount > has) short.push(`Insufficient ${name}`);
  }
  return short;
}

/** What a pod takes at its peak: its containers and sidecars together, or its greediest init container. */
export function requestsOf(pod: Pod): Map<string, number> {
  const init = pod.spec.initContainers ?? [];
  const sidecars = init.filter(isSidecar);
  const total = sum([...pod.spec.containers, ...sidecars].map(ofContainer));
  for (const container of init.filter((c) => !isSidecar(c))) {
    for (const [name, amount] of ofContainer(container)) total.set(name, Math.max(total.get(name) ?? 0, amount));
  }
  return sum([total, amounts(pod.spec.overhead ?? {})]);
}

function ofContainer({ resources = {} }: Container): Map<string, number> {
  return amounts({ ...resources.limits, ...resources.requests });
}

function amounts(list: Record<string, string>): Map<string, number> {
  return new Map(Object.entries(list).map(([name, text]) => [name, name === 'cpu' ? milli(text) : units(text)]));
}

function sum(maps: Map<string, number>[]): Map<string, number> {
  const total = new Map<string, number>();
  for (const map of maps) for (const [name, amount] of map) total.set(name, (total.get(name) ?? 0) + amount);
  return total;
}

function load({ node, pods }: NodeState): number {
  const used = sum(pods.map(requestsOf));
  const allocatable = node.status?.allocatable ?? {};
  const share = (amount: number, of: number) => (of > 0 ? amount / of : 0);
  return (
    share(used.get('cpu') ?? 0, milli(allocatable['cpu'])) +
    share(used.get('memory') ?? 0, units(allocatable['memory']))
  );
}
