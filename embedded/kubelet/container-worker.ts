// Drives one container of a pod: starts it when told to keep it running, hears its end, waits out its crashes, ends it.
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { ReadyImage } from '../images/image.ts';
import { ImageError } from '../images/reference.ts';
import { BackOff } from './back-off.ts';
import { ContainerConfigError, removeRun, startContainer } from './container-start.ts';
import { endContainer } from './container-end.ts';
import type { Host } from './host.ts';
import type { PodLayout } from './layout.ts';
import type { PodImages } from './pod-images.ts';
import { SetupError } from './pod-setup.ts';
import type { PodSetup } from './pod-setup.ts';
import { seconds } from './pod-status.ts';
import type { LiveContainer } from './pod-status.ts';
import type { Container, Pod } from './pod-types.ts';
import { Prober } from './prober.ts';
import type { ContainerRecord, ContainerRun } from './record.ts';
import { processStartTime } from './runtime.ts';
import { terminationMessage } from './termination.ts';

const CRASH_FIRST_MS = 10_000;
const CRASH_MAX_MS = 300_000;
const IMAGE_FIRST_MS = 10_000;
const CONFIG_FIRST_MS = 1_000;
/** A crash after a run this long is the first one again. */
const STEADY_MS = 600_000;
/** How long a dead process may go without conmon's word on it. */
const EXIT_FILE_MS = 2_000;

export interface ContainerInputs {
  host: Host;
  layout: PodLayout;
  images: PodImages;
  setup: PodSetup;
  record: ContainerRecord;
  container: Container;
  pod: () => Pod;
  save: () => Promise<void>;
  wake: (afterMs?: number) => void;
}

export class ContainerWorker {
  readonly live: LiveContainer = {};
  private readonly inputs: ContainerInputs;
  private readonly crash = new BackOff(CRASH_FIRST_MS, CRASH_MAX_MS);
  private readonly pullBackOff = new BackOff(IMAGE_FIRST_MS, CRASH_MAX_MS);
  private readonly configBackOff = new BackOff(CONFIG_FIRST_MS, 30_000);
  private prefetched: Promise<ReadyImage> | undefined;
  private starting: Promise<void> | undefined;
  private ending: Promise<void> | undefined;
  private collecting: Promise<boolean> | undefined;
  private cancelled = false;
  private deadline = Infinity;
  private prober: Prober | undefined;
  private deadSince: number | undefined;
  private stopped = false;
  private readonly listeners = new Set<() => void>();

  constructor(inputs: ContainerInputs) {
    this.inputs = inputs;
  }

  get spec(): Container {
    return this.inputs.container;
  }
  get run(): ContainerRun | undefined {
    return this.inputs.record.run;
  }
  /** Of the last run; undefined while it runs or before it ever did. */
  get exitCode(): number | undefined {
    return this.run?.phase === 'exited' ? this.run.terminated?.exitCode : undefined;
  }
  /** Running, and past its startup probe. */
  get isStarted(): boolean {
    return this.run?.phase === 'running' && this.live.started === true;
  }

  /** What became of a run that an earlier kubelet began; after a reboot conmon has no more to say of it. */
  async adopt(rebooted: boolean): Promise<void> {
    const { run } = this;
    const { host, layout, record } = this.inputs;
    if (run?.phase === 'making') {
      const state = await host.runtime.state(run.id);
      if (state?.status === 'running') {
        run.phase = 'running';
        run.pid = state.pid;
        const pidStart = await processStartTime(state.pid);
        if (pidStart !== undefined) run.pidStart = pidStart;
        run.startedAt = seconds(new Date());
      } else {
        // Never got to its program: as if it had never been tried.
        await removeRun(host, layout, run.id);
        delete record.run;
      }
    }
    await this.collectExit(rebooted);
    if (this.run?.phase === 'running') this.probe(this.run);
  }

  /** Begins to fetch the image while sandbox and volumes are being made. */
  prefetch(): void {
    if (this.prefetched || this.starting || this.run || this.pullBackOff.left() > 0) return;
    this.prefetched = this.image();
    this.prefetched.catch(() => {});
  }

  /** Starts the container if it does not run; `again` decides by exit code whether an ended one is started again. */
  keepRunning(again: (exitCode: number) => boolean): void {
    const { run, inputs } = this;
    if (this.starting || this.ending || run?.phase === 'running') return;
    if (run?.phase === 'exited') {
      if (!again(run.terminated?.exitCode ?? 0)) return;
      if (this.waitFor(this.crash, 'CrashLoopBackOff', this.crashMessage())) return;
    }
    if (this.waitFor(this.pullBackOff, 'ImagePullBackOff', `Back-off pulling image "${this.spec.image ?? ''}"`)) return;
    const waitMs = this.configBackOff.left();
    if (waitMs > 0) return inputs.wake(waitMs);
    if (!inputs.setup.begin()) return;
    this.starting = this.start().finally(() => {
      this.starting = undefined;
      inputs.wake();
    });
  }

  /** Asks the container to end within `graceSeconds`; true when it has. Wakes the pod when it does. */
  async end(graceSeconds: number): Promise<boolean> {
    this.cancelled = true;
    this.shorten(Date.now() + graceSeconds * 1000);
    this.notify();
    await this.starting;
    const { run } = this;
    if (run?.phase !== 'running') return true;
    this.ending ??= this.kill(run, `Stopping container ${this.spec.name}`);
    return false;
  }

  /** Kill at `deadline` at the latest; only ever makes it earlier. */
  shorten(deadline: number): void {
    if (deadline >= this.deadline) return;
    this.deadline = deadline;
    this.notify();
  }

  /** Notes the end of the present run, if it has ended; true when that is news. */
  async collectExit(now = false): Promise<boolean> {
    this.collecting ??= this.collect(now).finally(() => (this.collecting = undefined));
    return await this.collecting;
  }

  private async collect(now: boolean): Promise<boolean> {
    const { run } = this;
    const { host, layout } = this.inputs;
    if (run?.phase !== 'running') return false;
    let exit = await host.exits.get(run.id);
    if (!exit) {
      const alive = run.pid !== undefined && (await processStartTime(run.pid)) === run.pidStart;
      if (alive) return false;
      this.deadSince ??= Date.now();
      if (!now && Date.now() - this.deadSince < EXIT_FILE_MS) {
        this.inputs.wake(200);
        return false;
      }
      exit = (await host.exits.get(run.id)) ?? { code: 137, at: new Date() };
    }
    this.deadSince = undefined;
    this.prober?.stop();
    const bundle = layout.bundle(run.id);
    run.terminated = {
      exitCode: exit.code,
      reason: (await outOfMemory(bundle)) ? 'OOMKilled' : exit.code === 0 ? 'Completed' : 'Error',
      ...(await terminationMessage(this.spec, exit.code, bundle, layout.log(this.spec.name, run.attempt))),
      ...(run.startedAt !== undefined && { startedAt: run.startedAt }),
      finishedAt: seconds(exit.at),
      containerID: `runc://${run.id}`,
    };
    run.phase = 'exited';
    delete this.live.waiting;
    delete this.live.ready;
    delete this.live.started;
    if (exit.at.getTime() - Date.parse(run.startedAt ?? '') > STEADY_MS) this.crash.reset();
    this.crash.begin(exit.at.getTime());
    await this.inputs.save();
    await removeRun(host, layout, run.id);
    this.notify();
    return true;
  }

  /** Heard from the exit watch. */
  notify(): void {
    for (const listener of [...this.listeners]) listener();
  }

  stop(): void {
    this.stopped = true;
    this.cancelled = true;
    this.prober?.stop();
    this.notify();
  }

  /** Resolves when nothing of ours is under way. */
  async idle(): Promise<void> {
    await Promise.allSettled([this.starting, this.ending]);
  }

  private async start(): Promise<void> {
    const { host, layout, setup, record, container, save } = this.inputs;
    const before = this.run;
    try {
      const image = await this.orCancelled(this.takeImage());
      const volumes = await this.orCancelled(setup.volumes);
      delete this.live.waiting;
      const run = await startContainer({
        host,
        pod: this.inputs.pod(),
        layout,
        container,
        attempt: before ? before.attempt + 1 : 0,
        image,
        volumes,
        sandbox: setup.sandbox,
        note: async (noted) => {
          if (before?.terminated) record.last = before.terminated;
          record.run = noted;
          await save();
        },
        created: () => this.event('Normal', 'Created', `Created container: ${container.name}`),
        cancelled: () => this.cancelled,
      });
      if (!run) return this.takeBack(before);
      // The last run's log is `kubectl logs --previous`; older ones are no more asked for.
      await rm(layout.log(container.name, run.attempt - 2), { force: true });
      this.prefetched = undefined;
      this.pullBackOff.reset();
      this.configBackOff.reset();
      if (before) this.crash.grow();
      this.event('Normal', 'Started', `Started container ${container.name}`);
      this.probe(run);
    } catch (error) {
      await this.failed(error, before);
    }
  }

  private async failed(error: unknown, before: ContainerRun | undefined): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof Cancelled || error instanceof SetupError) return this.takeBack(before);
    if (error instanceof ImageError) {
      this.prefetched = undefined;
      this.live.waiting = { reason: error.reason, message };
      this.pullBackOff.fail();
      return;
    }
    if (error instanceof ContainerConfigError) {
      this.live.waiting = { reason: 'CreateContainerConfigError', message };
      this.event('Warning', 'Failed', `Error: ${message}`);
      this.configBackOff.fail();
      return;
    }
    // The runtime could not start it: it counts as a run that failed at once, so the restart policy decides.
    const { record, save } = this.inputs;
    const run = this.run === before ? undefined : this.run;
    this.event('Warning', 'Failed', `Error: ${message}`);
    if (!run) {
      this.live.waiting = { reason: 'CreateContainerError', message };
      this.configBackOff.fail();
      return;
    }
    const at = seconds(new Date());
    run.phase = 'exited';
    run.terminated = {
      exitCode: 128,
      reason: 'StartError',
      message,
      startedAt: at,
      finishedAt: at,
      containerID: `runc://${run.id}`,
    };
    if (before) this.crash.grow();
    this.crash.begin(Date.now());
    record.run = run;
    await save();
  }

  /** A start that came to nothing leaves the record as it was. */
  private takeBack(before: ContainerRun | undefined): void {
    const { record } = this.inputs;
    if (before) record.run = before;
    else delete record.run;
  }

  private async kill(run: ContainerRun, why: string): Promise<void> {
    const { host, container } = this.inputs;
    this.prober?.stop();
    this.event('Normal', 'Killing', why);
    try {
      await endContainer({
        host,
        container,
        id: run.id,
        ip: this.ip,
        deadline: () => this.deadline,
        changed: (ms) => this.changed(ms),
        givenUp: () => this.stopped,
        failed: (reason, message) => this.event('Warning', reason, message),
      });
    } catch (error) {
      host.log.error({ container: container.name, err: error }, 'container not ended, will be tried again');
    } finally {
      if (!this.stopped) await this.collectExit();
      this.ending = undefined;
      this.inputs.wake();
    }
  }

  private probe(run: ContainerRun): void {
    const { host, container, setup, pod } = this.inputs;
    const target = { runcRoot: host.runtime.root, id: run.id, ip: this.ip, container };
    this.live.started = container.startupProbe === undefined;
    delete this.live.ready;
    void setup.sandbox.network.then(({ ip }) => (target.ip = ip)).catch(() => {});
    this.prober = new Prober(target, Date.parse(run.startedAt ?? ''), {
      ready: (ready) => {
        if (this.live.ready === ready) return;
        this.live.ready = ready;
        this.inputs.wake();
      },
      started: () => {
        this.live.started = true;
        this.inputs.wake();
      },
      failed: (kind, message) => {
        const name = `${kind[0]?.toUpperCase() ?? ''}${kind.slice(1)}`;
        this.event('Warning', 'Unhealthy', `${name} probe failed: ${message}`);
      },
      unhealthy: (kind) => {
        this.deadline = Date.now() + (pod().spec.terminationGracePeriodSeconds ?? 30) * 1000;
        this.ending ??= this.kill(run, `Container ${container.name} failed ${kind} probe, will be restarted`);
        void this.ending.then(() => (this.deadline = this.cancelled ? this.deadline : Infinity));
      },
    });
    this.prober.start();
  }

  private get ip(): string {
    return this.inputs.pod().status?.podIP ?? '';
  }

  private takeImage(): Promise<ReadyImage> {
    // Kept until the container runs: a start that waits for a volume does not ask for the image again.
    this.prefetched ??= this.image();
    return this.prefetched;
  }

  private image(): Promise<ReadyImage> {
    return this.inputs.images.ensure(this.spec.image ?? '', this.spec.imagePullPolicy);
  }

  private waitFor(backOff: BackOff, reason: string, message: string): boolean {
    const waitMs = backOff.left();
    if (waitMs === 0) return false;
    if (this.live.waiting?.reason !== reason) {
      this.live.waiting = { reason, message };
      const event =
        reason === 'CrashLoopBackOff' ? message.replace(/^back-off \S+ restarting/, 'Back-off restarting') : message;
      this.event('Warning', 'BackOff', event);
    }
    this.inputs.wake(waitMs);
    return true;
  }

  private crashMessage(): string {
    const { metadata } = this.inputs.pod();
    const pod = `${metadata.name ?? ''}_${metadata.namespace ?? ''}(${metadata.uid ?? ''})`;
    return `back-off ${this.crash.seconds}s restarting failed container=${this.spec.name} pod=${pod}`;
  }

  private event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.inputs.host.event(this.inputs.pod(), type, reason, message);
  }

  /** Resolves at the next notify(), or after `ms`. */
  private changed(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.listeners.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.listeners.add(done);
    });
  }

  private orCancelled<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!this.cancelled) return;
        this.listeners.delete(look);
        reject(new Cancelled('cancelled'));
      };
      this.listeners.add(look);
      promise.then(resolve, reject).finally(() => this.listeners.delete(look));
      look();
    });
  }
}

class Cancelled extends Error {
  override name = 'Cancelled';
}

async function outOfMemory(bundle: string): Promise<boolean> {
  return await readFile(path.join(bundle, 'conmon', 'oom')).then(
    () => true,
    () =>
      readFile(path.join(bundle, 'oom')).then(
        () => true,
        () => false,
      ),
  );
}
