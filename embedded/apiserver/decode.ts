// Reads a body into an object of a kind: right type, unknown fields dropped or refused, defaults filled in.
import { parse as parseYaml } from 'yaml';
import type { KubeObject } from '../../core/kube/objects.ts';
import { asObject, isObject, type JsonObject } from './json.ts';
import { resolveDefinition } from './kinds/built-in.ts';
import { apiVersion, type Served } from './kinds/kind.ts';
import { cleanMetadata } from './metadata.ts';
import { applyDefaults } from './schema/default.ts';
import { prune } from './schema/prune.ts';
import type { Schema } from './schema/schema.ts';
import { validate } from './schema/validate.ts';
import { badRequest, type Cause } from './status.ts';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

const MAX_DEPTH = 1000;
const METADATA: Schema = { $ref: 'V1ObjectMeta' };

/** @throws 400 where the text is neither JSON nor (for YAML types) YAML, or goes too deep. */
export function parseBody(text: string, type: string): unknown {
  let body: unknown;
  try {
    body = type.includes('yaml') && !/^\s*[[{]/.test(text) ? parseYaml(text) : (JSON.parse(text) as unknown);
  } catch (error) {
    throw badRequest(`the body of the request could not be read: ${(error as Error).message}`);
  }
  refuseDeep(body);
  return body;
}

/** What walks objects calls itself level by level, and the stack has an end. */
function refuseDeep(body: unknown): void {
  let level = [body];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw badRequest(`the body of the request exceeds the depth of ${String(MAX_DEPTH)} levels`);
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
}

/**
 * The object in the version it was sent for, pruned and with its defaults.
 * @param warnings receives one line an unknown field where `fieldValidation` is Warn.
 */
export function decodeObject(
  body: unknown,
  { kind, version }: Served,
  fieldValidation: FieldValidation,
  warnings: string[],
): KubeObject {
  if (!isObject(body)) throw badRequest('the body of the request is not an object');
  refuseDeep(body);
  const wanted = apiVersion(kind.group, version.name);
  if (body['kind'] !== undefined && body['kind'] !== '' && body['kind'] !== kind.kind) {
    throw badRequest(`${String(body['kind'])} in version "${version.name}" cannot be handled as a ${kind.kind}`);
  }
  if (body['apiVersion'] !== undefined && body['apiVersion'] !== '' && body['apiVersion'] !== wanted) {
    const sent = String(body['apiVersion']);
    const message = `the API version in the data (${sent}) does not match the expected API version (${wanted})`;
    throw badRequest(message);
  }
  const unknown: string[] = [];
  const metadata = decodeMetadata(body['metadata'], kind.kind, version.name, unknown);
  const typed = { ...body, apiVersion: wanted, kind: kind.kind, metadata: {} };
  const pruned = prune(kind.custom ? typed : withoutNulls(typed), version.schema, version.resolve, unknown);
  if (unknown.length > 0) refuseUnknown(unknown, kind.kind, version.name, fieldValidation, warnings);
  const complete = applyDefaults(pruned, version.schema, version.resolve);
  return { ...complete, apiVersion: wanted, kind: kind.kind, metadata };
}

/** Schema faults of a decoded object: for CRDs 422 causes, for built-in kinds too. */
export function schemaCauses(object: KubeObject, { version }: Served): Cause[] {
  return validate({ ...object, metadata: {} }, version.schema, version.resolve);
}

function decodeMetadata(sent: unknown, kind: string, version: string, unknown: string[]): KubeObject['metadata'] {
  if (sent !== undefined && sent !== null && !isObject(sent)) {
    throw badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: metadata must be an object`);
  }
  const lost: string[] = [];
  const metadata = prune(withoutNulls(asObject(sent)), METADATA, resolveDefinition, lost);
  unknown.push(...lost.map((field) => `metadata.${field}`));
  const faults = validate(metadata, METADATA, resolveDefinition, 'metadata');
  const first = faults[0];
  if (first !== undefined) {
    throw badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: ${first.message}`);
  }
  return cleanMetadata(metadata);
}

function refuseUnknown(
  unknown: string[],
  kind: string,
  version: string,
  fieldValidation: FieldValidation,
  warnings: string[],
): void {
  const told = unknown.map((field) => `unknown field "${field}"`);
  if (fieldValidation === 'Warn') warnings.push(...told);
  if (fieldValidation !== 'Strict') return;
  const list = `strict decoding error: ${told.join(', ')}`;
  throw badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: ${list}`);
}

/** For built-in kinds a null is the same as nothing. */
function withoutNulls(value: JsonObject): JsonObject {
  const strip = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map(strip);
    return isObject(item) ? withoutNulls(item) : item;
  };
  const kept = Object.entries(value).filter(([, item]) => item !== null && item !== undefined);
  return Object.fromEntries(kept.map(([name, item]) => [name, strip(item)]));
}
