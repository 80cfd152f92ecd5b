// Binds pending pods to nodes that fit; woken by every change of pods and nodes, one Binding for each pod.
import type { Logger } from 'pino';
import { isConflict, isNotFound } from '../core/kube/client.ts';
import type { KubeClient } from '../core/kube/client.ts';
import { EventRecorder } from '../core/kube/events.ts';
import { Informer } from '../core/kube/informer.ts';
import { NODES, PODS } from '../core/kube/objects.ts';
import type { Pod } from './kubelet/pod-types.ts';
import { seconds } from './kubelet/pod-status.ts';
import { fit, isPending } from './scheduler/fit.ts';
import type { Node, NodeState } from './scheduler/fit.ts';

const RETRY_MS = 1000;

export interface Scheduler {
  stop(): Promise<void>;
}

export interface SchedulerOptions {
  client: KubeClient;
  log: Logger;
}

export async function startScheduler({ client, log }: SchedulerOptions): Promise<Scheduler> {
  const pods = new Informer<Pod>(client, PODS, { log });
  const nodes = new Informer<Node>(client, NODES, { log });
  const events = new EventRecorder(client, 'default-scheduler', { log });
  /** Bound by us, not yet seen bound: pod UID -> node. */
  const assumed = new Map<string, string>();
  const told = new Map<string, string>();
  let stopped = false;
  let wanted = false;
  let passing: Promise<void> | undefined;
  let retry: NodeJS.Timeout | undefined;

  const wake = () => {
    wanted = true;
    if (!stopped) passing ??= passes().finally(() => (passing = undefined));
  };
  const passes = async () => {
    while (wanted && !stopped) {
      wanted = false;
      try {
        await pass();
      } catch (error) {
        log.error({ err: error }, 'scheduling failed, will be tried again');
        clearTimeout(retry);
        retry = setTimeout(wake, RETRY_MS);
      }
    }
  };
  const pass = async () => {
    const all = pods.list();
    const pending = all.filter((pod) => isPending(pod) && !assumed.has(pod.metadata.uid ?? ''));
    if (pending.length === 0) return;
    pending.sort((a, b) => compare(a.metadata.creationTimestamp, b.metadata.creationTimestamp));
    const states = nodeStates(nodes.list(), all, assumed);
    for (const pod of pending) {
      const { node, message } = fit(pod, states);
      if (!node) await refuse(pod, message);
      else if (await bind(pod, node)) node.pods.push(pod);
    }
  };
  const bind = async (pod: Pod, state: NodeState): Promise<boolean> => {
    const { name = '', namespace = '', uid = '' } = pod.metadata;
    const target = state.node.metadata.name ?? '';
    assumed.set(uid, target);
    try {
      const binding = {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name, namespace, uid },
        target: { apiVersion: 'v1', kind: 'Node', name: target },
      };
      await client.create(PODS, namespace, binding, { subresource: 'binding', name });
    } catch (error) {
      assumed.delete(uid);
      // Deleted or bound by someone else meanwhile: the next event tells.
      if (isNotFound(error) || isConflict(error)) return false;
      throw error;
    }
    told.delete(uid);
    events.event(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${target}`);
    return true;
  };
  const refuse = async (pod: Pod, message: string) => {
    const { name = '', namespace = '', uid = '' } = pod.metadata;
    const before = pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled');
    if (told.get(uid) === message || (before?.status === 'False' && before.message === message)) return;
    told.set(uid, message);
    events.event(pod, 'Warning', 'FailedScheduling', message);
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastTransitionTime: before?.status === 'False' ? before.lastTransitionTime : seconds(new Date()),
    };
    const status = { phase: 'Pending', conditions: [condition] };
    try {
      const patch = { metadata: { uid }, status };
      await client.patch(PODS, namespace, name, patch, { type: 'strategic', subresource: 'status' });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  };

  pods.on(({ type, object }) => {
    const uid = object.metadata.uid ?? '';
    if (type === 'deleted' || object.spec.nodeName) assumed.delete(uid);
    if (type === 'deleted') told.delete(uid);
    wake();
  });
  nodes.on(wake);
  pods.start();
  nodes.start();
  await Promise.all([pods.synced(), nodes.synced()]);
  wake();
  return {
    async stop() {
      stopped = true;
      clearTimeout(retry);
      await passing;
      await Promise.all([pods.stop(), nodes.stop()]);
    },
  };
}

function nodeStates(nodes: Node[], pods: Pod[], assumed: ReadonlyMap<string, string>): NodeState[] {
  const byName = new Map(nodes.map((node): [string, NodeState] => [node.metadata.name ?? '', { node, pods: [] }]));
  for (const pod of pods) {
    const { phase } = pod.status ?? {};
    if (phase === 'Succeeded' || phase === 'Failed') continue;
    byName.get(pod.spec.nodeName ?? assumed.get(pod.metadata.uid ?? '') ?? '')?.pods.push(pod);
  }
  return [...byName.values()];
}

function compare(a = '', b = ''): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
