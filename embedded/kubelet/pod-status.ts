// The status of a pod, worked out from what it asks for and what is there. Pure.
import type { ContainerRecord, PodRecord } from './record.ts';
import type { Container, ContainerState, ContainerStatus, Phase, Pod, PodCondition, PodStatus } from './pod-types.ts';
import { milli, quantity } from './quantity.ts';

/** What is known of a container only while the kubelet lives. */
export interface LiveContainer {
  /** Why it does not run, when there is a reason to tell. */
  waiting?: { reason: string; message: string };
  /** Undefined: the first probe has not answered yet. */
  ready?: boolean;
  /** False while a startup probe has not passed. */
  started?: boolean;
}

export interface StatusInputs {
  pod: Pod;
  record: PodRecord;
  live: ReadonlyMap<string, LiveContainer>;
  /** Why no container can start, where it is not the containers' own matter. */
  waiting?: { reason: string; message: string };
  hostIP: string;
  now: Date;
  /** The conditions last written: they keep the time of their last change. */
  before: PodCondition[];
}

export function podStatus(inputs: StatusInputs): PodStatus {
  const { pod, record, hostIP } = inputs;
  const init = (pod.spec.initContainers ?? []).map((container) => containerStatus(container, inputs, true));
  const main = pod.spec.containers.map((container) => containerStatus(container, inputs, false));
  const phase = phaseOf(pod, init, main);
  const ip = record.sandbox?.ip ?? record.podIP;
  return {
    phase,
    conditions: conditions(inputs, phase, init, main),
    hostIP,
    hostIPs: [{ ip: hostIP }],
    ...(ip !== undefined && { podIP: ip, podIPs: [{ ip }] }),
    startTime: record.startTime,
    qosClass: qosClass(pod),
    ...(init.length > 0 && { initContainerStatuses: init }),
    containerStatuses: main,
  };
}

/** True while the picture is about to change by itself: a status written now would soon be written again. */
export function isSettling(inputs: StatusInputs): boolean {
  const all = [...(inputs.pod.spec.initContainers ?? []), ...inputs.pod.spec.containers];
  return all.some((container) => {
    const live = inputs.live.get(container.name);
    const run = inputs.record.containers[container.name]?.run;
    if (live?.waiting) return false;
    return run?.phase === 'running' ? live?.ready === undefined : run?.phase !== 'exited';
  });
}

export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

function containerStatus(container: Container, inputs: StatusInputs, init: boolean): ContainerStatus {
  const record: ContainerRecord = inputs.record.containers[container.name] ?? {};
  const live = inputs.live.get(container.name) ?? {};
  const { run } = record;
  const running = run?.phase === 'running';
  const started = running && live.started !== false;
  // An init container that must end counts as ready once it has ended well.
  const ready = init && !isSidecar(container) ? run?.terminated?.exitCode === 0 : started && live.ready === true;
  const state = stateOf(record, live, inputs, init);
  const previous = state.waiting ? (run?.terminated ?? record.last) : record.last;
  return {
    name: container.name,
    state,
    lastState: previous ? { terminated: previous } : {},
    ready,
    restartCount: run?.attempt ?? 0,
    image: run?.image ?? container.image ?? '',
    imageID: run?.imageID ?? '',
    ...(run && { containerID: `runc://${run.id}` }),
    started,
  };
}

function stateOf(
  { run }: ContainerRecord,
  live: LiveContainer,
  { pod, waiting }: StatusInputs,
  init: boolean,
): ContainerState {
  if (run?.phase === 'running') return { running: { startedAt: run.startedAt ?? '' } };
  if (live.waiting) return { waiting: live.waiting };
  if (run?.phase === 'exited' && run.terminated) return { terminated: run.terminated };
  if (waiting) return { waiting };
  const first = !init && (pod.spec.initContainers ?? []).length > 0;
  return { waiting: { reason: first ? 'PodInitializing' : 'ContainerCreating' } };
}

function phaseOf(pod: Pod, init: ContainerStatus[], main: ContainerStatus[]): Phase {
  const policy = pod.spec.restartPolicy ?? 'Always';
  const specs = pod.spec.initContainers ?? [];
  for (const [index, status] of init.entries()) {
    const spec = specs[index];
    if (spec && isSidecar(spec)) continue;
    const code = status.state.terminated?.exitCode;
    if (code !== undefined && code !== 0 && policy === 'Never') return 'Failed';
    if (code !== 0 && !main.some((m) => m.state.running || m.state.terminated)) return 'Pending';
  }
  const over = main.filter((status) => status.state.terminated);
  if (over.length < main.length || policy === 'Always') {
    const begun = main.some((status) => status.state.running || status.state.terminated || status.lastState.terminated);
    const unborn = main.some((s) => s.state.waiting && !s.lastState.terminated);
    return begun && !unborn ? 'Running' : 'Pending';
  }
  if (over.every((status) => status.state.terminated?.exitCode === 0)) return 'Succeeded';
  return policy === 'Never' ? 'Failed' : 'Running';
}

function conditions(
  inputs: StatusInputs,
  phase: Phase,
  init: ContainerStatus[],
  main: ContainerStatus[],
): PodCondition[] {
  const { pod, record } = inputs;
  const specs = pod.spec.initContainers ?? [];
  const done = phase === 'Succeeded';
  const failed = phase === 'Failed';
  const notInitialized = init.filter((s, i) => (specs[i] && isSidecar(specs[i]) ? !s.started : !s.ready));
  const needed = [...init.filter((_, i) => specs[i] && isSidecar(specs[i])), ...main];
  const unready = needed.filter((status) => !status.ready).map((status) => status.name);
  const names = (list: string[]) => `[${list.join(' ')}]`;
  const over = done ? { reason: 'PodCompleted' } : failed ? { reason: 'PodFailed' } : undefined;
  const containersReady =
    over || unready.length > 0
      ? {
          ok: false,
          ...(over ?? { reason: 'ContainersNotReady', message: `containers with unready status: ${names(unready)}` }),
        }
      : { ok: true };
  const begun = main.some((status) => status.state.running || status.state.terminated);
  const initialized =
    notInitialized.length > 0 && !begun
      ? {
          ok: false,
          reason: 'ContainersNotInitialized',
          message: `containers with incomplete status: ${names(notInitialized.map((s) => s.name))}`,
        }
      : { ok: true, ...(done && over) };
  const all: [string, { ok: boolean; reason?: string; message?: string }][] = [
    ['PodReadyToStartContainers', { ok: record.sandbox?.phase === 'ready' }],
    ['Initialized', initialized],
    ['Ready', containersReady.ok ? gates(pod) : containersReady],
    ['ContainersReady', containersReady],
    ['PodScheduled', { ok: true }],
  ];
  return all.map(([type, { ok, ...why }]) => transition(inputs, { type, status: ok ? 'True' : 'False', ...why }));
}

function gates(pod: Pod): { ok: boolean; reason?: string; message?: string } {
  for (const { conditionType } of pod.spec.readinessGates ?? []) {
    const found = pod.status?.conditions?.find((condition) => condition.type === conditionType);
    if (found?.status === 'True') continue;
    const message = found
      ? `the status of pod readiness gate "${conditionType}" is not "True", but ${found.status}`
      : `corresponding condition of pod readiness gate "${conditionType}" does not exist.`;
    return { ok: false, reason: 'ReadinessGatesNotReady', message };
  }
  return { ok: true };
}

/** Keeps the time of the last change of status. */
function transition({ before: written, now }: StatusInputs, condition: PodCondition): PodCondition {
  const before = written.find((other) => other.type === condition.type);
  const same = before?.status === condition.status && before.lastTransitionTime !== undefined;
  return {
    ...condition,
    lastTransitionTime: same ? (before.lastTransitionTime ?? '') : seconds(now),
  };
}

/** RFC 3339 in whole seconds, as Kubernetes writes times. */
export function seconds(date: Date): string {
  return date.toISOString().replace(/\.[0-9]+Z$/, 'Z');
}

function qosClass(pod: Pod): string {
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const kinds = ['cpu', 'memory'] as const;
  const set = all.some(({ resources = {} }) =>
    kinds.some((kind) => quantity(resources.limits?.[kind]) > 0 || quantity(resources.requests?.[kind]) > 0),
  );
  if (!set) return 'BestEffort';
  const guaranteed = all.every(({ resources = {} }) =>
    kinds.every((kind) => {
      const limit = resources.limits?.[kind];
      return limit !== undefined && milli(resources.requests?.[kind] ?? limit) === milli(limit);
    }),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}
