// Which fields of the manifest a tap looked at before each thing it wrote. For provenance: plans that only work do without.
import { DomainDraft, ElementDraft } from './domain/draft.ts';
import { textOf } from './flat-plan.ts';
import type { PlanDraft, PrepareInput } from './plugin.ts';
import { PodDraft } from './pod.ts';
import type { Owner, Vmi } from './types.ts';

/** Fields and their values, as lines have values. */
type Fields = Map<string, { readonly text: string; readonly isText: boolean }>;

/** What a write goes back to: the fields read since the write before it, and all that the tap had read. */
interface Reads {
  readonly near: Fields;
  readonly all: Fields;
}

/** As many fields as one line names. */
const NAMED = 3;
/** Fewer parts of a path than this say only where everything is. */
const TELLING_DEPTH = 3;
/** A value this short stands in many fields by chance. */
const TELLING_LENGTH = 4;

/** Pass it to plan() with its own VMI; then it knows the field behind what prepareDomain taps wrote. */
export class Trace {
  /** The VMI, told apart from the given one only by who sees what is read of it. */
  readonly vmi: Vmi;
  #near: Fields = new Map();
  #all: Fields = new Map();
  readonly #reads = new WeakMap<Owner, Reads>();

  constructor(vmi: Vmi) {
    this.vmi = watched(vmi, '', (path, value) => {
      this.#near.set(path, value);
      this.#all.set(path, value);
    });
  }

  /** A tap's turn, each of whose writes has a signature of its own. */
  turn(turn: PrepareInput & PlanDraft, owner: Owner): PrepareInput & PlanDraft {
    this.#near = new Map();
    this.#all = new Map();
    const sign = (method: string | symbol): Owner => this.#sign(owner, method);
    return new Proxy(turn, {
      get(target, key) {
        const member: unknown = Reflect.get(target, key, target);
        if (member instanceof DomainDraft || member instanceof PodDraft) return signing(member, sign);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      },
    });
  }

  #sign(owner: Owner, method: string | symbol): Owner {
    const signature = { ...owner };
    this.#reads.set(signature, { near: this.#near, all: new Map(this.#all) });
    // Who looks for a place to write to has not written yet.
    if (method !== 'at' && method !== 'find') this.#near = new Map();
    return signature;
  }

  /**
   * The field behind what `by` wrote at `path`: one of that name or of that very value, if the tap had read it, else
   * what it read just before.
   */
  fieldOf(by: Owner, path: string, value: string): string | undefined {
    const reads = this.#reads.get(by);
    if (!reads) return by.field;
    const equal = [...reads.all].filter(([, { text }]) => text === value);
    const name = lastOf(path);
    const namesakes = equal.map(([field]) => field).filter((field) => lastOf(field) === name);
    const near = namesakes.filter((field) => reads.near.has(field));
    if (namesakes.length > 0) return together(near.length > 0 ? near : namesakes);
    const telling = equal.filter(([, { text, isText }]) => isText && text.length >= TELLING_LENGTH);
    if (telling.length === 1) return telling[0]?.[0];
    return together([...reads.near.keys()]);
  }
}

/** A copy of which every leaf that is read is told. */
function watched<T>(value: T, path: string, tell: (...field: Parameters<Fields['set']>) => void): T {
  const copy = (Array.isArray(value) ? [] : {}) as T;
  for (const [key, item] of Object.entries(value as object) as [string, unknown][]) {
    const here = Array.isArray(value) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`;
    if (typeof item === 'object' && item !== null && Object.keys(item).length > 0) {
      Object.defineProperty(copy, key, { value: watched(item, here, tell), enumerable: true, configurable: true });
      continue;
    }
    const said = { text: textOf(item), isText: typeof item === 'string' };
    const get = (): unknown => {
      tell(here, said);
      return item;
    };
    Object.defineProperty(copy, key, { get, enumerable: true, configurable: true });
  }
  return copy;
}

type Draft = DomainDraft | ElementDraft | PodDraft;

/** The draft, each of whose methods signs anew. */
function signing<T extends Draft>(draft: T, sign: (method: string | symbol) => Owner): T {
  return new Proxy(draft, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]): unknown => {
        const made: unknown = (member as (...args: unknown[]) => unknown).apply(target.signedBy(sign(key)), args);
        return made instanceof ElementDraft ? signing(made, sign) : made;
      };
    },
  });
}

/** The name at the end of a path, without an attribute's sign. */
function lastOf(path: string): string | undefined {
  return /[^./@[\]]+\]?$/.exec(path)?.[0].toLowerCase();
}

/** One text for fields: what they have in common, or all of them if they are few; nothing where it would say nothing. */
function together(fields: readonly string[]): string | undefined {
  const [first, ...others] = fields;
  if (first === undefined || others.length === 0) return first;
  const parts = first.split(/(?=[.[])/);
  let common = parts.length;
  for (const other of others.map((field) => field.split(/(?=[.[])/))) {
    common = Math.min(common, parts.findIndex((part, index) => part !== other[index]) >>> 0);
  }
  if (common >= TELLING_DEPTH) return parts.slice(0, common).join('');
  return fields.length <= NAMED ? fields.join(', ') : undefined;
}
