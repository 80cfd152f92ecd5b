// Sets of fields in the form of managedFields' fieldsV1: `f:name` for fields, `k:{...}` and `v:...` for list items.
import { asObject, equal, isObject, type JsonObject } from '../json.ts';
import type { Resolve, Schema } from '../schema/schema.ts';

/** A tree of path elements; `.` marks that the element itself is owned beside its children. */
export type FieldSet = { [element: string]: FieldSet };

/** How a list merges: whole, as a set of values, or as a map keyed by some fields of its items. */
export function listKeys(schema: Schema): string[] | 'set' | 'atomic' {
  const type = schema['x-kubernetes-list-type'];
  if (type === 'map') return schema['x-kubernetes-list-map-keys'] ?? [];
  return type === 'set' ? 'set' : 'atomic';
}

export function childSchema(schema: Schema, name: string, resolve: Resolve): Schema {
  const { properties, additionalProperties } = schema;
  if (properties !== undefined && Object.hasOwn(properties, name)) return resolve(properties[name] ?? {});
  return isObject(additionalProperties) ? resolve(additionalProperties as Schema) : {};
}

/** The path element of a list's item. */
export function itemElement(item: unknown, keys: string[] | 'set'): string {
  if (keys === 'set') return `v:${JSON.stringify(item)}`;
  const key = keys.flatMap((name) => {
    const value = asObject(item)[name] ?? (name === 'protocol' ? 'TCP' : undefined);
    return value === undefined ? [] : [[name, value] as const];
  });
  return `k:${JSON.stringify(Object.fromEntries(key))}`;
}

function isAtomic(schema: Schema): boolean {
  return schema['x-kubernetes-map-type'] === 'atomic';
}

/** The fields that an object sets. */
export function fieldsOf(value: unknown, schema: Schema, resolve: Resolve): FieldSet {
  if (isObject(value) && !isAtomic(schema)) {
    const set: FieldSet = {};
    for (const [name, item] of Object.entries(value)) {
      set[`f:${name}`] = fieldsOf(item, childSchema(schema, name, resolve), resolve);
    }
    return set;
  }
  const keys = listKeys(schema);
  if (!Array.isArray(value) || keys === 'atomic') return {};
  const set: FieldSet = {};
  const items = resolve(schema.items ?? {});
  for (const item of value as unknown[]) {
    const fields = keys === 'set' ? {} : fieldsOf(item, items, resolve);
    set[itemElement(item, keys)] = keys === 'set' ? {} : { '.': {}, ...fields };
  }
  return set;
}

export function isEmpty(set: FieldSet): boolean {
  return Object.keys(set).length === 0;
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  const result = { ...a };
  for (const [element, child] of Object.entries(b)) result[element] = union(result[element] ?? {}, child);
  return result;
}

/** What is in `a` and not in `b`; undefined where nothing is left. Only leaves count. */
export function subtract(a: FieldSet, b: FieldSet): FieldSet {
  const result: FieldSet = {};
  for (const [element, child] of Object.entries(a)) {
    const other = b[element];
    if (other === undefined) result[element] = child;
    else if (!isEmpty(child)) {
      const left = subtract(child, other);
      if (!isEmpty(left)) result[element] = left;
    }
  }
  return result;
}

/** Leaves that both sets hold; an element that is a leaf in one meets everything below it in the other. */
export function intersect(a: FieldSet, b: FieldSet): FieldSet {
  const result: FieldSet = {};
  for (const [element, child] of Object.entries(a)) {
    const other = b[element];
    if (other === undefined) continue;
    if (isEmpty(child) || isEmpty(other)) result[element] = {};
    else {
      const both = intersect(child, other);
      if (!isEmpty(both)) result[element] = both;
    }
  }
  return result;
}

/** The leaves in which two objects differ: what a writer changed, added or (in `a` only) removed. */
export function changedFields(a: unknown, b: unknown, schema: Schema, resolve: Resolve): FieldSet {
  if (equal(a, b)) return {};
  const [left, right] = [elements(a, schema, resolve), elements(b, schema, resolve)];
  const set: FieldSet = {};
  if (left === undefined || right === undefined)
    return right === undefined ? { '.': {} } : fieldsOf(b, schema, resolve);
  for (const [element, item] of right) {
    const old = left.get(element);
    if (old === undefined) {
      const fields = fieldsOf(item.value, item.schema, resolve);
      set[element] = element.startsWith('k:') ? { '.': {}, ...fields } : fields;
    } else if (!equal(old.value, item.value)) {
      const inner = changedFields(old.value, item.value, item.schema, resolve);
      set[element] = isEmpty(subtract(inner, { '.': {} })) && '.' in inner ? {} : inner;
    }
  }
  return set;
}

interface Element {
  value: unknown;
  schema: Schema;
}

/** The parts of a value that can be owned apart; undefined where it is owned whole. */
export function elements(value: unknown, schema: Schema, resolve: Resolve): Map<string, Element> | undefined {
  if (isObject(value)) {
    if (isAtomic(schema)) return undefined;
    const parts = Object.entries(value);
    return new Map(
      parts.map(([name, item]) => [`f:${name}`, { value: item, schema: childSchema(schema, name, resolve) }]),
    );
  }
  const keys = listKeys(schema);
  if (!Array.isArray(value) || keys === 'atomic') return undefined;
  const items = resolve(schema.items ?? {});
  return new Map((value as unknown[]).map((item) => [itemElement(item, keys), { value: item, schema: items }]));
}

/** The dotted path of the first leaf, as conflicts name it: `.spec.containers[name="a"].image`. */
export function paths(set: FieldSet, base = ''): string[] {
  return Object.entries(set).flatMap(([element, child]) => {
    if (element === '.') return [];
    const at = base + shown(element);
    return isEmpty(child) ? [at] : paths(child, at);
  });
}

function shown(element: string): string {
  if (element.startsWith('f:')) return `.${element.slice(2)}`;
  if (element.startsWith('v:')) return `[=${element.slice(2)}]`;
  const key = JSON.parse(element.slice(2)) as JsonObject;
  const pairs = Object.entries(key).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `[${pairs.join(',')}]`;
}
