// Strategic merge patch: a merge patch that knows which lists merge by a key, with $patch, $retainKeys and the like.
import { asArray, asObject, equal, isObject, type JsonObject } from '../json.ts';
import type { Resolve, Schema } from '../schema/schema.ts';
import { badRequest } from '../status.ts';

const DELETE_FROM = '$deleteFromPrimitiveList/';
const ORDER = '$setElementOrder/';

/** @param schema tells merge keys (`x-kubernetes-patch-merge-key`) and strategies of the lists below. */
export function strategicMerge(target: JsonObject, patch: JsonObject, schema: Schema, resolve: Resolve): JsonObject {
  return mergeObject(target, patch, resolve(schema), resolve);
}

function mergeObject(target: JsonObject, patch: JsonObject, schema: Schema, resolve: Resolve): JsonObject {
  const directive = patch['$patch'];
  if (directive === 'replace') return plain(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') {
    throw badRequest(`unrecognized $patch directive: ${JSON.stringify(directive)}`);
  }
  let result: JsonObject = { ...target };
  if (Array.isArray(patch['$retainKeys'])) {
    const keep = new Set(patch['$retainKeys'] as unknown[]);
    result = Object.fromEntries(Object.entries(result).filter(([name]) => keep.has(name)));
  }
  for (const [name, value] of Object.entries(patch)) {
    if (name === '__proto__' || name === '$patch' || name === '$retainKeys' || name.startsWith(ORDER)) continue;
    if (name.startsWith(DELETE_FROM)) {
      const field = name.slice(DELETE_FROM.length);
      const gone = asArray(value);
      result[field] = asArray(result[field]).filter((item) => !gone.some((each) => equal(each, item)));
      continue;
    }
    const property = propertyOf(schema, name, resolve);
    if (value === null) Reflect.deleteProperty(result, name);
    else if (Array.isArray(value)) result[name] = mergeList(result[name], value as unknown[], property, resolve);
    else if (isObject(value)) result[name] = mergeObject(asObject(result[name]), value, property, resolve);
    else result[name] = value;
  }
  for (const [name, order] of Object.entries(patch)) {
    if (!name.startsWith(ORDER)) continue;
    const field = name.slice(ORDER.length);
    const key = propertyOf(schema, field, resolve)['x-kubernetes-patch-merge-key'];
    if (Array.isArray(result[field])) result[field] = inOrder(result[field] as unknown[], asArray(order), key);
  }
  return result;
}

function propertyOf(schema: Schema, name: string, resolve: Resolve): Schema {
  const { properties, additionalProperties } = schema;
  if (properties !== undefined && Object.hasOwn(properties, name)) return resolve(properties[name] ?? {});
  return isObject(additionalProperties) ? resolve(additionalProperties as Schema) : {};
}

function mergeList(target: unknown, patch: unknown[], schema: Schema, resolve: Resolve): unknown[] {
  if (!(schema['x-kubernetes-patch-strategy'] ?? '').includes('merge')) return patch.map(withoutDirectives);
  const key = schema['x-kubernetes-patch-merge-key'];
  const list = [...asArray(target)];
  if (key === undefined) {
    for (const item of patch) if (!list.some((each) => equal(each, item))) list.push(item);
    return list;
  }
  if (patch.some((item) => asObject(item)['$patch'] === 'replace')) {
    return patch.filter((item) => asObject(item)['$patch'] === undefined).map(withoutDirectives);
  }
  const items = resolve(schema.items ?? {});
  for (const item of patch) {
    if (!isObject(item)) throw badRequest(`a list that merges by ${key} holds objects, not ${JSON.stringify(item)}`);
    const id = item[key];
    if (id === undefined) throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const index = list.findIndex((each) => equal(asObject(each)[key], id));
    if (item['$patch'] === 'delete') {
      if (index >= 0) list.splice(index, 1);
    } else if (index >= 0) list[index] = mergeObject(asObject(list[index]), item, items, resolve);
    else list.push(mergeObject({}, item, items, resolve));
  }
  return list;
}

/** Items named by `order` in its order; others keep their place behind the item they followed. */
function inOrder(list: unknown[], order: unknown[], key: string | undefined): unknown[] {
  const idOf = (item: unknown): unknown => (key === undefined ? item : asObject(item)[key]);
  const rank = (item: unknown): number => order.findIndex((each) => equal(idOf(each), idOf(item)));
  const ordered = list.filter((item) => rank(item) >= 0).sort((a, b) => rank(a) - rank(b));
  const result = [...ordered];
  list.forEach((item, index) => {
    if (rank(item) >= 0) return;
    const before = list.slice(0, index).findLast((each) => result.includes(each));
    result.splice(before === undefined ? 0 : result.indexOf(before) + 1, 0, item);
  });
  return result;
}

function plain(patch: JsonObject): JsonObject {
  const kept = Object.entries(patch).filter(([name]) => name !== '$patch');
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutDirectives(value)]));
}

function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives);
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([name, item]) => !name.startsWith('$') && item !== null);
  return Object.fromEntries(kept.map(([name, item]) => [name, withoutDirectives(item)]));
}
