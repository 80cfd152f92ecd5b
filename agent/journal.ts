// What was done to this node for one VMI, on disk before it is done, so that it can be undone after any crash.
import { appendFile, mkdir, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json, Step } from '../core/index.ts';
import type { Chain } from '../core/steps.ts';
import type { Outcome } from './vmi-status.ts';

export interface JournalOwner {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** `compute`'s id in the launcher pod, as its status has it. */
  readonly containerId: string;
}

type Entry =
  | { readonly owner: JournalOwner }
  | { readonly begun: Step }
  | { readonly applied: string; readonly result: Json | null }
  | { readonly reverted: string }
  /** Steps of the guest's later moments; the last entry holds. */
  | { readonly later: readonly Chain[] }
  /** The guest: `starting` stands before libvirt is asked to, `started` after it did. */
  | { readonly guest: 'starting' | 'started' }
  /** How the guest ended: from here on there is only cleaning up. */
  | { readonly ended: Outcome };

interface Begun {
  readonly step: Step;
  applied: boolean;
  result: Json | undefined;
}

/**
 * One file a VMI, one line of JSON an entry. Survives the agent's death at any point, not the node's: when the node goes down
 * everything that steps made goes with it.
 */
export class Journal {
  readonly owner: JournalOwner;
  readonly #file: string;
  readonly #begun = new Map<string, Begun>();
  #guest: 'none' | 'starting' | 'started' = 'none';
  #ended: Outcome | undefined;
  #later: readonly Chain[] = [];
  #writes: Promise<void> = Promise.resolve();

  private constructor(file: string, owner: JournalOwner) {
    this.#file = file;
    this.owner = owner;
  }

  /** The journal of this VMI: what is on disk, or a new one. */
  static async open(dir: string, owner: JournalOwner): Promise<Journal> {
    const known = await Journal.load(dir, owner.uid);
    if (known) return known;
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const journal = new Journal(fileOf(dir, owner.uid), owner);
    // Step arguments can hold a guest's secrets.
    await writeFile(journal.#file, `${JSON.stringify({ owner })}\n`, { mode: 0o600 });
    return journal;
  }

  static async load(dir: string, uid: string): Promise<Journal | undefined> {
    const file = fileOf(dir, uid);
    const text = await readFile(file, 'utf8').catch(() => '');
    // A crash can leave the last line unfinished: what it says was not done yet, and what comes next needs a line of its own.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    if (whole !== text) await truncate(file, Buffer.byteLength(whole));
    const entries = entriesOf(whole);
    const first = entries[0];
    if (!first || !('owner' in first)) return undefined;
    const journal = new Journal(file, first.owner);
    for (const entry of entries) journal.#take(entry);
    return journal;
  }

  static async loadAll(dir: string): Promise<Journal[]> {
    const names = await readdir(dir).catch(() => []);
    const uids = names.filter((name) => name.endsWith('.jsonl')).map((name) => name.slice(0, -'.jsonl'.length));
    const journals = await Promise.all(uids.map((uid) => Journal.load(dir, uid)));
    return journals.filter((journal) => journal !== undefined);
  }

  /** Results of the steps that are applied, by full id. */
  get results(): Record<string, Json> {
    const applied = [...this.#begun.values()].filter((each) => each.applied);
    return Object.fromEntries(applied.map((each) => [each.step.id, each.result ?? null]));
  }

  get guest(): 'none' | 'starting' | 'started' {
    return this.#guest;
  }

  isApplied(id: string): boolean {
    return this.#begun.get(id)?.applied === true;
  }

  /** Everything there is to undo, last first. */
  get toRevert(): readonly Begun[] {
    return [...this.#begun.values()].toReversed();
  }

  begin(step: Step): Promise<void> {
    return this.#write({ begun: step });
  }

  applied(id: string, result: Json | undefined): Promise<void> {
    return this.#write({ applied: id, result: result ?? null });
  }

  reverted(id: string): Promise<void> {
    return this.#write({ reverted: id });
  }

  /** The steps of a later moment of the guest's, as the plan had them that it was started by. */
  later(phase: 'started' | 'stopping'): readonly Chain[] {
    return this.#later.filter((chain) => chain.phase === phase);
  }

  async keepForLater(chains: readonly Chain[]): Promise<void> {
    if (chains.length > 0 || this.#later.length > 0) await this.#write({ later: chains });
  }

  guestIs(guest: 'starting' | 'started'): Promise<void> {
    return this.#write({ guest });
  }

  get ended(): Outcome | undefined {
    return this.#ended;
  }

  end(outcome: Outcome): Promise<void> {
    return this.#write({ ended: outcome });
  }

  async remove(): Promise<void> {
    await rm(this.#file, { force: true });
  }

  #write(entry: Entry): Promise<void> {
    this.#take(entry);
    // One after the other: chains run side by side, lines must not.
    const write = this.#writes.then(() => appendFile(this.#file, `${JSON.stringify(entry)}\n`));
    this.#writes = write.catch(() => undefined);
    return write;
  }

  #take(entry: Entry): void {
    if ('begun' in entry) this.#begun.set(entry.begun.id, { step: entry.begun, applied: false, result: undefined });
    else if ('reverted' in entry) this.#begun.delete(entry.reverted);
    else if ('later' in entry) this.#later = entry.later;
    else if ('guest' in entry) this.#guest = entry.guest;
    else if ('ended' in entry) this.#ended = entry.ended;
    else if ('applied' in entry) {
      const begun = this.#begun.get(entry.applied);
      if (begun) Object.assign(begun, { applied: true, result: entry.result ?? undefined });
    }
  }
}

function fileOf(dir: string, uid: string): string {
  if (!/^[\w-]+$/.test(uid)) throw new TypeError(`"${uid}" is not a uid`);
  return join(dir, `${uid}.jsonl`);
}

function entriesOf(text: string): Entry[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Entry);
}
