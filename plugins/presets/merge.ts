// How presets fill in a VMI's domain: whole sub-structures where the VMI leaves them empty, never one field of them.
import { getPath } from '../../core/index.ts';
import type { Preset } from './kind.ts';

/** A sub-structure that presets may fill, and its parts that count one by one when two are compared. */
interface Mergeable {
  readonly path: readonly string[];
  /** Compared key by key: only keys that both have can disagree. */
  readonly byKey?: boolean;
  /** Keys of it that are filled and compared on their own. */
  readonly apart?: readonly string[];
}

export const MERGEABLE: readonly Mergeable[] = [
  { path: ['resources', 'requests'], byKey: true },
  { path: ['cpu'] },
  { path: ['firmware'] },
  { path: ['clock'], apart: ['timer'] },
  { path: ['clock', 'timer'] },
  { path: ['features'] },
  { path: ['devices', 'watchdog'] },
  { path: ['ioThreadsPolicy'] },
];

export interface Disagreement {
  readonly field: string;
  readonly mine: unknown;
  readonly theirs: unknown;
}

function partOf(domain: unknown, { path, apart = [] }: Mergeable): unknown {
  const value = getPath(domain, path);
  if (apart.length === 0 || typeof value !== 'object' || value === null) return value;
  const rest = Object.entries(value).filter(([key]) => !apart.includes(key));
  return rest.length === 0 ? undefined : Object.fromEntries(rest);
}

/** Equal as data; the order of keys says nothing. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]));
}

/** Where two domains say different things about what presets may fill. */
export function disagreements(theirs: unknown, mine: unknown): Disagreement[] {
  const found: Disagreement[] = [];
  for (const part of MERGEABLE) {
    const left = partOf(theirs, part);
    const right = partOf(mine, part);
    if (left === undefined || right === undefined) continue;
    const field = ['spec.domain', ...part.path].join('.');
    if (!part.byKey) {
      if (!same(left, right)) found.push({ field, mine: right, theirs: left });
      continue;
    }
    for (const key of Object.keys(left as object)) {
      const mineToo = (right as Record<string, unknown>)[key];
      const theirsToo = (left as Record<string, unknown>)[key];
      if (mineToo !== undefined && !same(mineToo, theirsToo)) {
        found.push({ field: `${field}.${key}`, mine: mineToo, theirs: theirsToo });
      }
    }
  }
  return found;
}

export interface Merge {
  /** Paths below spec.domain, and what they get. */
  readonly fill: readonly { readonly path: readonly string[]; readonly value: unknown }[];
  /** Something of the preset holds for the VMI: it was filled in, or was there already. */
  readonly applied: boolean;
  /** What the VMI says otherwise; it wins. */
  readonly overridden: readonly Disagreement[];
}

/** What one preset does to a domain. */
export function merge(preset: Preset['spec']['domain'], domain: unknown): Merge {
  const fill: { path: readonly string[]; value: unknown }[] = [];
  let applied = false;
  for (const part of MERGEABLE) {
    const theirs = partOf(preset, part);
    if (theirs === undefined) continue;
    const mine = partOf(domain, part);
    if (mine !== undefined) {
      if (same(mine, theirs)) applied = true;
      continue;
    }
    applied = true;
    if (part.apart && typeof theirs === 'object') {
      for (const [key, value] of Object.entries(theirs as object)) fill.push({ path: [...part.path, key], value });
    } else fill.push({ path: part.path, value: theirs });
  }
  return { fill, applied, overridden: disagreements(preset, domain) };
}
