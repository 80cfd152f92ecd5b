// The node's controller: brings each VMI of this node from Scheduled to Running, watches its guest, and ends it.
import { KubeError, VirtloomError, messageOf } from '../core/index.ts';
import type { Request, Result, Vmi } from '../core/index.ts';
import { isOver } from '../core/launcher-pod.ts';
import type { Pod } from '../core/launcher-pod.ts';
import { dropCondition, isFinal } from '../core/status.ts';
import { VMI_FINALIZER } from '../core/vmi-kind.ts';
import { guestData, guestInterfaces, isAgentConnected } from './guest-agent.ts';
import type { Guest, GuestState } from './guest.ts';
import type { Instance } from './instance.ts';
import type { Instances } from './instances.ts';
import { startGuest } from './start.ts';
import type { StartContext } from './start.ts';
import { agentStatus, finalStatus, outcomeOf, pausedStatus, runningStatus, troubledStatus } from './vmi-status.ts';
import type { Outcome } from './vmi-status.ts';
import type { VmiWriter } from './vmi-writer.ts';

const DEFAULT_GRACE_SECONDS = 30;
/** A guest that still boots does not hear the power button, so it is pressed again. */
const PRESS_AGAIN_MS = 2_000;
/** How long after its last moment a guest that cannot be reached is left before its container is killed. */
const UNREACHABLE_MS = 5_000;

export interface ReconcilerOptions extends StartContext {
  readonly writer: VmiWriter;
  readonly instances: Instances;
  /** The launcher pod of a VMI on this node. */
  readonly podOf: (vmi: Vmi) => Pod | undefined;
}

export class NodeReconciler {
  readonly #o: ReconcilerOptions;

  constructor(options: ReconcilerOptions) {
    this.#o = options;
  }

  async reconcile({ namespace, name }: Request, signal: AbortSignal): Promise<Result> {
    const vmi = this.#o.writer.get(namespace, name);
    const orphans = await this.#o.instances.cleanUp({ namespace, name }, vmi?.metadata.uid, signal);
    if (!vmi) return orphans;
    try {
      return await this.#bring(vmi, signal);
    } catch (error) {
      const instance = this.#o.instances.find(namespace, name);
      if (instance && !instance.journal.ended && !(await instance.isAlive())) {
        return { afterMs: 0, why: 'the container ended in the middle of it' };
      }
      if (!signal.aborted && !isFinal(vmi.status?.phase)) await this.#complain(vmi, error);
      throw error;
    }
  }

  async #bring(vmi: Vmi, signal: AbortSignal): Promise<Result> {
    const phase = vmi.status?.phase ?? '';
    const pod = this.#o.podOf(vmi);
    const instance = await this.#o.instances.of(vmi, pod);
    if (isFinal(phase)) return instance && this.#clean(vmi, instance, signal);
    if (phase !== 'Scheduled' && phase !== 'Running') return;
    if (!instance) return this.#lost(vmi, pod);
    if (instance.journal.ended) return this.#finish(vmi, instance, instance.journal.ended, signal);
    if (!(await instance.isAlive())) return this.#finish(vmi, instance, gone(pod), signal);
    const deadline = deadlineOf(vmi, pod);
    if (deadline !== undefined) return this.#stop(vmi, instance, deadline, signal);
    if (phase === 'Scheduled') return this.#start(vmi, pod, instance, signal);
    return this.#watch(vmi, instance, signal);
  }

  async #start(vmi: Vmi, pod: Pod | undefined, instance: Instance, signal: AbortSignal): Promise<Result> {
    if (!pod || isOver(pod)) return;
    const planned = await startGuest(this.#o, vmi, pod, instance, signal);
    const guest = await instance.guest(signal);
    const state: GuestState = (await guest?.state()) ?? { is: 'absent' };
    const over = endOf(state, instance);
    if (over) return this.#finish(vmi, instance, over, signal);
    const running = await this.#o.writer.write(vmi, (now) => ({
      status: pausedStatus(
        runningStatus(now.status ?? {}, planned, instance.container.uid, new Date()),
        state,
        new Date(),
      ),
    }));
    if (running) await this.#afterStart(running, instance, signal);
  }

  async #afterStart(vmi: Vmi, { journal, container }: Instance, signal: AbortSignal): Promise<void> {
    await this.#o.steps.apply(journal, journal.later('started'), container, signal, vmi);
  }

  /** Running: follow what the guest does. */
  async #watch(vmi: Vmi, instance: Instance, signal: AbortSignal): Promise<Result> {
    const guest = await instance.guest(signal);
    const state: GuestState = (await guest?.state()) ?? { is: 'absent' };
    // Who adopts a guest whose start it did not finish writing down knows by the phase that it ran.
    if (instance.journal.guest !== 'started') await instance.journal.guestIs('started');
    const over = endOf(state, instance);
    if (over || !guest) return this.#finish(vmi, instance, over ?? outcomeOf('unknown'), signal);
    await this.#afterStart(vmi, instance, signal);
    const agent = instance.agentDue ? await this.#askAgent(guest, instance, signal) : 'as before';
    await this.#o.writer.write(vmi, (now) => {
      const conditions = dropCondition(now.status?.conditions, 'Synchronized');
      const status = pausedStatus({ ...now.status, conditions }, state, new Date());
      return { status: agent === 'as before' ? status : agentStatus(status, agent, new Date()) };
    });
    if (instance.isSettling) return { afterMs: 2_000, why: 'libvirtd may still be finding its guest again' };
  }

  async #askAgent(guest: Guest, instance: Instance, signal: AbortSignal) {
    instance.agentDue = false;
    const connected = isAgentConnected(await guest.devices());
    instance.pollAgent(connected);
    if (!connected) return undefined;
    const connection = await instance.connection(signal);
    const data = await guestData(connection, guest.domain);
    if (!data) return undefined;
    return { os: data.os, interfaces: await guestInterfaces(connection, guest.domain) };
  }

  /** The guest is to end: by its power button until `deadline`, then by force. */
  async #stop(vmi: Vmi, instance: Instance, deadline: number, signal: AbortSignal): Promise<Result> {
    const late = Date.now() - deadline;
    let guest: Guest | undefined;
    try {
      guest = await instance.guest(signal);
    } catch (error) {
      if (late < UNREACHABLE_MS || signal.aborted) throw error;
      this.#o.log.warn({ err: error, vmi: vmi.metadata.name }, 'libvirt does not answer; its container is killed');
      await instance.kill();
      return { afterMs: 100, why: 'the container is being killed' };
    }
    const state: GuestState = (await guest?.state()) ?? { is: 'absent' };
    const over = endOf(state, instance);
    if (over) return this.#finish(vmi, instance, over, signal);
    if (!guest || state.is === 'absent' || state.is === 'defined') {
      return this.#finish(vmi, instance, outcomeOf('destroyed'), signal);
    }
    if (late >= 0) {
      await guest.destroy();
      return { afterMs: 1_000, why: 'the guest is being destroyed' };
    }
    const held = await this.#beforeStop(vmi, instance, deadline, signal);
    if (held) return held;
    if (instance.pressedAt === undefined || Date.now() - instance.pressedAt >= PRESS_AGAIN_MS) {
      if (instance.pressedAt === undefined) {
        this.#o.events.event(vmi, 'Normal', 'ShuttingDown', 'Signaled Graceful Shutdown');
      }
      // A paused guest cannot hear anything.
      if (state.is === 'paused') await guest.unpause();
      await guest.pressPowerButton();
      instance.pressedAt = Date.now();
    }
    return { afterMs: Math.min(-late, PRESS_AGAIN_MS), why: 'the guest is shutting down' };
  }

  /** Steps that come before the power button. What fails is tried again; it holds the guest's end up until its deadline. */
  async #beforeStop(
    vmi: Vmi,
    { journal, container }: Instance,
    deadline: number,
    signal: AbortSignal,
  ): Promise<Result> {
    const chains = journal.later('stopping');
    if (chains.length === 0) return;
    const untilThen = AbortSignal.any([signal, AbortSignal.timeout(Math.max(0, deadline - Date.now()))]);
    try {
      await this.#o.steps.apply(journal, chains, container, untilThen, vmi);
    } catch (error) {
      if (signal.aborted) throw error;
      await this.#complain(vmi, error);
      const left = Math.max(0, deadline - Date.now());
      return { afterMs: Math.min(left, PRESS_AGAIN_MS), why: 'a step before the end of the guest failed' };
    }
  }

  /** The guest has ended: undo the steps, end the launcher, say how it went; the order survives a crash at any point. */
  async #finish(vmi: Vmi, instance: Instance, outcome: Outcome, signal: AbortSignal): Promise<Result> {
    const { journal } = instance;
    if (!journal.ended) {
      await journal.end(outcome);
      this.#o.log.info({ vmi: journal.owner, ...outcome }, 'guest ended');
      const type = outcome.phase === 'Failed' ? 'Warning' : 'Normal';
      this.#o.events.event(vmi, type, 'Stopped', outcome.message);
    }
    const unclean = await this.#undo(instance, signal, vmi);
    const written = await this.#writeFinal(vmi, journal.ended ?? outcome);
    if (written && vmi.metadata.deletionTimestamp !== undefined) {
      this.#o.events.event(vmi, 'Normal', 'Deleted', 'Signaled Deletion');
    }
    if (unclean) return unclean;
    await this.#o.instances.drop(instance);
  }

  /** Final already: nothing is left to say, only to clean. */
  async #clean(vmi: Vmi, instance: Instance, signal: AbortSignal): Promise<Result> {
    await instance.destroyGuest(signal);
    const unclean = await this.#undo(instance, signal, vmi);
    if (unclean) return unclean;
    await this.#o.instances.drop(instance);
  }

  async #undo(instance: Instance, signal: AbortSignal, vmi: Vmi): Promise<Result> {
    const undone = await this.#o.steps.revert(instance.journal, signal, vmi);
    await instance.endLauncher(signal);
    // What failed to be undone in a pod that lived may well be undone now that it is gone.
    if (undone || (await this.#o.steps.revert(instance.journal, signal, vmi))) return;
    return { afterMs: 5_000, why: 'node steps could not be reverted' };
  }

  /** Handed to us, but there is no container (any more) and nothing on record: the guest cannot be here. */
  async #lost(vmi: Vmi, pod: Pod | undefined): Promise<Result> {
    const deleted = vmi.metadata.deletionTimestamp !== undefined;
    // Already ended: the pod's own status will tell, and the controller decides.
    if (!deleted && (!pod || isOver(pod) || vmi.status?.phase === 'Scheduled')) {
      return { afterMs: 500, why: "the launcher's container is not there" };
    }
    await this.#writeFinal(vmi, gone(pod));
  }

  async #writeFinal(vmi: Vmi, outcome: Outcome): Promise<boolean> {
    const written = await this.#o.writer.write(vmi, (now) => {
      const { deletionTimestamp, finalizers = [] } = now.metadata;
      return {
        status: finalStatus(now.status ?? {}, outcome, new Date()),
        ...(deletionTimestamp === undefined ? {} : { finalizers: finalizers.filter((one) => one !== VMI_FINALIZER) }),
      };
    });
    return written !== vmi;
  }

  async #complain(vmi: Vmi, error: unknown): Promise<void> {
    // An API server that is away is no trouble of the VMI's.
    if (error instanceof KubeError) return;
    const reason = error instanceof VirtloomError ? error.code : 'SyncFailed';
    const message = messageOf(error);
    this.#o.events.event(vmi, 'Warning', 'SyncFailed', message);
    await this.#o.writer
      .write(vmi, (now) => ({ status: troubledStatus(now.status ?? {}, reason, message, new Date()) }))
      .catch((failure: unknown) => this.#o.log.warn({ err: failure }, 'the condition could not be written'));
  }
}

/** A guest that was started and is only defined now ended while libvirtd was away, which does not know how. */
function endOf(state: GuestState, { journal }: Instance): Outcome | undefined {
  if (state.is === 'ended') return outcomeOf(state.how);
  const isOff = state.is === 'defined' || state.is === 'absent';
  return isOff && journal.guest === 'started' ? outcomeOf('unknown') : undefined;
}

function gone(pod: Pod | undefined): Outcome {
  const why = pod?.status?.message ?? 'its launcher pod is gone';
  return { phase: 'Failed', message: `The VirtualMachineInstance crashed: ${why}` };
}

/** When a guest that is to end must have ended, in ms since 1970; undefined for one that is to run. */
function deadlineOf(vmi: Vmi, pod: Pod | undefined): number | undefined {
  const grace = (vmi.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
  if (vmi.metadata.deletionTimestamp !== undefined) return Date.parse(vmi.metadata.deletionTimestamp) + grace;
  if (pod?.metadata.deletionTimestamp === undefined) return undefined;
  // A pod's deletionTimestamp is its last moment, not when it was deleted.
  const deleted = Date.parse(pod.metadata.deletionTimestamp) - (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1000;
  return deleted + grace;
}
