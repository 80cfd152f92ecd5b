// What a pod's containers share, made once and in parallel: the sandbox with its network, and the volumes.
import { ImageError } from '../images/reference.ts';
import { BackOff } from './back-off.ts';
import type { Host } from './host.ts';
import type { PodLayout } from './layout.ts';
import { namespacesExist } from './namespaces.ts';
import type { PodImages } from './pod-images.ts';
import type { Pod } from './pod-types.ts';
import type { PodRecord } from './record.ts';
import { startSandbox, stopSandbox } from './sandbox.ts';
import type { SandboxStart } from './sandbox.ts';
import { prepareVolumes, refreshDownwardVolumes } from './volumes.ts';
import type { ReadyVolume, VolumeInputs } from './volumes.ts';

/** The pod's sandbox or volumes are not to be had: told as an event already, tried again later. */
export class SetupError extends Error {
  override name = 'SetupError';
}

export interface SetupInputs {
  host: Host;
  layout: PodLayout;
  images: PodImages;
  record: PodRecord;
  pod: () => Pod;
  save: () => Promise<void>;
  wake: (afterMs?: number) => void;
}

export class PodSetup {
  /** Why nothing can start just now. */
  problem: string | undefined;
  /** Set while an image that is mounted as a volume does not come: containers wait for it in its name. */
  imageTrouble: { reason: string; message: string } | undefined;
  private readonly inputs: SetupInputs;
  private sandboxStart: SandboxStart | undefined;
  /** The volumes were made by an earlier kubelet. */
  private adopted = false;
  private volumesReady: Promise<ReadonlyMap<string, ReadyVolume>> | undefined;
  private readonly sandboxBackOff = new BackOff(500, 30_000);
  private readonly volumeBackOff = new BackOff(250, 10_000);

  constructor(inputs: SetupInputs) {
    this.inputs = inputs;
  }

  /** Takes over a sandbox that is whole; one cut off half way, or of another boot, is made anew. */
  async adopt(): Promise<void> {
    const { record, layout } = this.inputs;
    const { sandbox } = record;
    if (sandbox?.phase === 'ready' && sandbox.cni && (await namespacesExist(layout))) {
      const network = Promise.resolve({ ip: sandbox.ip ?? '', cni: sandbox.cni });
      this.sandboxStart = { namespaces: Promise.resolve(), network };
      this.adopted = true;
    } else if (sandbox) {
      sandbox.phase = 'making';
    }
  }

  /** Begins what is not begun; false while a failure is being waited out. */
  begin(): boolean {
    const waitMs = Math.max(
      this.sandboxStart ? 0 : this.sandboxBackOff.left(),
      this.volumesReady ? 0 : this.volumeBackOff.left(),
    );
    if (waitMs > 0) {
      this.inputs.wake(waitMs);
      return false;
    }
    this.sandboxStart ??= this.makeSandbox();
    this.volumesReady ??= this.makeVolumes();
    return true;
  }

  get sandbox(): SandboxStart {
    if (!this.sandboxStart) throw new SetupError('the sandbox is not begun');
    return this.sandboxStart;
  }

  get volumes(): Promise<ReadonlyMap<string, ReadyVolume>> {
    return this.volumesReady ?? Promise.reject(new SetupError('the volumes are not begun'));
  }

  /** Brings downwardAPI volumes up to the pod's present labels and annotations. */
  refresh(): void {
    if (!this.volumesReady && !this.adopted) return;
    void Promise.resolve(this.volumesReady)
      .then(() => refreshDownwardVolumes(this.volumeInputs()))
      .catch((error: unknown) => this.inputs.host.log.warn({ err: error }, 'downwardAPI volume not refreshed'));
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.sandboxStart?.network, this.volumesReady]);
  }

  /** Takes the sandbox and every mount away; the address stays in the record for the status. */
  async end(): Promise<void> {
    const { host, layout, record, save } = this.inputs;
    await this.settled();
    this.adopted = false;
    this.sandboxStart = undefined;
    this.volumesReady = undefined;
    if (!record.sandbox) return;
    await stopSandbox(host, this.inputs.pod(), layout, record.sandbox.cni);
    if (record.sandbox.ip !== undefined) record.podIP = record.sandbox.ip;
    delete record.sandbox;
    await save();
  }

  private makeSandbox(): SandboxStart {
    const { host, layout, record, save, wake } = this.inputs;
    record.sandbox = { phase: 'making' };
    const pod = this.inputs.pod();
    // Noted before made: a crash in between leaves something to clean up, never something unknown.
    const started = save().then(() => startSandbox(host, pod, layout));
    const fail = (error: unknown): never => {
      throw error instanceof SetupError
        ? error
        : new SetupError(String(error instanceof Error ? error.message : error));
    };
    const namespaces = started.then((start) => start.namespaces).catch(fail);
    const network = started.then((start) => start.network).catch(fail);
    namespaces.catch(() => {});
    network
      .then(async (result) => {
        record.sandbox = { phase: 'ready', ip: result.ip, cni: result.cni };
        this.problem = undefined;
        this.sandboxBackOff.reset();
        await save();
        wake();
      })
      .catch((error: unknown) => {
        const why = error instanceof Error ? error.message : String(error);
        this.problem = why;
        host.event(this.inputs.pod(), 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${why}`);
        this.sandboxBackOff.fail();
        this.sandboxStart = undefined;
        wake();
      });
    return { namespaces, network };
  }

  private makeVolumes(): Promise<ReadonlyMap<string, ReadyVolume>> {
    const { host, wake } = this.inputs;
    const volumes = prepareVolumes(this.volumeInputs()).then(
      (ready) => {
        this.problem = undefined;
        this.imageTrouble = undefined;
        this.volumeBackOff.reset();
        return ready;
      },
      (error: unknown) => {
        const why = error instanceof Error ? error.message : String(error);
        this.problem = why;
        host.event(this.inputs.pod(), 'Warning', 'FailedMount', why);
        const cause = error instanceof Error ? error.cause : undefined;
        if (cause instanceof ImageError) this.imageTrouble = this.troubleOf(cause);
        this.volumeBackOff.fail();
        this.volumesReady = undefined;
        wake();
        throw new SetupError(why);
      },
    );
    volumes.catch(() => {});
    return volumes;
  }

  /** The first failed pull is told as such; after that the wait before the next one is what there is to tell. */
  private troubleOf({ reason, message }: ImageError): { reason: string; message: string } {
    if (reason !== 'ErrImagePull' || this.imageTrouble === undefined) return { reason, message };
    return { reason: 'ImagePullBackOff', message: `Back-off pulling image: ErrImagePull: ${message}` };
  }

  private volumeInputs(): VolumeInputs {
    const { host, layout, images, record } = this.inputs;
    const pod = this.inputs.pod();
    return {
      facts: {
        pod,
        hostIP: host.node.ip,
        podIP: record.sandbox?.ip ?? '',
        allocatable: host.node.capacity,
      },
      layout,
      lookup: host.lookup,
      image: async (volume) => {
        const reference = volume.image?.reference ?? '';
        const image = await images.ensure(reference, volume.image?.pullPolicy);
        if (image.mounts.length > 0)
          throw new ImageError('InvalidImageName', `${reference} cannot be used as a volume`);
        return image;
      },
    };
  }
}
