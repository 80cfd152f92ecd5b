// The shapes that many procedures share: a domain, typed parameters, the daemon's error.
import { LibvirtError, ProtocolError } from './errors.ts';
import type { XdrReader, XdrWriter } from './xdr.ts';

/** Bounds of libvirt's protocol file, so that a bad length is refused before memory is spent on it. */
export const STRING_MAX = 4_194_304;
const UUID_BYTES = 16;
export const PARAMS_MAX = 4096;

/** A domain as the daemon names it. `uuid` in the usual 8-4-4-4-12 form; `id` is -1 while it is not running. */
export interface Domain {
  name: string;
  uuid: string;
  id: number;
}

export function writeUuid(writer: XdrWriter, uuid: string): void {
  const bytes = Buffer.from(uuid.replaceAll('-', ''), 'hex');
  if (bytes.length !== UUID_BYTES) throw new TypeError(`"${uuid}" is not a UUID`);
  writer.fixed(bytes);
}

export function readUuid(reader: XdrReader): string {
  const hex = reader.fixed(UUID_BYTES).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export function writeDomain(writer: XdrWriter, domain: Domain): void {
  writer.string(domain.name);
  writeUuid(writer, domain.uuid);
  writer.int(domain.id);
}

export function readDomain(reader: XdrReader): Domain {
  return { name: readString(reader), uuid: readUuid(reader), id: reader.int() };
}

export function readString(reader: XdrReader): string {
  return reader.string(STRING_MAX);
}

export function readOptionalString(reader: XdrReader): string | undefined {
  return reader.optional(readString);
}

export function writeOptionalString(writer: XdrWriter, value: string | undefined): void {
  writer.optional(value, (w, text) => w.string(text));
}

/** A value with its wire type; one name may stand several times in a list. 64-bit values are bigint. */
export type TypedValue =
  | { type: 'int' | 'uint' | 'double'; value: number }
  | { type: 'llong' | 'ullong'; value: bigint }
  | { type: 'boolean'; value: boolean }
  | { type: 'string'; value: string };
export type TypedParam = { field: string } & TypedValue;

const TYPE_NUMBER = { int: 1, uint: 2, llong: 3, ullong: 4, double: 5, boolean: 6, string: 7 } as const;

export function writeTypedParam(writer: XdrWriter, param: TypedParam): void {
  writer.string(param.field).int(TYPE_NUMBER[param.type]);
  switch (param.type) {
    case 'int':
      return void writer.int(param.value);
    case 'uint':
      return void writer.uint(param.value);
    case 'double':
      return void writer.double(param.value);
    case 'llong':
      return void writer.hyper(param.value);
    case 'ullong':
      return void writer.uhyper(param.value);
    case 'boolean':
      return void writer.bool(param.value);
    case 'string':
      return void writer.string(param.value);
  }
}

export function readTypedParam(reader: XdrReader): TypedParam {
  const field = readString(reader);
  const type = reader.int();
  switch (type) {
    case TYPE_NUMBER.int:
      return { field, type: 'int', value: reader.int() };
    case TYPE_NUMBER.uint:
      return { field, type: 'uint', value: reader.uint() };
    case TYPE_NUMBER.llong:
      return { field, type: 'llong', value: reader.hyper() };
    case TYPE_NUMBER.ullong:
      return { field, type: 'ullong', value: reader.uhyper() };
    case TYPE_NUMBER.double:
      return { field, type: 'double', value: reader.double() };
    case TYPE_NUMBER.boolean:
      return { field, type: 'boolean', value: reader.int() !== 0 };
    case TYPE_NUMBER.string:
      return { field, type: 'string', value: readString(reader) };
    default:
      throw new ProtocolError(`typed parameter "${field}" of type ${type}`);
  }
}

export function readTypedParams(reader: XdrReader): TypedParam[] {
  return reader.array(PARAMS_MAX, readTypedParam);
}

/** The values by field name; of a repeated field the last one stands. */
export function paramValues(params: readonly TypedParam[]): Map<string, TypedParam['value']> {
  return new Map(params.map((param) => [param.field, param.value]));
}

/** The payload of a reply whose status says error. The trailing fields (domain, strings, network) repeat the message and are left unread. */
export function readError(reader: XdrReader): LibvirtError {
  const code = reader.int();
  const domain = reader.int();
  const message = readOptionalString(reader) ?? 'the daemon gave no message';
  return new LibvirtError({ code, domain, message, level: reader.int() });
}
