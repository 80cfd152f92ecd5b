// The launcher pod under construction: contributions merge, every field is signed, clashes name both sides.
import { fail, type VirtloomError } from './errors.ts';
import { into, type Scope } from './scope.ts';
import type { Owner } from './types.ts';

export type PodPart = { [key: string]: unknown };

/** What identifies an item of a list, tried in this order: mounts share their volume's name. Lists of anything else are sets. */
const LIST_KEYS = ['mountPath', 'name', 'devicePath', 'containerPort'] as const;

/** Lists whose order and repeats mean something: one tap sets them whole. */
const ATOMIC = new Set(['command', 'args']);

function isObject(value: unknown): value is PodPart {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The key that identifies an item of a list, if one does. */
function keyOf(item: PodPart): string | undefined {
  for (const key of LIST_KEYS) {
    const value = item[key];
    if (typeof value === 'string' || typeof value === 'number') return key;
  }
  return undefined;
}

/** The path of `key` in the object or list `value`; items of lists by what identifies them. */
function pathBelow(path: string, value: unknown, key: string): string {
  if (!Array.isArray(value)) return path === '' ? key : `${path}.${key}`;
  const item: unknown = value[Number(key)];
  const identity = isObject(item) ? keyOf(item) : undefined;
  return identity === undefined ? `${path}[${key}]` : `${path}[${identity}=${String((item as PodPart)[identity])}]`;
}

/** Who set what in one object or list: leaves by key, and the same again for what is nested. Grows beside the value. */
class Signatures {
  readonly leaves: Record<string, Owner> = {};
  readonly nested: Record<string, Signatures> = {};

  below(key: string): Signatures {
    return (this.nested[key] ??= new Signatures());
  }

  copy(): Signatures {
    const copy = new Signatures();
    Object.assign(copy.leaves, this.leaves);
    for (const key in this.nested) copy.nested[key] = (this.nested[key] as Signatures).copy();
    return copy;
  }

  /** Visits this and all that is nested, each with the path and the value it belongs to. */
  visit(path: string, value: unknown, see: (signatures: Signatures, path: string, value: unknown) => void): void {
    see(this, path, value);
    for (const key in this.nested) {
      this.nested[key]?.visit(pathBelow(path, value, key), (value as Record<string, unknown>)[key], see);
    }
  }
}

/** A pod and the tap behind each of its leaves. */
export class PodTree {
  readonly value: PodPart;
  readonly signatures: Signatures;

  constructor(value: PodPart = {}, signatures = new Signatures()) {
    this.value = value;
    this.signatures = signatures;
  }

  copy(): PodTree {
    return new PodTree(structuredClone(this.value), this.signatures.copy());
  }

  /** Every leaf with its path, e.g. `spec.containers[name=compute].image`, and who set it. */
  get leaves(): { readonly path: string; readonly value: unknown; readonly by: Owner }[] {
    const all: { path: string; value: unknown; by: Owner }[] = [];
    this.signatures.visit('', this.value, ({ leaves }, path, parent) => {
      for (const key in leaves) {
        const value = (parent as Record<string, unknown>)[key];
        all.push({ path: pathBelow(path, parent, key), value, by: leaves[key] as Owner });
      }
    });
    return all;
  }

  /** By path. */
  get owners(): Map<string, Owner> {
    return new Map(this.leaves.map(({ path, by }) => [path, by]));
  }
}

/** A writer on the pod, bound to one tap. */
export class PodDraft {
  readonly #tree: PodTree;
  readonly #by: Owner;
  readonly #scope: Scope;

  constructor(tree: PodTree, by: Owner, scope: Scope) {
    this.#tree = tree;
    this.#by = by;
    this.#scope = scope;
  }

  /** The same draft for somebody else to write with. */
  signedBy(by: Owner): PodDraft {
    return new PodDraft(this.#tree, by, this.#scope);
  }

  /**
   * Merges a part of a pod: objects field by field, lists by the items' name (mounts by mountPath), other lists as sets;
   * `command` and `args` whole. Throws VL_CONFLICT where another tap set a leaf to another value, VL_WRITE_UNDECLARED
   * where the plugin may not write.
   */
  merge(part: PodPart): void {
    this.#object(this.#tree.value, part, this.#tree.signatures, this.#scope);
  }

  /** Merges a part of the `compute` container. */
  compute(part: PodPart): void {
    this.merge({ spec: { containers: [{ name: 'compute', ...part }] } });
  }

  #object(target: PodPart, source: PodPart, signatures: Signatures, scope: Scope): void {
    for (const key in source) {
      const value = source[key];
      if (value === undefined) continue;
      // A label may be called `constructor`: what every object has by itself was set by nobody.
      const old = typeof target[key] === 'function' ? undefined : target[key];
      const here = into(scope, key);
      if (typeof value !== 'object' || value === null) {
        if (old === undefined) {
          if (here?.whole !== true) throw this.#undeclared(signatures, `.${key}`);
          target[key] = value;
          signatures.leaves[key] = this.#by;
        } else if (old !== value) this.#clash(signatures, key, old, value);
        continue;
      }
      if (!here) throw this.#undeclared(signatures, `.${key}`);
      if (!Array.isArray(value)) {
        if (old !== undefined && !isObject(old)) this.#clash(signatures, key, old, value);
        this.#object((old ?? (target[key] = {})) as PodPart, value as PodPart, signatures.below(key), here);
      } else if (ATOMIC.has(key)) {
        if (old !== undefined && JSON.stringify(old) !== JSON.stringify(value))
          this.#clash(signatures, key, old, value);
        if (old === undefined) {
          if (!here.whole) throw this.#undeclared(signatures, `.${key}`);
          signatures.leaves[key] = this.#by;
        }
        target[key] = [...(value as unknown[])];
      } else {
        if (old !== undefined && !Array.isArray(old)) this.#clash(signatures, key, old, value);
        this.#list((old ?? (target[key] = [])) as unknown[], value, signatures.below(key), here);
      }
    }
  }

  #list(target: unknown[], source: readonly unknown[], signatures: Signatures, scope: Scope): void {
    for (const item of source) {
      const key = isObject(item) ? keyOf(item) : undefined;
      if (key === undefined || !isObject(item)) {
        const text = JSON.stringify(item);
        if (target.some((old) => JSON.stringify(old) === text)) continue;
        if (!scope.whole) throw this.#undeclared(signatures, `[${target.length}]`);
        signatures.leaves[target.length] = this.#by;
        target.push(isObject(item) ? structuredClone(item) : item);
        continue;
      }
      const identity = item[key];
      const here = into(scope, String(identity));
      let index = target.findIndex((old) => isObject(old) && old[key] === identity && keyOf(old) === key);
      if (!here) throw this.#undeclared(signatures, `[${String(identity)}]`);
      if (index < 0) {
        index = target.push({ [key]: identity }) - 1;
        signatures.below(String(index)).leaves[key] = this.#by;
      }
      this.#object(target[index] as PodPart, item, signatures.below(String(index)), here);
    }
  }

  /** `leaf`: `.name` in an object, `[name]` in a list. */
  #undeclared(signatures: Signatures, leaf: string): VirtloomError {
    const where = `${this.#placeOf(signatures).path}${leaf}`.replace(/^\./, '');
    return fail('VL_WRITE_UNDECLARED', { where: `pod ${where}`, plugin: this.#by.plugin });
  }

  #clash(signatures: Signatures, key: string, old: unknown, value: unknown): never {
    const { path, value: parent } = this.#placeOf(signatures);
    throw fail('VL_CONFLICT', {
      where: `pod ${pathBelow(path, parent, key)}`,
      first: signatures.leaves[key]?.plugin ?? 'another plugin',
      old: JSON.stringify(old),
      second: this.#by.plugin,
      new: JSON.stringify(value),
    });
  }

  /** Searched for only when there is something to complain about. */
  #placeOf(wanted: Signatures): { path: string; value: unknown } {
    let found: { path: string; value: unknown } = { path: '', value: undefined };
    this.#tree.signatures.visit('', this.#tree.value, (at, path, value) => {
      if (at === wanted) found = { path, value };
    });
    return found;
  }
}
