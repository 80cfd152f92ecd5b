// The VMI reconciler: makes the launcher pod, hands the VMI to its node, and cleans up when the node never had it.
import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import { messageOf, VirtloomError } from './errors.ts';
import { driftOf, RESTART_REQUIRED, required, restartRequired, startRecord } from './drift.ts';
import type { Host } from './host.ts';
import { isConflict, isNotFound, type KubeClient } from './kube/client.ts';
import { CachedWriter } from './kube/writer.ts';
import { Controller, type Request, type Result } from './kube/controller.ts';
import type { EventRecorder } from './kube/events.ts';
import type { Informer } from './kube/informer.ts';
import { PODS, controllerOf, resourceName, type KubeObject, type Resource } from './kube/objects.ts';
import { isOver, isUp, type Pod, trouble, unschedulable } from './launcher-pod.ts';
import { plan, podOf, type Plan } from './plan.ts';
import { fromClient, fromInformers, isReadBy, readObjects, type ObjectSource } from './reads.ts';
import { packRecord, PLAN_ANNOTATION } from './record.ts';
import { dropCondition, enterPhase, isFinal, setCondition } from './status.ts';
import type { Condition, Facts, Vmi, VmiStatus } from './types.ts';
import { VMI_FINALIZER, VMI_KIND } from './vmi-kind.ts';

export const NODE_LABEL = 'kubevirt.io/nodeName';
/** How long a node agent may take to tell how its guest ended, once the pod is over. */
const AGENT_GRACE_MS = 15_000;

export interface VmiReconcilerOptions {
  readonly client: KubeClient;
  readonly host: Host;
  readonly vmis: Informer<Vmi>;
  /** Launcher pods of all namespaces. */
  readonly pods: Informer<Pod>;
  /** Caches of what plugins read. */
  readonly informer: (resource: Resource) => Informer<KubeObject>;
  readonly events: EventRecorder;
  readonly cluster: Facts['cluster'];
  readonly log: Logger;
  readonly now?: () => Date;
}

/** The controller of VirtualMachineInstances. Writes: one pod, and the VMI at Scheduling and at Scheduled. */
export function vmiController(options: VmiReconcilerOptions): Controller {
  const reconciler = new VmiReconciler(options);
  options.pods.addIndex('vmi', (pod) => {
    const owner = controllerOf(pod);
    return owner?.kind === VMI_KIND.resource.kind ? [owner.uid] : [];
  });
  const controller = new Controller({
    name: 'virtualmachineinstance',
    workers: 8,
    log: options.log,
    reconcile: (request) => reconciler.reconcile(request),
  })
    .watch(options.vmis)
    .watch(options.pods, (pod) => {
      const owner = controllerOf(pod);
      if (owner?.kind !== VMI_KIND.resource.kind) return [];
      return [{ namespace: pod.metadata.namespace ?? '', name: owner.name }];
    });
  for (const resource of resourcesRead(options.host)) {
    const objects = options.informer(resource);
    objects.on(({ object }) => {
      for (const vmi of options.vmis.list()) {
        if (isFinal(vmi.status?.phase) || !isReadBy(options.host, vmi, resource, object)) continue;
        reconciler.compareAgain(vmi);
        const { namespace = '', name = '' } = vmi.metadata;
        controller.enqueue({ namespace, name });
      }
    });
    // Not waited for: a kind that the cluster does not have holds nobody up.
    objects.start();
  }
  return controller;
}

function resourcesRead(host: Host): Resource[] {
  return [...new Map(host.reads.map(({ resource }) => [resourceName(resource), resource])).values()];
}

function isPending({ status }: Vmi): boolean {
  return (status?.phase ?? '') === '' || status?.phase === 'Pending';
}

class VmiReconciler {
  readonly #o: VmiReconcilerOptions;
  readonly #now: () => Date;
  readonly #writer: CachedWriter<Vmi>;
  readonly #objects: ObjectSource;
  /** Pods we made that the cache does not show yet, by the VMI's uid. */
  readonly #made = new Map<string, Pod>();
  /** When a pod that does not say when it ended was first seen to be over. */
  readonly #seen = new WeakMap<Pod, number>();
  /** By the uid of VMIs that were compared with what they were started with: what there is to say. */
  readonly #compared = new Map<string, Condition | undefined>();

  constructor(options: VmiReconcilerOptions) {
    this.#o = options;
    this.#now = options.now ?? (() => new Date());
    this.#writer = new CachedWriter(options.client, options.vmis);
    this.#objects = fromInformers(options.informer, fromClient(options.client));
    // Once the cache has shown it, the cache is to be believed: also when it is gone again before we look.
    options.pods.on(({ object }) => {
      const uid = controllerOf(object)?.uid ?? '';
      if (this.#made.get(uid)?.metadata.uid === object.metadata.uid) this.#made.delete(uid);
    });
    options.vmis.on(({ type, object }) => {
      if (type === 'deleted') this.compareAgain(object);
    });
  }

  async reconcile({ namespace, name }: Request): Promise<Result> {
    const vmi = this.#o.vmis.get(namespace, name);
    if (!vmi) return;
    const uid = vmi.metadata.uid ?? '';
    if (this.#writer.isBehind(vmi)) return;

    const pod = this.#podOf(vmi);
    if (vmi.metadata.deletionTimestamp !== undefined) return this.#delete(vmi, pod);
    const phase = vmi.status?.phase ?? '';
    if (isFinal(phase)) {
      this.#made.delete(uid);
      return;
    }
    if (isPending(vmi)) return this.#schedule(vmi, pod);
    if (phase === 'Scheduling') return this.#handOver(vmi, pod);
    return this.#guard(vmi, pod);
  }

  #podOf(vmi: Vmi): Pod | undefined {
    const uid = vmi.metadata.uid ?? '';
    const seen = this.#o.pods.byIndex('vmi', uid);
    const alive = seen.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    return alive.find((pod) => !isOver(pod)) ?? alive[0] ?? seen[0] ?? this.#made.get(uid);
  }

  /** Pending: derive the plan, make the pod. */
  async #schedule(vmi: Vmi, pod: Pod | undefined): Promise<Result> {
    const { namespace, uid = '', annotations, finalizers = [] } = vmi.metadata;
    let record: Record<string, string> | undefined;
    if (!pod) {
      try {
        const facts = await this.#facts(vmi);
        const planned = await plan(this.#o.host, vmi, facts);
        // While the API server makes the pod there is time for what else is to be said.
        const creating = this.#o.client.create<Pod>(PODS, namespace, podOf(planned) as Pod);
        [pod, record] = await Promise.all([creating, this.#record(vmi, facts, planned)]);
      } catch (error) {
        if (isNotFound(error)) return;
        await this.#complain(vmi, error instanceof VirtloomError ? error.code : 'FailedCreate', messageOf(error));
        throw error;
      }
      // The event may have been quicker than the answer.
      if (!this.#o.pods.get(pod.metadata.namespace, pod.metadata.name ?? '')) this.#made.set(uid, pod);
      this.#o.events.event(vmi, 'Normal', 'SuccessfulCreate', `Created virtual machine pod ${pod.metadata.name ?? ''}`);
    } else if (annotations?.[PLAN_ANNOTATION] === undefined) {
      // Its pod was made, and then somebody ended us.
      record = await this.#recordLate(vmi);
    }
    let status = enterPhase(vmi.status ?? {}, 'Scheduling', this.#now());
    status = this.#ready(status, 'False', 'GuestNotRunning', 'Guest VM is not reported as running');
    const conditions = dropCondition(status.conditions, 'Synchronized');
    await this.#writer.write(vmi, {
      metadata: {
        // Admission puts it there; an object that came past admission needs it all the same.
        ...(finalizers.includes(VMI_FINALIZER) ? {} : { finalizers: [...finalizers, VMI_FINALIZER] }),
        ...(record ? { annotations: record } : {}),
      },
      status: { ...status, conditions },
    });
  }

  async #facts(vmi: Vmi): Promise<Facts> {
    return { cluster: this.#o.cluster, steps: {}, objects: await readObjects(this.#o.host, vmi, this.#objects) };
  }

  async #record(vmi: Vmi, facts: Facts, planned: Plan): Promise<Record<string, string>> {
    const record = packRecord(await startRecord(this.#o.host, vmi, facts, planned));
    this.#compared.set(vmi.metadata.uid ?? '', undefined);
    return record;
  }

  /** Of a VMI that has its pod. It goes on without a record where it could not be planned now. */
  async #recordLate(vmi: Vmi): Promise<Record<string, string> | undefined> {
    try {
      const facts = await this.#facts(vmi);
      return await this.#record(vmi, facts, await plan(this.#o.host, vmi, facts));
    } catch (error) {
      this.#o.log.warn({ err: error, vmi: vmi.metadata.name }, 'no record of what it is started with');
      return undefined;
    }
  }

  /** Scheduling: pass on what holds the pod up; when it runs, give the VMI to its node. */
  async #handOver(vmi: Vmi, pod: Pod | undefined): Promise<Result> {
    if (!pod) return this.#fail(vmi, 'PodNotExists', 'the launcher pod is gone');
    if (isOver(pod)) return this.#fail(vmi, 'PodTerminating', pod.status?.message ?? 'the launcher pod ended early');
    const status = vmi.status ?? {};
    if (isUp(pod)) {
      const node = pod.spec?.nodeName ?? '';
      const image = pod.status?.containerStatuses?.find((one) => one.name === 'compute')?.image;
      const next = enterPhase(status, 'Scheduled', this.#now());
      const conditions = dropCondition(dropCondition(next.conditions, 'PodScheduled'), 'Synchronized');
      await this.#writer.write(vmi, {
        metadata: { labels: { [NODE_LABEL]: node } },
        status: {
          ...next,
          conditions,
          nodeName: node,
          activePods: { [pod.metadata.uid ?? '']: node },
          ...(pod.status?.qosClass === undefined ? {} : { qosClass: pod.status.qosClass }),
          ...(image === undefined ? {} : { launcherContainerImageVersion: image }),
        },
      });
      return;
    }
    const stuck = unschedulable(pod);
    const hurt = trouble(pod);
    let conditions: Condition[] = [...(status.conditions ?? [])];
    conditions = stuck
      ? setCondition(conditions, { ...stuck, type: 'PodScheduled', status: 'False' }, this.#now())
      : dropCondition(conditions, 'PodScheduled');
    conditions = hurt
      ? setCondition(conditions, { type: 'Synchronized', status: 'False', ...hurt }, this.#now())
      : dropCondition(conditions, 'Synchronized');
    if (JSON.stringify(conditions) === JSON.stringify(status.conditions ?? [])) return;
    if (hurt) this.#o.events.event(vmi, 'Warning', hurt.reason, hurt.message);
    await this.#writer.write(vmi, { status: { conditions } });
  }

  /** Scheduled or Running: the agent's. A pod that ended without the agent's word is ours, and what a restart would change. */
  async #guard(vmi: Vmi, pod: Pod | undefined): Promise<Result> {
    if (!pod) return this.#fail(vmi, 'PodNotExists', 'the launcher pod is gone');
    if (!isOver(pod)) return vmi.status?.phase === 'Running' ? this.#compare(vmi) : undefined;
    const ended = endOf(pod);
    const left = AGENT_GRACE_MS - (this.#now().getTime() - (ended ?? this.#firstSeen(pod)));
    if (left > 0)
      return { afterMs: left, why: 'the launcher pod is over; its agent may still tell how the guest ended' };
    await this.#fail(vmi, 'PodTerminating', pod.status?.message ?? 'the launcher pod ended under the guest');
  }

  /** Something that the VMI's plan is made from is no longer what it was. */
  compareAgain({ metadata }: Vmi): void {
    this.#compared.delete(metadata.uid ?? '');
  }

  /** Running: says whether a start today would make something else of it. Asked once of each VMI; nothing of it changes by itself. */
  async #compare(vmi: Vmi): Promise<void> {
    const uid = vmi.metadata.uid ?? '';
    if (!this.#compared.has(uid)) {
      // After a change of the configuration all VMIs come here at once: others get their turn in between.
      await setImmediate();
      try {
        const drift = await driftOf(this.#o.host, vmi, this.#o.cluster, this.#objects);
        this.#compared.set(uid, drift && restartRequired(drift));
      } catch (error) {
        if (!(error instanceof VirtloomError)) throw error;
        const isRead = error.code !== 'VL_RECORD_INVALID';
        if (!isRead) this.#o.log.warn({ err: error }, 'not compared with what it was started with');
        this.#compared.set(uid, isRead ? required(`it could not be started today: ${error.message}`) : undefined);
      }
    }
    const needed = this.#compared.get(uid);
    const old = vmi.status?.conditions ?? [];
    const conditions = needed ? setCondition(old, needed, this.#now()) : dropCondition(old, RESTART_REQUIRED);
    if (JSON.stringify(conditions) === JSON.stringify(old)) return;
    await this.#writer.write(vmi, { status: { conditions } });
  }

  #firstSeen(pod: Pod): number {
    const seen = this.#seen.get(pod) ?? this.#now().getTime();
    this.#seen.set(pod, seen);
    return seen;
  }

  async #delete(vmi: Vmi, pod: Pod | undefined): Promise<Result> {
    const { finalizers = [], uid = '' } = vmi.metadata;
    if (!finalizers.includes(VMI_FINALIZER)) return;
    const phase = vmi.status?.phase ?? '';
    const handedOver = phase === 'Scheduled' || phase === 'Running' || phase === 'Unknown';
    // The agent shuts the guest down and takes the finalizer off itself.
    if (handedOver && pod && !isOver(pod)) return;
    if (handedOver && pod) {
      const left = AGENT_GRACE_MS - (this.#now().getTime() - (endOf(pod) ?? this.#firstSeen(pod)));
      if (left > 0) return { afterMs: left, why: 'the agent may still be cleaning up after the guest' };
    }
    if (pod && !isOver(pod)) {
      if (pod.metadata.deletionTimestamp === undefined) {
        await this.#o.client
          .delete(PODS, pod.metadata.namespace, pod.metadata.name ?? '', {
            preconditions: { uid: pod.metadata.uid ?? '' },
          })
          .catch(ignoreGone);
      }
      // Its own end wakes us again; a pod that the cache never showed is asked for.
      return { afterMs: 1_000, why: 'the launcher pod is going' };
    }
    this.#made.delete(uid);
    await this.#writer.write(vmi, { metadata: { finalizers: finalizers.filter((one) => one !== VMI_FINALIZER) } });
  }

  async #fail(vmi: Vmi, reason: string, message: string): Promise<void> {
    this.#o.events.event(vmi, 'Warning', 'Stopped', `The VirtualMachineInstance failed: ${message}`);
    const status = this.#ready(enterPhase(vmi.status ?? {}, 'Failed', this.#now()), 'False', reason, message);
    await this.#writer.write(vmi, { status: { ...status, reason } });
  }

  #ready(status: VmiStatus, value: 'True' | 'False', reason: string, message: string): VmiStatus {
    return {
      ...status,
      conditions: setCondition(status.conditions, { type: 'Ready', status: value, reason, message }, this.#now()),
    };
  }

  async #complain(vmi: Vmi, reason: string, message: string): Promise<void> {
    this.#o.events.event(vmi, 'Warning', 'FailedCreate', message);
    const condition = { type: 'Synchronized', status: 'False', reason, message } as const;
    const conditions = setCondition(vmi.status?.conditions, condition, this.#now());
    if (JSON.stringify(conditions) === JSON.stringify(vmi.status?.conditions ?? [])) return;
    await this.#writer.write(vmi, { status: { conditions } });
  }
}

/** When the pod's last container ended, in milliseconds; undefined where it does not say. */
function endOf(pod: Pod): number | undefined {
  const times = (pod.status?.containerStatuses ?? [])
    .map((one) => one.state?.terminated?.finishedAt)
    .filter((time): time is string => time !== undefined)
    .map((time) => Date.parse(time));
  return times.length > 0 ? Math.max(...times) : undefined;
}

function ignoreGone(error: unknown): void {
  if (!isNotFound(error) && !isConflict(error)) throw error;
}
