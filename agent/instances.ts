// The VMIs that this node has or had: from the journals on disk and the containers that run.
import type { Logger } from 'pino';
import type { Request, Result, Vmi } from '../core/index.ts';
import type { Pod } from '../core/launcher-pod.ts';
import { findContainer } from './container.ts';
import { Instance } from './instance.ts';
import { Journal } from './journal.ts';
import type { StepRunner } from './steps.ts';

export interface InstancesOptions {
  readonly journalDir: string;
  readonly steps: StepRunner;
  /** Asks the API server itself whether this very VMI still is there. */
  readonly exists: (vmi: Journal['owner']) => Promise<boolean>;
  readonly wake: (request: Request) => void;
  readonly log: Logger;
}

export class Instances {
  readonly #o: InstancesOptions;
  readonly #byUid = new Map<string, Instance>();
  /** Journals of an earlier life of the agent whose VMI nobody has asked about yet. */
  readonly #left = new Map<string, Journal>();

  constructor(options: InstancesOptions) {
    this.#o = options;
  }

  /** Reads what an earlier life left. Gives the VMIs concerned: whether they are still there or not, each needs a look. */
  async load(): Promise<Request[]> {
    for (const journal of await Journal.loadAll(this.#o.journalDir)) this.#left.set(journal.owner.uid, journal);
    return [...this.#left.values()].map(({ owner }) => ({ namespace: owner.namespace, name: owner.name }));
  }

  /** The VMI's instance, adopted or made. Undefined where no container is, nor a record of one. */
  async of(vmi: Vmi, pod: Pod | undefined): Promise<Instance | undefined> {
    const { uid = '', namespace = '', name = '' } = vmi.metadata;
    const known = this.#byUid.get(uid);
    if (known) return known;
    const left = this.#left.get(uid);
    const status = pod?.status?.containerStatuses?.find((each) => each.name === 'compute');
    const containerId = left?.owner.containerId ?? status?.containerID;
    if (containerId === undefined) return undefined;
    const container = await findContainer(containerId);
    // A container that ended while we were away: its journal is all there is to work off.
    if (!container && !left) return undefined;
    const journal = left ?? (await Journal.open(this.#o.journalDir, { namespace, name, uid, containerId }));
    const instance = new Instance(container ?? NOBODY, journal, () => this.#o.wake({ namespace, name }));
    this.#byUid.set(uid, instance);
    this.#left.delete(uid);
    return instance;
  }

  /** The running instance of a VMI, for the subresources. */
  find(namespace: string, name: string): Instance | undefined {
    const ofName = [...this.#byUid.values()].filter(
      ({ journal }) => journal.owner.namespace === namespace && journal.owner.name === name,
    );
    // One that has ended may still be cleaned up while its successor runs.
    return ofName.find(({ journal }) => !journal.ended) ?? ofName[0];
  }

  /** Undoes and forgets what belongs to VMIs of this name other than `uid`: their objects are gone. */
  async cleanUp({ namespace, name }: Request, uid: string | undefined, signal: AbortSignal): Promise<Result> {
    const isOrphan = ({ owner }: Journal): boolean =>
      owner.namespace === namespace && owner.name === name && owner.uid !== uid;
    for (const journal of [...this.#left.values()].filter(isOrphan)) {
      const container = await findContainer(journal.owner.containerId);
      this.#left.delete(journal.owner.uid);
      this.#byUid.set(
        journal.owner.uid,
        new Instance(container ?? NOBODY, journal, () => this.#o.wake({ namespace, name })),
      );
    }
    for (const instance of [...this.#byUid.values()].filter((each) => isOrphan(each.journal))) {
      // A cache that is mistaken must not cost a guest its life.
      if ((await instance.isAlive()) && (await this.#o.exists(instance.journal.owner))) {
        return { afterMs: 5_000, why: 'the API server has a VMI that its watch does not show' };
      }
      this.#o.log.info({ namespace, name, uid: instance.journal.owner.uid }, 'cleaning up after a VMI that is gone');
      await instance.destroyGuest(signal);
      const undone = await this.#o.steps.revert(instance.journal, signal);
      await instance.endLauncher(signal);
      if (!undone && !(await this.#o.steps.revert(instance.journal, signal))) {
        return { afterMs: 5_000, why: 'node steps of a VMI that is gone could not be reverted' };
      }
      await this.drop(instance);
    }
  }

  /** Nothing of the instance is left on this node. */
  async drop(instance: Instance): Promise<void> {
    this.#byUid.delete(instance.journal.owner.uid);
    await instance.close();
    await instance.journal.remove();
  }

  /** Lets go of the guests without touching them. */
  async close(): Promise<void> {
    await Promise.all([...this.#byUid.values()].map((instance) => instance.close()));
    this.#byUid.clear();
  }
}

/** Stands for a container that has ended. */
const NOBODY = { pid: 0, startTime: 'ended', uid: 0, gid: 0 } as const;
