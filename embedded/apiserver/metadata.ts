// The rules of metadata that hold for every kind: names, labels, what the server sets and what may never change.
import { randomBytes, randomUUID } from 'node:crypto';
import type { KubeObject, ObjectMeta } from '../../core/kube/objects.ts';
import { asArray, asObject, isObject, type JsonObject, without } from './json.ts';
import type { Kind } from './kinds/kind.ts';
import { invalidValue, requiredValue } from './schema/validate.ts';
import type { Cause } from './status.ts';

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

const SUBDOMAIN_MESSAGE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_MESSAGE =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_MESSAGE =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_MESSAGE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/** Kinds whose names are labels, not subdomains. */
const LABEL_NAMES = new Set(['/namespaces', '/services']);
const FREE_NAMES = 'rbac.authorization.k8s.io';
const SUFFIX_LENGTH = 5;
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const MAX_GENERATED = 63;
const MAX_ANNOTATIONS = 256 * 1024;

/** A time as the API shows it: whole seconds, UTC. */
export function timestamp(date = new Date()): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

export function generateName(base: string): string {
  const bytes = randomBytes(SUFFIX_LENGTH);
  const suffix = [...bytes].map((byte) => SUFFIX_ALPHABET[byte % SUFFIX_ALPHABET.length]).join('');
  return base.slice(0, MAX_GENERATED - SUFFIX_LENGTH) + suffix;
}

/** The metadata of an object about to be made: what clients may not choose is set here. */
export function metadataForCreate(sent: ObjectMeta, namespace: string, kind: Kind): ObjectMeta {
  const kept = without(sent, 'resourceVersion', 'deletionTimestamp', 'deletionGracePeriodSeconds');
  const named = kept.name === undefined || kept.name === '';
  return {
    ...kept,
    ...(named && kept.generateName !== undefined ? { name: generateName(kept.generateName) } : {}),
    ...(kind.namespaced ? { namespace } : {}),
    uid: randomUUID(),
    creationTimestamp: timestamp(),
    ...(kind.hasGeneration ? { generation: 1 } : {}),
  };
}

const FIXED = [
  ...['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'],
  ...['generation', 'resourceVersion', 'generateName'],
] as const;

/** The metadata of a changed object: identity and times are the old object's, whatever was sent. */
export function metadataForUpdate(old: ObjectMeta, sent: ObjectMeta): ObjectMeta {
  const fixed = Object.fromEntries(FIXED.flatMap((name) => (old[name] === undefined ? [] : [[name, old[name]]])));
  const free = Object.entries(sent).filter(([name]) => !(FIXED as readonly string[]).includes(name));
  return { ...fixed, ...Object.fromEntries(free) };
}

/** Drops nulls and unset parts, so that equal metadata is equal. */
export function cleanMetadata(metadata: unknown): ObjectMeta {
  const kept = Object.entries(asObject(metadata)).filter(([name, value]) => {
    if (value === null || value === undefined || name === 'selfLink') return false;
    if (Array.isArray(value) && value.length === 0) return false;
    return !(isObject(value) && Object.keys(value).length === 0);
  });
  return Object.fromEntries(kept);
}

export function validateMetadata(object: KubeObject, kind: Kind): Cause[] {
  const { name = '', labels, annotations, finalizers, ownerReferences } = object.metadata;
  const causes: Cause[] = [];
  if (name === '') causes.push(requiredValue('metadata.name', 'name or generateName is required'));
  else causes.push(...validateName(name, kind));
  for (const [key, value] of Object.entries(labels ?? {})) {
    causes.push(...validateKey(key, 'metadata.labels'));
    if (!LABEL_VALUE.test(value)) causes.push(invalidValue('metadata.labels', value, VALUE_MESSAGE));
    else if (value.length > 63) causes.push(invalidValue('metadata.labels', value, 'must be no more than 63 bytes'));
  }
  let size = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    causes.push(...validateKey(key.toLowerCase(), 'metadata.annotations'));
    size += key.length + value.length;
  }
  if (size > MAX_ANNOTATIONS) {
    const message = `Too long: may not be more than ${String(MAX_ANNOTATIONS)} bytes`;
    causes.push({ reason: 'FieldValueTooLong', message, field: 'metadata.annotations' });
  }
  for (const finalizer of finalizers ?? []) {
    if (finalizer === '' || !QUALIFIED.test(finalizer.split('/').at(-1) ?? '')) {
      causes.push(invalidValue('metadata.finalizers', finalizer, QUALIFIED_MESSAGE));
    }
  }
  asArray(ownerReferences).forEach((reference, index) => {
    for (const field of ['apiVersion', 'kind', 'name', 'uid']) {
      if (typeof asObject(reference)[field] === 'string' && asObject(reference)[field] !== '') continue;
      causes.push(invalidValue(`metadata.ownerReferences[${String(index)}].${field}`, '', 'must not be empty'));
    }
  });
  const controllers = (ownerReferences ?? []).filter((reference) => reference.controller === true);
  if (controllers.length > 1) {
    const message = 'Only one reference can have Controller set to true. Found "true" in more than one reference';
    causes.push(invalidValue('metadata.ownerReferences', controllers.length, message));
  }
  return causes;
}

function validateName(name: string, kind: Kind): Cause[] {
  if (kind.group === FREE_NAMES) {
    if (name === '.' || name === '..' || /[/%]/.test(name)) {
      return [invalidValue('metadata.name', name, `may not contain '/' or '%', nor be '.' or '..'`)];
    }
    return [];
  }
  const isLabel = LABEL_NAMES.has(kind.storage);
  const [longest, shape, message] = isLabel ? [63, DNS_LABEL, LABEL_MESSAGE] : [253, DNS_SUBDOMAIN, SUBDOMAIN_MESSAGE];
  const causes: Cause[] = [];
  if (name.length > longest) {
    causes.push(invalidValue('metadata.name', name, `must be no more than ${String(longest)} characters`));
  }
  if (!shape.test(name)) causes.push(invalidValue('metadata.name', name, message));
  return causes;
}

function validateKey(key: string, field: string): Cause[] {
  const parts = key.split('/');
  const name = parts.at(-1) ?? '';
  const prefix = parts.length > 1 ? parts.slice(0, -1).join('/') : undefined;
  if (prefix !== undefined && !DNS_SUBDOMAIN.test(prefix)) {
    return [invalidValue(field, key, `prefix part ${SUBDOMAIN_MESSAGE}`)];
  }
  if (!QUALIFIED.test(name)) return [invalidValue(field, key, QUALIFIED_MESSAGE)];
  return name.length > 63 ? [invalidValue(field, key, 'name part must be no more than 63 bytes')] : [];
}

/** Fields that carry the object's own description, for generation: everything but metadata and status. */
export function described(object: JsonObject): JsonObject {
  return without(object, 'metadata', 'status', 'apiVersion', 'kind');
}
