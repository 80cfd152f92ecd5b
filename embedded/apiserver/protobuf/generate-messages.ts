// Writes messages.json: field numbers and types of the built-in kinds' protobuf messages, read off Kubernetes' .proto files.
// Run: node embedded/apiserver/protobuf/generate-messages.ts <folder of the generated.proto files of kubernetes/api and apimachinery>
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEFINITIONS } from '../kinds/built-in.ts';
import { BUILT_IN } from '../kinds/table.ts';
import type { Schema } from '../schema/schema.ts';

interface Field {
  number: string;
  name: string;
  type: string;
  shape: '' | '[]' | '{}';
}

const SCALARS = new Set(['string', 'bool', 'bytes', 'int32', 'int64', 'uint32', 'double']);
const ROOTS: [message: string, model: string][] = [
  ['meta.DeleteOptions', 'V1DeleteOptions'],
  ['policy.Eviction', 'V1Eviction'],
  ['core.Binding', 'V1Binding'],
];

const all = new Map<string, Field[]>();
const messages: Record<string, Record<string, string>> = {};

/** `.k8s.io.api.core.v1.Pod` is `core.Pod`. */
function shorten(type: string, home: string): string {
  if (SCALARS.has(type)) return type;
  const parts = type.replace(/^\./, '').split('.');
  if (parts.length === 1) return `${home}.${type}`;
  const path = parts.slice(0, -1).filter((part) => !/^v\d/.test(part));
  return `${path.at(-1) ?? home}.${parts.at(-1) ?? ''}`;
}

function read(file: string): void {
  const text = readFileSync(file, 'utf8').replaceAll(/\/\/.*$/gm, '');
  const name = /^package (\S+);/m.exec(text)?.[1] ?? '';
  const home =
    name
      .split('.')
      .filter((part) => !/^v\d/.test(part))
      .at(-1) ?? '';
  for (const [, message = '', body = ''] of text.matchAll(/^message (\w+) \{(.*?)^\}/gms)) {
    const fields: Field[] = [];
    for (const line of body.split(';')) {
      const map = /map<string, (\S+)> (\w+) = (\d+)/.exec(line);
      const plain = /(optional|repeated) (\S+) (\w+) = (\d+)/.exec(line);
      if (map) {
        fields.push({ type: shorten(map[1] ?? '', home), name: map[2] ?? '', number: map[3] ?? '', shape: '{}' });
      } else if (plain) {
        const shape = plain[1] === 'repeated' ? '[]' : '';
        fields.push({ type: shorten(plain[2] ?? '', home), name: plain[3] ?? '', number: plain[4] ?? '', shape });
      }
    }
    all.set(`${home}.${message}`, fields);
  }
}

function modelOf(schema: Schema | undefined): string | undefined {
  if (schema === undefined) return undefined;
  if (schema.$ref !== undefined) return schema.$ref;
  if (schema.items !== undefined) return modelOf(schema.items);
  return typeof schema.additionalProperties === 'object' ? modelOf(schema.additionalProperties) : undefined;
}

function walk(message: string, model: string | undefined): void {
  if (Object.hasOwn(messages, message) || !all.has(message)) return;
  const fields: Record<string, string> = {};
  messages[message] = fields;
  const properties = model === undefined ? undefined : DEFINITIONS[model]?.properties;
  for (const { number, name, type, shape } of all.get(message) ?? []) {
    // A message without a JSON field of its own is embedded: its fields are the parent's.
    const isInline = properties !== undefined && !Object.hasOwn(properties, name) && shape === '' && !SCALARS.has(type);
    fields[number] = `${isInline ? '+' : name}${shape}:${type}`;
    if (!SCALARS.has(type)) walk(type, isInline ? model : modelOf(properties?.[name]));
  }
}

const folder = process.argv[2];
if (folder === undefined) throw new Error('name the folder of the .proto files');
for (const file of readdirSync(folder)) if (file.endsWith('.proto')) read(join(folder, file));
for (const { group, kind, model } of BUILT_IN)
  walk(`${group === '' ? 'core' : (group.split('.')[0] ?? '')}.${kind}`, model);
for (const [message, model] of ROOTS) walk(message, model);
writeFileSync(join(import.meta.dirname, 'messages.json'), JSON.stringify(messages));
console.log(`${String(Object.keys(messages).length)} messages`);
