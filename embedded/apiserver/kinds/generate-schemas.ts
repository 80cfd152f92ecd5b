// Writes schemas.json: the fields of the built-in kinds, read off the types of the Kubernetes client.
// Run it after an upgrade of @kubernetes/client-node: node embedded/apiserver/kinds/generate-schemas.ts
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as models from '@kubernetes/client-node';
import type { Schema } from '../schema/schema.ts';
import { BUILT_IN } from './table.ts';

interface Attribute {
  baseName: string;
  type: string;
  format: string;
}

const MODELS = join(dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')), 'gen/models');

/** Maps of quantities, which the client types as strings; the API takes numbers there as well. */
const QUANTITIES = new Set([
  ...['limits', 'requests', 'capacity', 'allocatable', 'hard', 'used', 'overhead', 'allocatedResources'],
  ...['max', 'min', '_default', 'default', 'defaultRequest', 'maxLimitRequestRatio', 'podFixed'],
]);

/** How lists of objects merge by strategic patch and server-side apply: their key, by the name of the list. */
const MERGE_KEYS: Record<string, string> = {
  containers: 'name',
  initContainers: 'name',
  ephemeralContainers: 'name',
  volumes: 'name',
  env: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  ports: 'containerPort',
  imagePullSecrets: 'name',
  hostAliases: 'ip',
  topologySpreadConstraints: 'topologyKey',
  conditions: 'type',
  ownerReferences: 'uid',
  resourceClaims: 'name',
  webhooks: 'name',
  secrets: 'name',
  addresses: 'type',
  podIPs: 'ip',
  hostIPs: 'ip',
  readinessGates: 'conditionType',
  schedulingGates: 'name',
};
const SETS = new Set(['finalizers', 'podCIDRs']);

const definitions: Record<string, Schema> = {};

function attributesOf(model: string): Attribute[] | undefined {
  const found = (models as Record<string, unknown>)[model] as { getAttributeTypeMap?: () => Attribute[] } | undefined;
  return found?.getAttributeTypeMap?.();
}

function define(model: string): void {
  if (Object.hasOwn(definitions, model)) return;
  const attributes = attributesOf(model);
  if (attributes === undefined) throw new Error(`@kubernetes/client-node has no model ${model}`);
  const schema: Schema = { type: 'object', properties: {} };
  definitions[model] = schema;
  const types = readFileSync(join(MODELS, `${model}.d.ts`), 'utf8');
  const required: string[] = [];
  for (const { baseName, type, format } of attributes) {
    const property = { ...schemaOf(baseName, type, format) };
    const key = mergeKey(model, baseName);
    if (property.type === 'array' && key !== undefined) {
      property['x-kubernetes-patch-merge-key'] = key;
      property['x-kubernetes-patch-strategy'] = baseName === 'volumes' ? 'merge,retainKeys' : 'merge';
      property['x-kubernetes-list-type'] = 'map';
      property['x-kubernetes-list-map-keys'] = listKeys(model, baseName, key);
    } else if (property.type === 'array' && SETS.has(baseName)) {
      property['x-kubernetes-patch-strategy'] = 'merge';
      property['x-kubernetes-list-type'] = 'set';
    }
    if (schema.properties) schema.properties[baseName] = property;
    if (new RegExp(`'_?${baseName.replaceAll('$', '\\$')}': `).test(types)) required.push(baseName);
  }
  if (required.length > 0) schema.required = required;
}

function mergeKey(model: string, field: string): string | undefined {
  if (field === 'ports')
    return model === 'V1Container' ? 'containerPort' : model === 'V1ServiceSpec' ? 'port' : undefined;
  if (field === 'conditions' && model.includes('CustomResourceDefinition')) return 'type';
  if (field === 'addresses' && model !== 'V1NodeStatus') return undefined;
  if (field === 'env' && !model.includes('Container')) return undefined;
  return MERGE_KEYS[field];
}

function listKeys(model: string, field: string, key: string): string[] {
  if (field === 'ports') return [key, 'protocol'];
  if (field === 'topologySpreadConstraints') return [key, 'whenUnsatisfiable'];
  return model === '' ? [] : [key];
}

function schemaOf(name: string, type: string, format: string): Schema {
  const array = /^(?:Array|Set)<(.*)>$/.exec(type);
  if (array) return { type: 'array', items: schemaOf('', array[1] ?? '', format) };
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type);
  if (map) {
    const quantity: Schema = { 'x-kubernetes-int-or-string': true, format: 'quantity' };
    const inner = map[1] === 'string' && QUANTITIES.has(name) ? quantity : schemaOf('', map[1] ?? '', format);
    return { type: 'object', additionalProperties: inner };
  }
  if (type === 'string' && (name === 'sizeLimit' || name === 'divisor')) {
    return { 'x-kubernetes-int-or-string': true, format: 'quantity' };
  }
  switch (type) {
    case 'string':
      return format === 'byte' ? { type, format } : { type };
    case 'boolean':
      return { type };
    case 'number':
      return format.startsWith('int') ? { type: 'integer', format } : { type };
    case 'Date':
    case 'V1MicroTime':
      return { type: 'string', format: 'date-time' };
    case 'IntOrString':
      return { 'x-kubernetes-int-or-string': true };
    case 'any':
    case 'object':
      return { 'x-kubernetes-preserve-unknown-fields': true };
    default:
      define(type);
      return { $ref: type };
  }
}

for (const entry of BUILT_IN) define(entry.model);
for (const shared of ['V1ListMeta', 'V1DeleteOptions', 'V1Status']) define(shared);
writeFileSync(join(import.meta.dirname, 'schemas.json'), JSON.stringify(definitions));
console.log(`${String(Object.keys(definitions).length)} definitions`);
