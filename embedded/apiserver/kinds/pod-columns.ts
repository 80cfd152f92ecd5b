// The columns of pods; their STATUS is put together from phase, reason and container states as kubectl users know it.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { asArray, asObject, asString, asStrings, at, type JsonObject } from '../json.ts';
import { selectPath } from '../json-path.ts';
import { age } from './age.ts';
import type { Column } from './kind.ts';

function containers(pod: KubeObject, list: string): JsonObject[] {
  return asArray(at(pod, `status.${list}`)).map(asObject);
}

function isSidecar(pod: KubeObject, name: unknown): boolean {
  const specs = asArray(at(pod, 'spec.initContainers')).map(asObject);
  return specs.some((each) => each['name'] === name && each['restartPolicy'] === 'Always');
}

/** Why a container does not run, in one word. */
function stateReason(state: JsonObject): string {
  const waiting = asString(at(state, 'waiting.reason'));
  if (waiting !== '') return waiting;
  const terminated = asObject(state['terminated']);
  if (state['terminated'] === undefined) return '';
  if (asString(terminated['reason']) !== '') return asString(terminated['reason']);
  const signal = Number(terminated['signal'] ?? 0);
  return signal === 0 ? `ExitCode:${String(terminated['exitCode'] ?? 0)}` : `Signal:${String(signal)}`;
}

function initReason(pod: KubeObject): string {
  const all = containers(pod, 'initContainerStatuses');
  const total = asArray(at(pod, 'spec.initContainers')).length;
  for (const [index, status] of all.entries()) {
    const state = asObject(status['state']);
    if (state['terminated'] !== undefined && at(state, 'terminated.exitCode') === 0) continue;
    if (isSidecar(pod, status['name']) && status['started'] === true) continue;
    const reason = state['terminated'] === undefined ? asString(at(state, 'waiting.reason')) : stateReason(state);
    if (reason !== '' && reason !== 'PodInitializing') return `Init:${reason}`;
    return `Init:${String(index)}/${String(total)}`;
  }
  return '';
}

export function podStatus(pod: KubeObject): string {
  const init = initReason(pod);
  let reason = asString(at(pod, 'status.reason')) || asString(at(pod, 'status.phase')) || 'Unknown';
  if (asArray(selectPath(pod, '.status.conditions[?(@.reason=="SchedulingGated")]')).length > 0) {
    reason = 'SchedulingGated';
  }
  if (init !== '') reason = init;
  else {
    let running = false;
    for (const status of containers(pod, 'containerStatuses').reverse()) {
      const state = asObject(status['state']);
      reason = stateReason(state) || reason;
      if (status['ready'] === true && state['running'] !== undefined) running = true;
    }
    if (reason === 'Completed' && running) reason = 'Running';
  }
  if (pod.metadata.deletionTimestamp === undefined) return reason;
  return at(pod, 'status.reason') === 'NodeLost' ? 'Unknown' : 'Terminating';
}

function ready(pod: KubeObject): string {
  const sidecars = containers(pod, 'initContainerStatuses').filter((status) => isSidecar(pod, status['name']));
  const all = [...sidecars, ...containers(pod, 'containerStatuses')];
  const specs = asArray(at(pod, 'spec.initContainers'))
    .map(asObject)
    .filter((each) => isSidecar(pod, each['name']));
  const total = asArray(at(pod, 'spec.containers')).length + specs.length;
  return `${String(all.filter((status) => status['ready'] === true).length)}/${String(total)}`;
}

function restarts(pod: KubeObject): string {
  const all = containers(pod, 'containerStatuses');
  const total = all.reduce((sum, status) => sum + Number(status['restartCount'] ?? 0), 0);
  const last =
    all
      .map((status) => asString(at(status, 'lastState.terminated.finishedAt')))
      .sort()
      .at(-1) ?? '';
  return total > 0 && last !== '' ? `${String(total)} (${age(last)} ago)` : String(total);
}

function orNone(value: string): string {
  return value === '' ? '<none>' : value;
}

export const podColumns: Column[] = [
  { name: 'Name', type: 'string', format: 'name', cell: (pod) => pod.metadata.name ?? '' },
  { name: 'Ready', type: 'string', cell: ready },
  { name: 'Status', type: 'string', cell: podStatus },
  { name: 'Restarts', type: 'string', cell: restarts },
  { name: 'Age', type: 'string', cell: (pod) => age(pod.metadata.creationTimestamp) },
  {
    ...{ name: 'IP', type: 'string', priority: 1 },
    cell: (pod) => orNone(asString(at(pod, 'status.podIP')) || asString(selectPath(pod, '.status.podIPs[0].ip')[0])),
  },
  { name: 'Node', type: 'string', priority: 1, cell: (pod) => orNone(asString(at(pod, 'spec.nodeName'))) },
  {
    ...{ name: 'Nominated Node', type: 'string', priority: 1 },
    cell: (pod) => orNone(asString(at(pod, 'status.nominatedNodeName'))),
  },
  {
    ...{ name: 'Readiness Gates', type: 'string', priority: 1 },
    cell: (pod) => {
      const gates = asStrings(selectPath(pod, '.spec.readinessGates[*].conditionType'));
      const met = gates.filter((gate) =>
        asArray(at(pod, 'status.conditions'))
          .map(asObject)
          .some((condition) => condition['type'] === gate && condition['status'] === 'True'),
      );
      return gates.length === 0 ? '<none>' : `${String(met.length)}/${String(gates.length)}`;
    },
  },
];
