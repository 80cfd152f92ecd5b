// Reads bodies in Kubernetes' protobuf form, which typed Go clients send for built-in kinds, into plain objects.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asArray, asObject, type JsonObject } from '../json.ts';
import { badRequest } from '../status.ts';

/** Message name to field number to `name:type`; `[]` marks lists, `{}` maps, `+` an embedded message. */
type Messages = Record<string, Record<string, string>>;

const MAGIC = Buffer.from('k8s\0');
const MESSAGES = JSON.parse(readFileSync(join(import.meta.dirname, 'messages.json'), 'utf8')) as Messages;

/** Numbers that stand for "not set" when zero: Go writes them all the same. */
const UNSET_WHEN_ZERO = new Set(['generation', 'nodePort', 'hostPort', 'healthCheckNodePort', 'observedGeneration']);
/** The one string of the API where empty means something else than absent. */
const KEPT_WHEN_EMPTY = new Set(['storageClassName']);
const META_KINDS = new Set(['DeleteOptions']);

/** @throws 400 for bytes that are no Kubernetes object, or one of a kind that has no protobuf form here. */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) throw badRequest('the body does not start as protobuf objects do');
  let raw: Buffer = Buffer.alloc(0);
  let type: Buffer = Buffer.alloc(0);
  for (const { number, bytes } of fieldsOf(body.subarray(MAGIC.length))) {
    if (number === 1) type = bytes;
    if (number === 2) raw = bytes;
  }
  const names = [...fieldsOf(type)];
  const apiVersion = names.find(({ number }) => number === 1)?.bytes.toString() ?? '';
  const kind = names.find(({ number }) => number === 2)?.bytes.toString() ?? '';
  const group = apiVersion.includes('/') ? (apiVersion.split('.')[0]?.split('/')[0] ?? '') : 'core';
  const message = `${META_KINDS.has(kind) ? 'meta' : group}.${kind}`;
  if (!Object.hasOwn(MESSAGES, message)) throw badRequest(`no kind "${kind}" is known in protobuf for "${apiVersion}"`);
  return { apiVersion, kind, ...asObject(decodeMessage(raw, message)) };
}

interface Field {
  number: number;
  bytes: Buffer;
  /** The value of fields that are numbers. */
  integer: bigint;
}

function* fieldsOf(data: Buffer): Iterable<Field> {
  let offset = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = data[offset];
      if (byte === undefined || shift > 63n) throw badRequest('the protobuf body ends in the middle');
      offset += 1;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number): Buffer => {
    if (offset + length > data.length) throw badRequest('the protobuf body ends in the middle');
    offset += length;
    return data.subarray(offset - length, offset);
  };
  while (offset < data.length) {
    const tag = Number(varint());
    const number = tag >> 3;
    const none = Buffer.alloc(0);
    if ((tag & 7) === 0) yield { number, bytes: none, integer: BigInt.asIntN(64, varint()) };
    else if ((tag & 7) === 1) yield { number, bytes: take(8), integer: 0n };
    else if ((tag & 7) === 2) yield { number, bytes: take(Number(varint())), integer: 0n };
    else if ((tag & 7) === 5) yield { number, bytes: take(4), integer: 0n };
    else throw badRequest('the protobuf body has a field of unknown form');
  }
}

function decodeMessage(data: Buffer, message: string): unknown {
  const special = SPECIAL[message];
  if (special !== undefined) return special(data);
  const table = MESSAGES[message] ?? {};
  const result: JsonObject = {};
  for (const field of fieldsOf(data)) {
    const [name = '', type = ''] = (table[String(field.number)] ?? '').split(':');
    if (name === '') continue;
    if (name === '+') Object.assign(result, asObject(decodeMessage(field.bytes, type)));
    else if (name.endsWith('[]')) {
      const key = name.slice(0, -2);
      result[key] = [...asArray(result[key]), decodeValue(field, type)];
    } else if (name.endsWith('{}')) {
      const key = name.slice(0, -2);
      result[key] = { ...asObject(result[key]), ...decodeEntry(field.bytes, type) };
    } else {
      const value = decodeValue(field, type);
      const isUnset =
        value === undefined ||
        (value === '' && !KEPT_WHEN_EMPTY.has(name)) ||
        (value === 0 && UNSET_WHEN_ZERO.has(name));
      if (!isUnset) result[name] = value;
    }
  }
  return result;
}

function decodeEntry(data: Buffer, type: string): JsonObject {
  let key = '';
  let value: unknown = type === 'string' || type === 'bytes' ? '' : undefined;
  for (const field of fieldsOf(data)) {
    if (field.number === 1) key = field.bytes.toString();
    else value = decodeValue(field, type);
  }
  return { [key]: value };
}

function decodeValue({ bytes, integer }: Field, type: string): unknown {
  switch (type) {
    case 'string':
      return bytes.toString();
    case 'bytes':
      return bytes.toString('base64');
    case 'bool':
      return integer !== 0n;
    case 'int32':
    case 'int64':
    case 'uint32':
      return Number(integer);
    case 'double':
      return bytes.readDoubleLE();
    default:
      return decodeMessage(bytes, type);
  }
}

function parts(data: Buffer): Map<number, Field> {
  return new Map([...fieldsOf(data)].map((field) => [field.number, field]));
}

function raw(data: Buffer): unknown {
  const text = parts(data).get(1)?.bytes.toString() ?? '';
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest('an embedded object is not JSON');
  }
}

function moment(data: Buffer, digits: number): string | undefined {
  const fields = parts(data);
  const seconds = Number(fields.get(1)?.integer ?? 0n);
  if (fields.size === 0 || seconds <= 0) return undefined;
  const date = new Date(seconds * 1000).toISOString().slice(0, 19);
  const micros = String(Math.floor(Number(fields.get(2)?.integer ?? 0n) / 1000)).padStart(6, '0');
  return digits === 0 ? `${date}Z` : `${date}.${micros}Z`;
}

/** Messages whose JSON form is not an object with their fields. */
const SPECIAL: Record<string, (data: Buffer) => unknown> = {
  'meta.Time': (data) => moment(data, 0),
  'meta.MicroTime': (data) => moment(data, 6),
  'resource.Quantity': (data) => parts(data).get(1)?.bytes.toString() ?? '0',
  'intstr.IntOrString': (data) => {
    const fields = parts(data);
    const isString = fields.get(1)?.integer === 1n;
    return isString ? (fields.get(3)?.bytes.toString() ?? '') : Number(BigInt.asIntN(32, fields.get(2)?.integer ?? 0n));
  },
  'runtime.RawExtension': raw,
  'meta.FieldsV1': raw,
  'authorization.ExtraValue': strings,
  'authentication.ExtraValue': strings,
};

function strings(data: Buffer): string[] {
  return [...fieldsOf(data)].map(({ bytes }) => bytes.toString());
}

/** True for a body that `decodeProtobuf` reads. */
export function isProtobuf(type: string): boolean {
  return type === 'application/vnd.kubernetes.protobuf';
}
