// What changed lately in one resource, so that a watch can begin in the past: bounded in number and age.
import type { KubeObject } from '../../core/kube/objects.ts';

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly revision: number;
  readonly object: KubeObject;
  /** What stood there before: selectors need it to tell an object that left the selection. */
  readonly old: KubeObject | undefined;
  readonly at: number;
}

const MAX_CHANGES = 1000;
const MAX_AGE_MS = 5 * 60_000;

export class History {
  #changes: Change[] = [];
  #oldest: number;

  /** @param since the revision from which on every change is here. */
  constructor(since: number) {
    this.#oldest = since;
  }

  add(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length > MAX_CHANGES + MAX_CHANGES / 4) this.#drop(this.#changes.length - MAX_CHANGES);
  }

  /** Drops what is too old to keep in memory. */
  expire(now: number): void {
    const keep = this.#changes.findIndex((change) => now - change.at < MAX_AGE_MS);
    if (keep !== 0) this.#drop(keep === -1 ? this.#changes.length : keep);
  }

  /** Changes after `revision`, oldest first; undefined where some of them are already forgotten. */
  since(revision: number): Change[] | undefined {
    if (revision < this.#oldest) return undefined;
    let start = this.#changes.length;
    while (start > 0 && (this.#changes[start - 1]?.revision ?? 0) > revision) start -= 1;
    return this.#changes.slice(start);
  }

  #drop(count: number): void {
    const dropped = this.#changes.splice(0, count);
    this.#oldest = dropped.at(-1)?.revision ?? this.#oldest;
  }
}
