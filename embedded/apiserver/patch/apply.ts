// Server-side apply: merges an applied configuration into the live object and keeps the books of who owns which field.
import { asArray, asObject, asString, equal, isObject, type JsonObject, without } from '../json.ts';
import type { Resolve, Schema } from '../schema/schema.ts';
import { ApiError } from '../status.ts';
import {
  changedFields,
  childSchema,
  elements,
  type FieldSet,
  fieldsOf,
  intersect,
  isEmpty,
  itemElement,
  listKeys,
  paths,
  subtract,
  union,
} from './field-set.ts';

/** An entry of metadata.managedFields. */
export interface Manager {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  time: string;
  fieldsType: 'FieldsV1';
  fieldsV1: FieldSet;
  subresource?: string;
}

export interface ApplyRequest {
  manager: string;
  force: boolean;
  subresource: string;
  apiVersion: string;
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const KUBECTL = 'kubectl';

/** Fields nobody owns: the identity of the object and what the server itself keeps. */
const UNOWNED: FieldSet = {
  'f:apiVersion': {},
  'f:kind': {},
  'f:metadata': Object.fromEntries(
    [
      ...['name', 'namespace', 'uid', 'resourceVersion', 'generation', 'creationTimestamp', 'selfLink'],
      ...['deletionTimestamp', 'deletionGracePeriodSeconds', 'managedFields', 'generateName'],
    ].map((name) => [`f:${name}`, {}]),
  ),
};

const METADATA: Schema = {
  properties: {
    finalizers: { 'x-kubernetes-list-type': 'set' },
    ownerReferences: { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['uid'] },
  },
};

/** The schema that merging goes by: the kind's own, with metadata that CRDs leave out. */
function mergeSchema(schema: Schema, resolve: Resolve): Schema {
  const root = resolve(schema);
  return { ...root, properties: { ...root.properties, metadata: METADATA } };
}

/**
 * The live object after an apply. Fields that this manager applied before and no longer names go, unless somebody
 * else owns them too.
 * @throws 409 with a cause a field where another manager owns a field with another value, unless forced.
 */
export function serverSideApply(
  live: JsonObject,
  applied: JsonObject,
  kindSchema: Schema,
  resolve: Resolve,
  request: ApplyRequest,
): JsonObject {
  const schema = mergeSchema(kindSchema, resolve);
  const managers = managersOf(live, schema, resolve);
  const isMine = (entry: Manager): boolean =>
    entry.manager === request.manager &&
    entry.operation === 'Apply' &&
    (entry.subresource ?? '') === request.subresource;
  const mine = managers.find(isMine);
  let others = managers.filter((entry) => !isMine(entry));
  const wanted = subtract(fieldsOf(applied, schema, resolve), UNOWNED);

  const differing = subtract(
    changedFields(live, mergeValues(live, applied, schema, resolve), schema, resolve),
    UNOWNED,
  );
  const contested = intersect(wanted, differing);
  const forgiven = request.manager === KUBECTL ? lastApplied(live, schema, resolve) : {};
  const conflicts = others.flatMap((entry) => {
    const both = intersect(entry.fieldsV1, contested);
    const real = entry.operation === 'Update' ? subtract(both, forgiven) : both;
    return paths(real).map((path) => ({ entry, path }));
  });
  if (conflicts.length > 0 && !request.force) throw conflictOf(conflicts);
  others = others.map((entry) => ({ ...entry, fieldsV1: subtract(entry.fieldsV1, contested) }));

  const merged = asObject(mergeValues(live, applied, schema, resolve));
  const dropped = others.reduce(
    (left, entry) => subtract(left, entry.fieldsV1),
    subtract(mine?.fieldsV1 ?? {}, wanted),
  );
  const kept = others.reduce((all, entry) => union(all, entry.fieldsV1), wanted);
  const result = asObject(remove(merged, dropped, kept, schema, resolve));
  const entry: Manager = {
    manager: request.manager,
    operation: 'Apply',
    apiVersion: request.apiVersion,
    time: mine !== undefined && equal(mine.fieldsV1, wanted) ? mine.time : now(),
    fieldsType: 'FieldsV1',
    fieldsV1: wanted,
    ...(request.subresource === '' ? {} : { subresource: request.subresource }),
  };
  return withManagers(result, [entry, ...others]);
}

/**
 * Books a change made without apply: its writer owns what it changed. Objects that nobody ever applied keep no books
 * (the first apply then takes everything as set before it), so ordinary writes cost nothing.
 */
export function trackUpdate(
  old: JsonObject,
  updated: JsonObject,
  kindSchema: Schema,
  resolve: Resolve,
  request: Omit<ApplyRequest, 'force'>,
): JsonObject {
  const recorded = asArray(asObject(old['metadata'])['managedFields']);
  if (recorded.length === 0) return updated;
  // An empty list is a client's wish to forget who owns what.
  const sent = asObject(updated['metadata'])['managedFields'];
  if (Array.isArray(sent) && (sent.length === 0 || equal(sent, [{}]))) return withManagers(updated, []);
  const schema = mergeSchema(kindSchema, resolve);
  const changed = subtract(changedFields(old, updated, schema, resolve), UNOWNED);
  const gone = subtract(fieldsOf(old, schema, resolve), fieldsOf(updated, schema, resolve));
  const managers = managersOf({ ...updated, metadata: { managedFields: sent ?? recorded } }, schema, resolve);
  if (isEmpty(changed) && isEmpty(gone)) return withManagers(updated, managers);
  const isMine = (entry: Manager): boolean =>
    entry.manager === request.manager &&
    entry.operation === 'Update' &&
    (entry.subresource ?? '') === request.subresource;
  const lost = union(changed, gone);
  const others = managers
    .filter((entry) => !isMine(entry))
    .map((entry) => ({ ...entry, fieldsV1: subtract(entry.fieldsV1, lost) }));
  const mine = union(subtract(managers.find(isMine)?.fieldsV1 ?? {}, gone), changed);
  const entry: Manager = {
    ...{ manager: request.manager, operation: 'Update', apiVersion: request.apiVersion, time: now() },
    ...{ fieldsType: 'FieldsV1', fieldsV1: mine },
    ...(request.subresource === '' ? {} : { subresource: request.subresource }),
  };
  return withManagers(updated, [...others, entry]);
}

function managersOf(live: JsonObject, schema: Schema, resolve: Resolve): Manager[] {
  const recorded = asArray(asObject(live['metadata'])['managedFields']) as Manager[];
  if (recorded.length > 0 || live['metadata'] === undefined) return recorded;
  const fields = subtract(fieldsOf(live, schema, resolve), UNOWNED);
  if (isEmpty(fields) || asObject(live['metadata'])['uid'] === undefined) return [];
  // What kubectl's client-side apply set is its own; everything else was simply there before.
  const applied = intersect(lastApplied(live, schema, resolve), fields);
  const shared = { operation: 'Update', fieldsType: 'FieldsV1', apiVersion: asString(live['apiVersion']) } as const;
  const managers: Manager[] = [
    { ...shared, manager: 'kubectl-client-side-apply', time: now(), fieldsV1: applied },
    { ...shared, manager: 'before-first-apply', time: now(), fieldsV1: subtract(fields, applied) },
  ];
  return managers.filter((entry) => !isEmpty(entry.fieldsV1));
}

function withManagers(object: JsonObject, managers: Manager[]): JsonObject {
  const kept = managers.filter((entry) => !isEmpty(entry.fieldsV1));
  const metadata = without(asObject(object['metadata']), 'managedFields');
  return { ...object, metadata: kept.length === 0 ? metadata : { ...metadata, managedFields: kept } };
}

/** What kubectl's client-side apply set: kubectl may take it over without a conflict. */
function lastApplied(live: JsonObject, schema: Schema, resolve: Resolve): FieldSet {
  const text = asString(asObject(asObject(live['metadata'])['annotations'])[LAST_APPLIED]);
  if (text === '') return {};
  try {
    const fields = fieldsOf(JSON.parse(text), schema, resolve);
    return union(fields, { 'f:metadata': { 'f:annotations': { [`f:${LAST_APPLIED}`]: {} } } });
  } catch {
    return {};
  }
}

function conflictOf(conflicts: { entry: Manager; path: string }[]): ApiError {
  const causes = conflicts.map(({ entry, path }) => {
    const using = entry.operation === 'Update' ? ` using ${entry.apiVersion}` : '';
    const part = entry.subresource === undefined ? '' : ` with subresource "${entry.subresource}"`;
    return { reason: 'FieldManagerConflict', message: `conflict with "${entry.manager}"${part}${using}`, field: path };
  });
  const lines = causes.map(({ message, field }) => `${message}: ${field}`);
  const told =
    lines.length === 1
      ? `Apply failed with 1 conflict: ${lines[0] ?? ''}`
      : `Apply failed with ${String(lines.length)} conflicts: ${lines.map((line) => `\n- ${line}`).join('')}`;
  return new ApiError(409, 'Conflict', told, { causes });
}

function mergeValues(live: unknown, applied: unknown, schema: Schema, resolve: Resolve): unknown {
  if (isObject(applied) && isObject(live) && schema['x-kubernetes-map-type'] !== 'atomic') {
    const result: JsonObject = { ...live };
    for (const [name, value] of Object.entries(applied)) {
      if (name === '__proto__') continue;
      result[name] = mergeValues(live[name], value, childSchema(schema, name, resolve), resolve);
    }
    return result;
  }
  const keys = listKeys(schema);
  if (!Array.isArray(applied) || !Array.isArray(live) || keys === 'atomic') return applied;
  const items = resolve(schema.items ?? {});
  const result = [...(live as unknown[])];
  for (const item of applied as unknown[]) {
    const element = itemElement(item, keys);
    const index = result.findIndex((each) => itemElement(each, keys) === element);
    if (index < 0) result.push(item);
    else if (keys !== 'set') result[index] = mergeValues(result[index], item, items, resolve);
  }
  return result;
}

/** Takes the fields of a set out of a value; containers that become empty by it go as well, unless somebody owns them. */
function remove(value: unknown, set: FieldSet, owned: FieldSet, schema: Schema, resolve: Resolve): unknown {
  const parts = elements(value, schema, resolve);
  if (parts === undefined) return value;
  const kept = [...parts].flatMap(([element, part]) => {
    const child = set[element];
    if (child === undefined) return [[element, part.value] as const];
    const isOwned = owned[element] !== undefined;
    if (isEmpty(child)) return isOwned ? [[element, part.value] as const] : [];
    const left = remove(part.value, child, owned[element] ?? {}, part.schema, resolve);
    const isItem = element.startsWith('k:');
    const goes = isItem ? '.' in child : typeof left === 'object' && left !== null && Object.keys(left).length === 0;
    return goes && !isOwned ? [] : [[element, left] as const];
  });
  if (Array.isArray(value)) return kept.map(([, item]) => item);
  return Object.fromEntries(kept.map(([element, item]) => [element.slice(2), item]));
}

function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}
