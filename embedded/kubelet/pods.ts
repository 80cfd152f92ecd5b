// All pods of this node: one worker each, adopted from disk at start, everything unknown cleaned up.
import { readdir, rm } from 'node:fs/promises';
import { removeCgroup } from './cgroup.ts';
import type { Host } from './host.ts';
import { PodWorker } from './pod-worker.ts';
import type { Pod } from './pod-types.ts';
import { RecordFile } from './record.ts';
import type { PodRecord } from './record.ts';
import { stopSandbox } from './sandbox.ts';

const CHECK_MS = 10_000;

export class Pods {
  private readonly host: Host;
  private readonly workers = new Map<string, PodWorker>();
  private timer: NodeJS.Timeout | undefined;

  constructor(host: Host) {
    this.host = host;
  }

  /** `present` are the pods that the API has on this node; what runs here and is not among them is ended. */
  async start(present: readonly Pod[]): Promise<void> {
    const { host } = this;
    const byUid = new Map(present.map((pod) => [pod.metadata.uid ?? '', pod]));
    const known = await readRecords(host);
    await removeUnknownContainers(host, [...known.values()]);
    for (const [uid, record] of known) {
      if (record === undefined) {
        await removeRemains({ ...host, cgroup: host.node.cgroup }, uid);
        known.delete(uid);
        continue;
      }
      const pod = byUid.get(uid);
      const worker = this.add(pod ?? podOfRecord(record), record);
      await worker.adopt();
      worker.apply(pod);
    }
    await host.network.releaseLeases((uid) => known.has(uid));
    await host.exits.start((id) => {
      for (const worker of this.workers.values()) if (worker.exited(id)) return;
      // Of a container already taken away: conmon's word came last.
      void host.exits.forget(id);
    });
    for (const pod of present) this.apply(pod);
    // Exits come as events; this finds those of a conmon that was killed.
    this.timer = setInterval(() => {
      for (const worker of this.workers.values()) void worker.check();
    }, CHECK_MS);
    for (const worker of this.workers.values()) await worker.check();
  }

  apply(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    let worker = this.workers.get(uid);
    if (!worker) {
      const over = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
      // Ended before our time and nothing of it is here: only its deletion concerns us.
      if (over && pod.metadata.deletionTimestamp === undefined) return;
      worker = this.add(pod, undefined);
    }
    worker.apply(pod);
  }

  /** Ends every pod that is not among `present`, the API's whole list. */
  retain(present: readonly Pod[]): void {
    const uids = new Set(present.map((pod) => pod.metadata.uid));
    for (const uid of this.workers.keys()) if (!uids.has(uid)) this.gone(uid);
  }

  /** The API no longer has the pod. */
  gone(uid: string): void {
    this.workers.get(uid)?.apply(undefined);
  }

  find(namespace: string, name: string): PodWorker | undefined {
    const all = [...this.workers.values()].filter((w) => w.record.namespace === namespace && w.record.name === name);
    return all.at(-1);
  }

  get size(): number {
    return this.workers.size;
  }

  /** Root file systems of images that some container stands on. */
  imagesInUse(): Set<string> {
    const all = [...this.workers.values()].flatMap((worker) => worker.imagesInUse());
    return new Set(all);
  }

  /** Stops driving; every pod runs on. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.host.exits.stop();
    await Promise.all([...this.workers.values()].map((worker) => worker.stop()));
  }

  private add(pod: Pod, record: PodRecord | undefined): PodWorker {
    const worker = new PodWorker(this.host, pod, record, (uid) => this.workers.delete(uid));
    this.workers.set(worker.uid, worker);
    return worker;
  }
}

/** Records by pod UID; undefined for a directory whose record cannot be read. */
export async function readRecords(host: Pick<Host, 'layout'>): Promise<Map<string, PodRecord | undefined>> {
  const uids = await readdir(host.layout.pods).catch(() => []);
  const records = uids.map(async (uid): Promise<[string, PodRecord | undefined]> => {
    return [uid, await RecordFile.load(host.layout.pod(uid))];
  });
  return new Map(await Promise.all(records));
}

/** Ends every container that no record knows, and forgets exits nobody will ask for. */
async function removeUnknownContainers(host: Host, records: (PodRecord | undefined)[]): Promise<void> {
  const known = new Set(
    records
      .flatMap((record) => Object.values(record?.containers ?? {}))
      .flatMap(({ run }) =>
        // Of a run that has ended and been noted nothing is wanted any more.
        run && run.phase !== 'exited' ? [run.id] : [],
      ),
  );
  const strangers = (await host.runtime.list()).filter((id) => !known.has(id));
  await Promise.all(strangers.map((id) => host.runtime.delete(id)));
  const exits = await readdir(host.layout.exits).catch(() => []);
  await Promise.all(exits.filter((id) => !known.has(id)).map((id) => rm(`${host.layout.exits}/${id}`)));
}

/** What is left of a pod of which only the UID is known. */
export async function removeRemains(
  host: Pick<Host, 'layout' | 'network'> & { cgroup: string },
  uid: string,
): Promise<void> {
  const layout = host.layout.pod(uid);
  await stopSandbox(host, { metadata: { uid } }, layout, undefined);
  await rm(layout.root, { recursive: true, force: true });
  await removeCgroup(`${host.cgroup}/pod${uid}`);
}

/** Enough of a pod to end it by. */
function podOfRecord({ uid, namespace, name, containers }: PodRecord): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { uid, namespace, name },
    spec: { containers: Object.keys(containers).map((container) => ({ name: container })) },
  };
}
