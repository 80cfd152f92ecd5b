// Drives one pod towards what the API asks of it, level by level: sandbox, init containers, containers, end.
import { isDeepStrictEqual } from 'node:util';
import { ContainerWorker } from './container-worker.ts';
import type { Host } from './host.ts';
import { PodImages } from './pod-images.ts';
import { isSettling, isSidecar, podStatus, seconds } from './pod-status.ts';
import type { StatusInputs } from './pod-status.ts';
import type { Container, Pod, PodStatus } from './pod-types.ts';
import { PodSetup } from './pod-setup.ts';
import { BOOT_ID, RecordFile } from './record.ts';
import type { PodRecord } from './record.ts';
import { removeCgroup } from './cgroup.ts';

/** How long a status that is still changing by itself may stay unwritten. */
const SETTLE_MS = 1000;
const RETRY_MS = 1000;
/** What a pod gets that vanished from the API without waiting for us. */
const GONE_GRACE_SECONDS = 2;
const DEFAULT_GRACE_SECONDS = 30;

export class PodWorker {
  readonly uid: string;
  readonly record: PodRecord;
  private readonly host: Host;
  private readonly file: RecordFile;
  private readonly setup: PodSetup;
  private readonly containers = new Map<string, ContainerWorker>();
  private readonly removed: (uid: string) => void;
  private pod: Pod;
  private inApi = true;
  private written: PodStatus | undefined;
  private unsettledSince = Date.now();
  private dirty = false;
  private working: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private timerAt = Infinity;
  private stopped = false;
  private deadline: number | undefined;

  /** `record` is what an earlier kubelet noted of the pod; `removed` is called when nothing is left of it. */
  constructor(host: Host, pod: Pod, record: PodRecord | undefined, removed: (uid: string) => void) {
    const { uid = '', namespace = '', name = '' } = pod.metadata;
    this.host = host;
    this.uid = uid;
    this.pod = pod;
    this.written = pod.status;
    this.removed = removed;
    this.record = record ?? { uid, namespace, name, bootId: BOOT_ID, startTime: seconds(new Date()), containers: {} };
    const layout = host.layout.pod(uid);
    this.file = new RecordFile(layout);
    const images = new PodImages(host, () => this.pod);
    this.setup = new PodSetup({
      host,
      layout,
      images,
      record: this.record,
      pod: () => this.pod,
      save: () => this.file.save(this.record),
      wake: (afterMs) => this.wake(afterMs),
    });
    for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
      const record = (this.record.containers[container.name] ??= {});
      this.containers.set(
        container.name,
        new ContainerWorker({
          host,
          layout,
          images,
          setup: this.setup,
          record,
          container,
          pod: () => this.pod,
          save: () => this.file.save(this.record),
          wake: (afterMs) => this.wake(afterMs),
        }),
      );
    }
  }

  /** Finds out what became of a pod that an earlier kubelet ran; then drives it like any other. */
  async adopt(): Promise<void> {
    await this.setup.adopt();
    const rebooted = this.record.bootId !== BOOT_ID;
    await Promise.all([...this.containers.values()].map((worker) => worker.adopt(rebooted)));
    this.record.bootId = BOOT_ID;
    await this.file.save(this.record);
  }

  /** The newest object of the API, or undefined when it is gone from there. */
  apply(pod: Pod | undefined): void {
    if (pod) this.pod = pod;
    else this.inApi = false;
    if (pod && !this.deleting) this.setup.refresh();
    this.wake();
  }

  /** Something changed on the machine, or will have after `afterMs`. */
  wake(afterMs = 0): void {
    if (this.stopped) return;
    if (afterMs > 0) {
      const at = Date.now() + afterMs;
      if (at >= this.timerAt) return;
      clearTimeout(this.timer);
      this.timerAt = at;
      this.timer = setTimeout(() => {
        this.timerAt = Infinity;
        this.wake();
      }, afterMs);
      return;
    }
    this.dirty = true;
    this.working ??= this.work();
  }

  /** Of one container; used by logs and exec. */
  container(name: string): ContainerWorker | undefined {
    return this.containers.get(name);
  }

  imagesInUse(): string[] {
    return [...this.containers.values()].flatMap(({ run }) => (run && run.phase !== 'exited' ? [run.rootfs] : []));
  }

  get object(): Pod {
    return this.pod;
  }

  /** True when somebody here waits for that container's exit. */
  exited(id: string): boolean {
    const worker = [...this.containers.values()].find(
      (candidate) => candidate.run?.id === id && candidate.run.phase !== 'exited',
    );
    worker?.notify();
    if (worker) this.wake();
    return worker !== undefined;
  }

  /** Looks whether running containers still are, in case an exit went unheard. */
  async check(): Promise<void> {
    const lost = await Promise.all([...this.containers.values()].map((worker) => worker.collectExit()));
    if (lost.some(Boolean)) this.wake();
  }

  /** Stops driving; the pod runs on. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    for (const worker of this.containers.values()) worker.stop();
    await this.working;
    await this.setup.settled();
    await Promise.all([...this.containers.values()].map((worker) => worker.idle()));
  }

  private get deleting(): boolean {
    return !this.inApi || this.pod.metadata.deletionTimestamp !== undefined;
  }

  private async work(): Promise<void> {
    // What is said in one turn is done in one pass.
    await Promise.resolve();
    while (this.dirty && !this.stopped) {
      this.dirty = false;
      try {
        await this.sync();
      } catch (error) {
        this.host.log.error({ pod: `${this.record.namespace}/${this.record.name}`, err: error }, 'pod sync failed');
        this.wake(RETRY_MS);
      }
    }
    this.working = undefined;
  }

  private async sync(): Promise<void> {
    await Promise.all([...this.containers.values()].map((worker) => worker.collectExit()));
    if (this.deleting) return await this.terminate();
    if (this.isOver()) await this.finish();
    else this.advance();
    await this.report();
  }

  /** Starts what may start now; everything slow goes on in the background and wakes us. */
  private advance(): void {
    const policy = this.pod.spec.restartPolicy ?? 'Always';
    for (const worker of this.containers.values()) worker.prefetch();
    for (const container of this.pod.spec.initContainers ?? []) {
      const worker = this.worker(container);
      if (isSidecar(container)) {
        worker.keepRunning(() => true);
        if (!worker.isStarted) return;
      } else if (worker.exitCode !== 0) {
        worker.keepRunning(() => policy !== 'Never');
        return;
      }
    }
    for (const container of this.pod.spec.containers) {
      this.worker(container).keepRunning((code) => policy === 'Always' || (policy === 'OnFailure' && code !== 0));
    }
  }

  /** True when every container has ended and none will be started again. */
  private isOver(): boolean {
    const phase = this.pod.status?.phase;
    const { phase: now } = podStatus(this.statusInputs());
    return now === 'Succeeded' || now === 'Failed' || phase === 'Succeeded' || phase === 'Failed';
  }

  /** The pod's work is done: its address and namespaces are given back, its record and logs stay until it is deleted. */
  private async finish(): Promise<void> {
    const grace = this.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
    if (await this.killAll(grace)) await this.setup.end();
  }

  private async terminate(): Promise<void> {
    const now = Date.now();
    const { deletionGracePeriodSeconds, deletionTimestamp } = this.pod.metadata;
    const grace = this.inApi ? (deletionGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) : GONE_GRACE_SECONDS;
    // The API's time is when the grace ends; a restarted kubelet must not begin it anew.
    const end = deletionTimestamp ? Date.parse(deletionTimestamp) + 1000 : Infinity;
    this.deadline = Math.min(this.deadline ?? Infinity, now + grace * 1000, Math.max(end, now + 1000));
    for (const worker of this.containers.values()) worker.shorten(this.deadline);
    if (!(await this.killAll((this.deadline - now) / 1000))) return;
    await this.setup.end();
    if (this.inApi && (this.pod.metadata.finalizers ?? []).length > 0) await this.report();
    await removeCgroup(`${this.host.node.cgroup}/pod${this.uid}`);
    await this.file.remove();
    if (this.inApi) await this.host.confirmDeleted(this.pod);
    this.stopped = true;
    clearTimeout(this.timer);
    this.removed(this.uid);
  }

  /** Asks every container to end, sidecars after the others; true when all have. Does not wait for them. */
  private async killAll(graceSeconds: number): Promise<boolean> {
    const sidecars = (this.pod.spec.initContainers ?? []).filter(isSidecar).reverse();
    const first = [...this.containers.values()].filter(
      (worker) => !sidecars.some(({ name }) => name === worker.spec.name),
    );
    const ended = await Promise.all(first.map((worker) => worker.end(graceSeconds)));
    if (ended.includes(false)) return false;
    for (const container of sidecars) if (!(await this.worker(container).end(graceSeconds))) return false;
    return true;
  }

  private worker(container: Container): ContainerWorker {
    const found = this.containers.get(container.name);
    if (!found) throw new Error(`pod ${this.record.name} has no container ${container.name}`);
    return found;
  }

  private statusInputs(): StatusInputs {
    const live = new Map([...this.containers].map(([name, worker]) => [name, worker.live]));
    const before = this.written?.conditions ?? [];
    const { imageTrouble } = this.setup;
    const waiting = imageTrouble && { waiting: imageTrouble };
    return { pod: this.pod, record: this.record, live, hostIP: this.host.node.ip, now: new Date(), before, ...waiting };
  }

  /** Writes the status when it says something new, but not while it is still changing by itself. */
  private async report(): Promise<void> {
    const inputs = this.statusInputs();
    const status = podStatus(inputs);
    if (this.written && saysTheSame(status, this.written)) return;
    const waited = Date.now() - this.unsettledSince;
    const over = status.phase === 'Succeeded' || status.phase === 'Failed';
    if (!over && !this.deleting && isSettling(inputs) && !this.setup.problem && waited < SETTLE_MS) {
      return this.wake(SETTLE_MS - waited);
    }
    await this.host.writeStatus(this.pod, status);
    this.written = status;
    this.unsettledSince = Date.now();
  }
}

/** True when the API's status holds all of ours; others may have added conditions and fields. */
function saysTheSame(ours: PodStatus, theirs: PodStatus): boolean {
  const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
  const { conditions = [], ...rest } = ours;
  const known = theirs.conditions ?? [];
  return (
    Object.entries(rest).every(([key, value]) =>
      isDeepStrictEqual(plain(value), plain(theirs[key as keyof PodStatus])),
    ) &&
    conditions.every((condition) =>
      known.some(
        (other) =>
          other.type === condition.type &&
          other.status === condition.status &&
          other.reason === condition.reason &&
          other.message === condition.message,
      ),
    )
  );
}
