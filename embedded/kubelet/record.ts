// What the kubelet itself must remember of a pod across its own death: sandbox, container runs, last terminations.
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { CniResult } from './cni.ts';
import { ensureDir, readIfThere, writeAtomic } from './files.ts';
import type { PodLayout } from './layout.ts';
import type { TerminatedState } from './pod-types.ts';

/** Changes with every boot: namespaces and processes of another boot are gone. */
export const BOOT_ID = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

export interface ContainerRun {
  id: string;
  /** Counts from 0; also the name of the log file. */
  attempt: number;
  image: string;
  imageID: string;
  rootfs: string;
  /** making: nobody knows how far it came; running; exited: `terminated` is set. */
  phase: 'making' | 'running' | 'exited';
  pid?: number;
  /** Field 22 of /proc/<pid>/stat: tells our process from a later one with the same pid. */
  pidStart?: string;
  startedAt?: string;
  terminated?: TerminatedState;
}

export interface ContainerRecord {
  run?: ContainerRun;
  last?: TerminatedState;
}

export interface PodRecord {
  uid: string;
  namespace: string;
  name: string;
  bootId: string;
  startTime: string;
  /** making: some of it may exist. */
  sandbox?: { phase: 'making' | 'ready'; ip?: string; cni?: CniResult };
  /** Kept for the status when the sandbox is gone. */
  podIP?: string;
  containers: Record<string, ContainerRecord>;
}

export class RecordFile {
  private readonly layout: PodLayout;
  private writing: Promise<void> = Promise.resolve();

  constructor(layout: PodLayout) {
    this.layout = layout;
  }

  static async load(layout: PodLayout): Promise<PodRecord | undefined> {
    const text = await readIfThere(layout.record);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as PodRecord;
    } catch {
      // Cut off by a power failure: nothing of it still runs, so it is cleaned up as unknown.
      return undefined;
    }
  }

  /** One write at a time, each with the record as it is then. */
  save(record: PodRecord): Promise<void> {
    this.writing = this.writing.then(async () => {
      await ensureDir(this.layout.root);
      await writeAtomic(this.layout.record, JSON.stringify(record));
    });
    return this.writing;
  }

  async remove(): Promise<void> {
    await this.writing.catch(() => {});
    await rm(this.layout.root, { recursive: true, force: true });
  }
}
