// A queue of keys: each waits once, is in one pair of hands at a time, and comes back later if asked.
import { Backoff } from './backoff.ts';

const FIRST_RETRY_MS = 5;
const MAX_RETRY_MS = 1_000_000;

export class WorkQueue {
  /** Insertion order is the queue's order. */
  readonly #waiting = new Set<string>();
  readonly #working = new Set<string>();
  /** Added while in work: once more when done. */
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, { at: number; timer: NodeJS.Timeout }>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #takers: (() => void)[] = [];
  readonly #idle: (() => void)[] = [];
  #closed = false;

  /** Keys ready and waiting. */
  get length(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    if (this.#closed || this.#waiting.has(key)) return;
    if (this.#working.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#waiting.add(key);
    // Taken when the code that adds is through: all it adds of one key is one.
    this.#takers.shift()?.();
  }

  /** Adds the key in `ms`; of several delays of one key the earliest holds. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return;
    if (ms <= 0) {
      this.add(key);
      return;
    }
    const at = performance.now() + ms;
    const pending = this.#delayed.get(key);
    if (pending !== undefined) {
      if (pending.at <= at) return;
      clearTimeout(pending.timer);
    }
    const timer = setTimeout(() => {
      this.#delayed.delete(key);
      this.add(key);
    }, ms);
    this.#delayed.set(key, { at, timer });
  }

  /** Adds the key after 5 ms, twice that the next time, and so on up to 1000 s, until `forget`. */
  addRateLimited(key: string): void {
    let backoff = this.#backoffs.get(key);
    if (backoff === undefined) {
      backoff = new Backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
      this.#backoffs.set(key, backoff);
    }
    this.addAfter(key, backoff.next());
  }

  /** How often the key was added by `addRateLimited` since it was last forgotten. */
  retries(key: string): number {
    return this.#backoffs.get(key)?.failures ?? 0;
  }

  /** The key is well: its next back-off starts small again. */
  forget(key: string): void {
    this.#backoffs.delete(key);
  }

  /**
   * The next key, when there is one; undefined once the queue is closed and empty. Call `done(key)` afterwards. Taking a
   * key drops its delayed add: whoever works on it now says anew when to look again.
   */
  async next(): Promise<string | undefined> {
    for (;;) {
      for (const key of this.#waiting) return this.#begin(key);
      if (this.#closed) return undefined;
      await new Promise<void>((resolve) => this.#takers.push(resolve));
    }
  }

  done(key: string): void {
    this.#working.delete(key);
    if (this.#again.delete(key)) this.add(key);
    if (this.#working.size === 0) for (const wake of this.#idle.splice(0)) wake();
  }

  /** Takes no more keys, forgets those that wait, and resolves when the keys in work are done. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { timer } of this.#delayed.values()) clearTimeout(timer);
    this.#delayed.clear();
    this.#waiting.clear();
    this.#again.clear();
    for (const taker of this.#takers.splice(0)) taker();
    if (this.#working.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #begin(key: string): string {
    this.#waiting.delete(key);
    this.#working.add(key);
    const pending = this.#delayed.get(key);
    if (pending !== undefined) {
      clearTimeout(pending.timer);
      this.#delayed.delete(key);
    }
    return key;
  }
}
