// Fills in the defaults that a schema names, and takes out nulls that stand for them.
import { isObject, type JsonObject } from '../json.ts';
import type { Resolve, Schema } from './schema.ts';

/** A copy with defaults; parts without any are shared with the input. */
export function applyDefaults(value: JsonObject, schema: Schema, resolve: Resolve): JsonObject {
  if (!hasDefaults(schema, resolve)) return value;
  return defaultObject(value, resolve(schema), resolve);
}

function defaultValue(value: unknown, reference: Schema, resolve: Resolve): unknown {
  if (!hasDefaults(reference, resolve)) return value;
  const schema = resolve(reference);
  if (Array.isArray(value)) {
    const { items } = schema;
    return items === undefined ? value : value.map((item) => defaultValue(item, items, resolve));
  }
  return isObject(value) ? defaultObject(value, schema, resolve) : value;
}

function defaultObject(value: JsonObject, schema: Schema, resolve: Resolve): JsonObject {
  const copy: JsonObject = { ...value };
  const properties = schema.properties ?? {};
  for (const [name, reference] of Object.entries(properties)) {
    const property = resolve(reference);
    if (property.default !== undefined) {
      const absent = !Object.hasOwn(copy, name) || (copy[name] === null && property.nullable !== true);
      if (absent) copy[name] = structuredClone(property.default);
    }
    if (Object.hasOwn(copy, name)) copy[name] = defaultValue(copy[name], property, resolve);
  }
  if (isObject(schema.additionalProperties)) {
    for (const [name, item] of Object.entries(copy)) {
      if (!Object.hasOwn(properties, name)) {
        copy[name] = defaultValue(item, schema.additionalProperties as Schema, resolve);
      }
    }
  }
  return copy;
}

const known = new WeakMap<Schema, boolean>();

/** Whether there is a default anywhere below: most of a big schema has none and need not be walked. */
function hasDefaults(reference: Schema, resolve: Resolve): boolean {
  const schema = resolve(reference);
  const answer = known.get(schema);
  if (answer !== undefined) return answer;
  known.set(schema, false); // a schema that contains itself adds nothing by doing so
  const parts = [...Object.values(schema.properties ?? {})];
  if (schema.items !== undefined) parts.push(schema.items);
  if (isObject(schema.additionalProperties)) parts.push(schema.additionalProperties as Schema);
  const found = parts.some((part) => resolve(part).default !== undefined || hasDefaults(part, resolve));
  known.set(schema, found);
  return found;
}
