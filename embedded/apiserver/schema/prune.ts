// Drops the fields that a schema does not name, and tells which they were.
import { isObject, type JsonObject } from '../json.ts';
import { fieldPath, OBJECT_META_FIELDS, type Resolve, type Schema } from './schema.ts';

/**
 * A copy without unknown fields. `unknown` receives their paths.
 * The top-level metadata is not looked into: ObjectMeta has its own rules.
 */
export function prune(value: JsonObject, schema: Schema, resolve: Resolve, unknown: string[]): JsonObject {
  return pruneObject(value, resolve(schema), resolve, '', unknown, true);
}

function pruneValue(value: unknown, reference: Schema, resolve: Resolve, path: string, unknown: string[]): unknown {
  const schema = resolve(reference);
  // Quantities are strings on the wire, also where a client wrote a number.
  if (schema.format === 'quantity' && typeof value === 'number') return String(value);
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items === undefined) return value;
    return value.map((item, index) => pruneValue(item, items, resolve, fieldPath(path, index), unknown));
  }
  if (!isObject(value)) return value;
  return pruneObject(value, schema, resolve, path, unknown, schema['x-kubernetes-embedded-resource'] === true);
}

function pruneObject(
  value: JsonObject,
  schema: Schema,
  resolve: Resolve,
  path: string,
  unknown: string[],
  isResource: boolean,
): JsonObject {
  const { properties, additionalProperties } = schema;
  const keepAll =
    schema['x-kubernetes-preserve-unknown-fields'] === true ||
    additionalProperties === true ||
    // A schema that says nothing of its content (built-in maps of anything).
    (schema.type === undefined && properties === undefined && additionalProperties === undefined);
  const copy: JsonObject = {};
  for (const [name, item] of Object.entries(value)) {
    const at = fieldPath(path, name);
    if (name === '__proto__') {
      unknown.push(at);
      continue;
    }
    const known = properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (isResource && OBJECT_META_FIELDS.has(name)) copy[name] = item;
    else if (known !== undefined) copy[name] = pruneValue(item, known, resolve, at, unknown);
    else if (isObject(additionalProperties)) {
      copy[name] = pruneValue(item, additionalProperties as Schema, resolve, at, unknown);
    } else if (keepAll) copy[name] = item;
    else unknown.push(at);
  }
  return copy;
}
