// The launcher pod under construction: contributions merge, every field is signed, clashes name both sides.
import { fail } from './errors.ts';
import type { Owner } from './types.ts';

export type PodPart = { [key: string]: unknown };

/** What identifies an item of a list, tried in this order; lists of anything else are sets. */
const LIST_KEYS = ['name', 'mountPath', 'devicePath', 'containerPort'] as const;

/** Lists whose order and repeats mean something: one tap sets them whole. */
const ATOMIC = new Set(['command', 'args']);

function isObject(value: unknown): value is PodPart {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function keyOf(item: unknown): string | undefined {
  if (!isObject(item)) return undefined;
  // A mount's name is its volume's, which several mounts share.
  if (typeof item['mountPath'] === 'string') return `mountPath=${item['mountPath']}`;
  for (const key of LIST_KEYS) {
    const value = item[key];
    if (typeof value === 'string' || typeof value === 'number') return `${key}=${value}`;
  }
  return undefined;
}

/** A pod and the tap behind each of its leaves, by path (`spec.containers[name=compute].image`). */
export class PodTree {
  readonly value: PodPart = {};
  readonly owners = new Map<string, Owner>();
}

/** A writer on the pod, bound to one tap. */
export class PodDraft {
  readonly tree: PodTree;
  readonly #by: Owner;

  constructor(tree: PodTree, by: Owner) {
    this.tree = tree;
    this.#by = by;
  }

  /**
   * Merges a part of a pod: objects field by field, lists by the items' name (mounts by mountPath), other lists as sets.
   * Throws VL_CONFLICT where another tap set a leaf to another value.
   */
  merge(part: PodPart): void {
    this.#object(this.tree.value, part, '');
  }

  /** Merges a part of the `compute` container. */
  compute(part: PodPart): void {
    this.merge({ spec: { containers: [{ name: 'compute', ...part }] } });
  }

  #object(target: PodPart, source: PodPart, path: string): void {
    for (const key in source) {
      const value = source[key];
      if (value === undefined) continue;
      const at = path === '' ? key : `${path}.${key}`;
      if (Array.isArray(value) && ATOMIC.has(key)) {
        const old = target[key];
        if (old !== undefined && JSON.stringify(old) !== JSON.stringify(value)) this.#clash(at, old, value);
        if (old === undefined) this.tree.owners.set(at, this.#by);
        target[key] = [...value];
      } else if (Array.isArray(value)) {
        const list = target[key];
        if (list === undefined) this.#list((target[key] = []) as unknown[], value, at);
        else if (Array.isArray(list)) this.#list(list, value, at);
        else this.#clash(at, list, value);
      } else if (isObject(value)) {
        const old = target[key];
        if (old === undefined) this.#object((target[key] = {}) as PodPart, value, at);
        else if (isObject(old)) this.#object(old, value, at);
        else this.#clash(at, old, value);
      } else if (target[key] === undefined) {
        target[key] = value;
        this.tree.owners.set(at, this.#by);
      } else if (target[key] !== value) {
        this.#clash(at, target[key], value);
      }
    }
  }

  #list(target: unknown[], source: unknown[], path: string): void {
    for (const item of source) {
      const key = keyOf(item);
      if (key === undefined || !isObject(item)) {
        const text = JSON.stringify(item);
        if (target.some((old) => JSON.stringify(old) === text)) continue;
        this.tree.owners.set(`${path}[${target.length}]`, this.#by);
        target.push(isObject(item) ? structuredClone(item) : item);
        continue;
      }
      let twin = target.find((old): old is PodPart => isObject(old) && keyOf(old) === key);
      if (!twin) target.push((twin = {}));
      this.#object(twin, item, `${path}[${key}]`);
    }
  }

  #clash(path: string, old: unknown, value: unknown): never {
    throw fail('VL_CONFLICT', {
      where: `pod ${path}`,
      first: this.tree.owners.get(path)?.plugin ?? 'another plugin',
      old: JSON.stringify(old),
      second: this.#by.plugin,
      new: JSON.stringify(value),
    });
  }
}
