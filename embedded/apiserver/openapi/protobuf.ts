// OpenAPI v2 in the protobuf form (gnostic's openapi.v2.Document) that kubectl reads: the fields it looks at.
import { asArray, asObject, asString, type JsonObject } from '../json.ts';

/** Field numbers of the messages, as gnostic's OpenAPIv2.proto has them. */
const SCHEMA = {
  ref: 1,
  format: 2,
  description: 4,
  required: 19,
  additional: 21,
  type: 22,
  items: 23,
  properties: 25,
  vendor: 31,
};
const OPERATION = { id: 5, parameters: 8, responses: 9, vendor: 13 };
const METHODS: Record<string, number> = { get: 2, put: 3, post: 4, delete: 5, patch: 8 };

const LENGTH_DELIMITED = 2;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

function field(number: number, content: Buffer | string): Buffer {
  const body = typeof content === 'string' ? Buffer.from(content) : content;
  return Buffer.concat([varint((number << 3) | LENGTH_DELIMITED), varint(body.length), body]);
}

function flag(number: number, value: boolean): Buffer {
  return Buffer.concat([varint(number << 3), varint(value ? 1 : 0)]);
}

/** A map entry: name = 1, value = 2. */
function named(name: string, value: Buffer): Buffer {
  return Buffer.concat([field(1, name), field(2, value)]);
}

function text(number: number, value: unknown): Buffer {
  return typeof value === 'string' && value !== '' ? field(number, value) : Buffer.alloc(0);
}

/** `x-` fields, each as YAML (JSON is YAML). */
function vendor(number: number, source: JsonObject): Buffer {
  const extensions = Object.entries(source).filter(([name]) => name.startsWith('x-'));
  return Buffer.concat(extensions.map(([name, value]) => field(number, named(name, field(2, JSON.stringify(value))))));
}

function schema(source: JsonObject): Buffer {
  const parts = [text(SCHEMA.ref, source['$ref']), text(SCHEMA.format, source['format'])];
  parts.push(text(SCHEMA.description, source['description']));
  for (const name of asArray(source['required'])) parts.push(field(SCHEMA.required, String(name)));
  const additional = source['additionalProperties'];
  if (typeof additional === 'boolean') parts.push(field(SCHEMA.additional, flag(2, additional)));
  else if (additional !== undefined) parts.push(field(SCHEMA.additional, field(1, schema(asObject(additional)))));
  if (asString(source['type']) !== '') parts.push(field(SCHEMA.type, field(1, asString(source['type']))));
  if (source['items'] !== undefined) parts.push(field(SCHEMA.items, field(1, schema(asObject(source['items'])))));
  if (source['properties'] !== undefined) {
    const properties = Object.entries(asObject(source['properties']));
    const entries = properties.map(([name, value]) => field(1, named(name, schema(asObject(value)))));
    parts.push(field(SCHEMA.properties, Buffer.concat(entries)));
  }
  parts.push(vendor(SCHEMA.vendor, source));
  return Buffer.concat(parts);
}

/** ParametersItem { parameter { non_body_parameter { query_parameter_sub_schema { in, name, type } } } } */
function queryParameter(source: JsonObject): Buffer {
  const inner = [text(2, source['in']), text(4, source['name']), text(6, source['type'])];
  return field(1, field(2, field(3, Buffer.concat(inner))));
}

function operation(source: JsonObject): Buffer {
  const parameters = asArray(source['parameters']).map((each) =>
    field(OPERATION.parameters, queryParameter(asObject(each))),
  );
  const response = field(1, field(1, 'OK'));
  const responses = field(OPERATION.responses, field(1, named('200', response)));
  return Buffer.concat([
    text(OPERATION.id, source['operationId']),
    ...parameters,
    responses,
    vendor(OPERATION.vendor, source),
  ]);
}

function pathItem(source: JsonObject): Buffer {
  const operations = Object.entries(source).map(([method, each]) =>
    field(METHODS[method] ?? 0, operation(asObject(each))),
  );
  return Buffer.concat(operations);
}

export function encodeOpenApiV2(document: JsonObject): Buffer {
  const info = asObject(document['info']);
  const paths = Object.entries(asObject(document['paths'])).map(([path, item]) =>
    field(2, named(path, pathItem(asObject(item)))),
  );
  const definitions = Object.entries(asObject(document['definitions'])).map(([name, each]) =>
    field(1, named(name, schema(asObject(each)))),
  );
  return Buffer.concat([
    field(1, '2.0'),
    field(2, Buffer.concat([text(1, info['title']), text(2, info['version'])])),
    field(8, Buffer.concat(paths)),
    field(9, Buffer.concat(definitions)),
  ]);
}
