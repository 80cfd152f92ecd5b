// Small steps through plain JSON: guards, paths, deep equality.
import { isDeepStrictEqual } from 'node:util';

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as an object; anything else reads as an empty one. */
export function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

export function asString(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function asStrings(value: unknown): string[] {
  return asArray(value).filter((item): item is string => typeof item === 'string');
}

/** The value at a dotted path (`spec.nodeName`), undefined where there is none. */
export function at(value: unknown, path: string): unknown {
  let current = value;
  for (const step of path.split('.')) {
    if (!isObject(current)) return undefined;
    current = current[step];
  }
  return current;
}

export function equal(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(a, b);
}

/** A copy without some of its (optional) fields. */
export function without<T extends object>(object: T, ...names: string[]): T {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name))) as T;
}

/** A copy with `value` at a dotted path; objects on the way are copied or made, undefined removes. */
export function withAt(object: JsonObject, path: string[], value: unknown): JsonObject {
  const [step, ...rest] = path;
  if (step === undefined) return asObject(value);
  const copy = { ...object };
  if (rest.length > 0) copy[step] = withAt(asObject(object[step]), rest, value);
  else if (value === undefined) Reflect.deleteProperty(copy, step);
  else copy[step] = value;
  return copy;
}
