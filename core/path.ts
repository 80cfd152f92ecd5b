// Paths into objects: reading, and setting without touching the original.

export type Path = readonly (string | number)[];

/** The value at `path`, or undefined. */
export function getPath(object: unknown, path: Path): unknown {
  let value = object;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Object.hasOwn(value, key) ? (value as Record<string | number, unknown>)[key] : undefined;
  }
  return value;
}

/** A copy of `object` with `value` at `path`; only the containers on the way are copied, missing ones are made. */
export function setPath<T>(object: T, path: Path, value: unknown): T {
  if (path.length === 0) return value as T;
  const [key, ...rest] = path as [string | number, ...(string | number)[]];
  // In a copy every other name is a field like any other.
  if (key === '__proto__') throw new TypeError('path holds __proto__');
  const source: unknown = object ?? (typeof key === 'number' ? [] : {});
  const copy = (Array.isArray(source) ? [...source] : { ...(source as object) }) as Record<string | number, unknown>;
  const next = setPath(Object.hasOwn(copy, key) ? copy[key] : undefined, rest, value);
  if (next === undefined) delete copy[key];
  else copy[key] = next;
  return copy as T;
}

/** `spec.disks[0].name` of ['spec', 'disks', 0, 'name']. */
export function formatPath(path: Path): string {
  let text = '';
  for (const key of path) text += typeof key === 'number' ? `[${key}]` : text === '' ? key : `.${key}`;
  return text;
}

/** ['spec', 'disks', 0, 'name'] of `spec.disks[0].name`. */
export function parsePath(text: string): (string | number)[] {
  return text
    .split(/\.|\[(\d+)\]/)
    .filter((part) => part !== undefined && part !== '')
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}
