// The VMI's schema, woven from the plugins' slices; and the check of an object against it.
import { Ajv, type ValidateFunction } from 'ajv';
import { fail } from './errors.ts';
import { formatPath } from './path.ts';
import type { Plugin, Schema } from './plugin.ts';
import type { Cause } from './types.ts';

/** Field path (`spec.domain.devices.tpm`, lists as `disks[]`) to the plugin it belongs to. */
export type KnownFields = { readonly [path: string]: string };

interface ObjectNode {
  type?: string;
  properties?: Record<string, ObjectNode>;
  items?: ObjectNode;
  required?: string[];
  [key: string]: unknown;
}

/** Each list has a schema of its own: what one plugin grafts into disks must not turn up in networks. */
function named(): ObjectNode {
  return { type: 'object', required: ['name'], properties: { name: { type: 'string' } } };
}

/** What the core itself reads: the lists whose entries the attach hooks get. */
function skeleton(): ObjectNode {
  return {
    type: 'object',
    required: ['spec'],
    properties: {
      spec: {
        type: 'object',
        required: ['domain'],
        properties: {
          domain: {
            type: 'object',
            properties: {
              devices: {
                type: 'object',
                properties: {
                  disks: { type: 'array', items: named() },
                  interfaces: { type: 'array', items: named() },
                },
              },
            },
          },
          volumes: { type: 'array', items: named() },
          networks: { type: 'array', items: named() },
        },
      },
    },
  };
}

interface Group {
  /** Path of the parent, `spec.volumes[]`. */
  readonly parent: string;
  readonly name: string;
  readonly keys: Map<string, string>;
}

/** Which plugin owns which field, and what may stand in it. */
export class FieldTable {
  /** JSON Schema of a whole VMI's `spec`, as a CRD can carry it. */
  readonly spec: Schema;
  readonly owners = new Map<string, string>();
  readonly #groups: Group[] = [];
  readonly #known: KnownFields;
  readonly #enabled: ReadonlySet<string>;
  readonly #validate: ValidateFunction;

  constructor(plugins: readonly Plugin[], known: KnownFields) {
    const root = skeleton();
    this.#known = known;
    this.#enabled = new Set(plugins.map((plugin) => plugin.name));
    // Shallow paths first: a slice inside another plugin's slice finds its parent there, in whatever order they load.
    const slices = plugins.flatMap((plugin) => (plugin.api ?? []).map((slice) => ({ slice, plugin: plugin.name })));
    slices.sort((a, b) => a.slice.path.split('.').length - b.slice.path.split('.').length);
    for (const { slice, plugin } of slices) {
      this.#claim(slice.path, plugin);
      this.#graft(root, slice.path, slice.schema as ObjectNode, plugin);
      if (slice.oneOf !== undefined) this.#group(slice.path, slice.oneOf, plugin);
    }
    this.spec = root.properties?.['spec'] as Schema;
    this.#validate = new Ajv({ allErrors: true, strict: false, verbose: true }).compile(forAjv(root));
  }

  /**
   * Every cause that speaks against the VMI's spec: unknown fields, fields of plugins that are not enabled, wrong types,
   * sources or bindings that are missing or given twice. Paths count from the VMI (`spec.domain...`).
   */
  check(vmi: { readonly spec?: unknown }): Cause[] {
    const causes: Cause[] = [];
    this.#unknown(vmi.spec, this.spec as ObjectNode, ['spec'], causes);
    this.#types(vmi, causes);
    for (const group of this.#groups) this.#oneOf(vmi, group, causes);
    return causes;
  }

  #claim(path: string, plugin: string): void {
    const first = this.owners.get(path);
    if (first !== undefined) throw fail('VL_API_CLASH', { path, first, second: plugin });
    this.owners.set(path, plugin);
  }

  #graft(root: ObjectNode, path: string, schema: ObjectNode, plugin: string): void {
    const keys = path.split('.');
    let node = root;
    keys.forEach((part, index) => {
      const isList = part.endsWith('[]');
      const key = isList ? part.slice(0, -2) : part;
      const properties = (node.properties ??= {});
      if (index === keys.length - 1) {
        if (properties[key]) throw fail('VL_API_CLASH', { path, first: this.#ownerOf(path), second: plugin });
        properties[key] = structuredClone(schema);
        return;
      }
      let next = (properties[key] ??= isList ? { type: 'array', items: { type: 'object' } } : { type: 'object' });
      if (isList) next = next.items ??= { type: 'object' };
      node = next;
    });
  }

  #ownerOf(path: string): string {
    for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
      const owner = this.owners.get(at);
      if (owner !== undefined && at !== path) return owner;
    }
    return 'core';
  }

  #group(path: string, name: string, plugin: string): void {
    const dot = path.lastIndexOf('.');
    const parent = path.slice(0, dot);
    let group = this.#groups.find((one) => one.parent === parent && one.name === name);
    if (!group) this.#groups.push((group = { parent, name, keys: new Map() }));
    group.keys.set(path.slice(dot + 1), plugin);
  }

  #unknown(value: unknown, node: ObjectNode, path: (string | number)[], causes: Cause[]): void {
    if (Array.isArray(value)) {
      if (node.items)
        value.forEach((item, index) => this.#unknown(item, node.items as ObjectNode, [...path, index], causes));
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    if (node['x-kubernetes-preserve-unknown-fields'] === true) return;
    if (node.properties === undefined) {
      const values = node['additionalProperties'];
      if (typeof values !== 'object' && node['type'] === 'object' && values !== true) {
        for (const key in value) causes.push(this.#refuse([...path, key]));
      }
      return;
    }
    for (const key in value) {
      const child = Object.hasOwn(node.properties, key) ? node.properties[key] : undefined;
      if (child) this.#unknown((value as Record<string, unknown>)[key], child, [...path, key], causes);
      else causes.push(this.#refuse([...path, key]));
    }
  }

  #refuse(path: readonly (string | number)[]): Cause {
    const field = formatPath(path);
    const generic = field.replace(/\[\d+\]/g, '[]');
    const plugin = Object.hasOwn(this.#known, generic) ? this.#known[generic] : undefined;
    if (plugin === undefined) return { field, reason: 'FieldValueInvalid', message: `unknown field "${field}"` };
    const message = this.#enabled.has(plugin)
      ? `${field} is not supported by this version of plugin "${plugin}": leave the field out`
      : `${field} belongs to plugin "${plugin}", which is not enabled here: enable plugin "${plugin}" or leave the field out`;
    return { field, reason: 'FieldValueNotSupported', message };
  }

  #types(vmi: unknown, causes: Cause[]): void {
    if (this.#validate(vmi)) return;
    for (const error of this.#validate.errors ?? []) {
      // The branches of an int-or-string report one by one; the anyOf itself says it whole.
      if (/\/anyOf\/\d+\//.test(error.schemaPath)) continue;
      const path = error.instancePath.split('/').slice(1).map(unescapePointer);
      if (error.keyword === 'required') {
        const field = formatPath([...path, String(error.params['missingProperty'])]);
        causes.push({ field, reason: 'FieldValueRequired', message: `${field} is required` });
        continue;
      }
      const field = formatPath(path);
      const shown = JSON.stringify(error.data)?.slice(0, 120) ?? 'undefined';
      if (error.keyword === 'enum') {
        const allowed = (error.params['allowedValues'] as unknown[]).map((one) => JSON.stringify(one)).join(', ');
        causes.push({
          field,
          reason: 'FieldValueNotSupported',
          message: `${field}: unsupported value ${shown}: supported values: ${allowed}`,
        });
        continue;
      }
      const must =
        error.keyword === 'type'
          ? `must be of type ${String(error.params['type'])}`
          : error.keyword === 'anyOf'
            ? 'must be an integer or a string'
            : (error.message ?? 'is invalid');
      causes.push({ field, reason: 'FieldValueInvalid', message: `${field} ${must}: ${shown}` });
    }
  }

  #oneOf(vmi: unknown, group: Group, causes: Cause[]): void {
    for (const { value, path } of visit(vmi, group.parent.split('.'), [])) {
      if (typeof value !== 'object' || value === null) continue;
      const given = Object.keys(value).filter((key) => group.keys.has(key));
      const field = formatPath(path);
      const known = [...group.keys.keys()].join(', ');
      if (given.length > 1) {
        causes.push({
          field,
          reason: 'FieldValueInvalid',
          message: `${field} must have exactly one ${group.name}, but has ${given.join(' and ')}`,
        });
      } else if (given.length === 0 && group.name !== 'target' && !this.#refused(value, group.parent)) {
        causes.push({
          field,
          reason: 'FieldValueRequired',
          message: `${field} must have exactly one ${group.name} (${known})`,
        });
      }
    }
  }

  /** A source that is refused by name already needs no second cause. */
  #refused(value: object, parent: string): boolean {
    return Object.keys(value).some(
      (key) => this.#known[`${parent}.${key}`] !== undefined && !this.owners.has(`${parent}.${key}`),
    );
  }
}

function* visit(
  value: unknown,
  keys: readonly string[],
  path: (string | number)[],
): Generator<{ value: unknown; path: (string | number)[] }> {
  const [key, ...rest] = keys;
  if (key === undefined) {
    yield { value, path };
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const isList = key.endsWith('[]');
  const name = isList ? key.slice(0, -2) : key;
  const next = (value as Record<string, unknown>)[name];
  if (!isList) yield* visit(next, rest, [...path, name]);
  else if (Array.isArray(next)) for (let i = 0; i < next.length; i++) yield* visit(next[i], rest, [...path, name, i]);
}

function unescapePointer(part: string): string | number {
  return /^\d+$/.test(part) ? Number(part) : part.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** Kubernetes' extensions in words that ajv knows. */
function forAjv(node: unknown): Schema {
  if (Array.isArray(node)) return node.map(forAjv) as unknown as Schema;
  if (typeof node !== 'object' || node === null) return node as unknown as Schema;
  const out: Record<string, unknown> = {};
  for (const key in node) {
    const value = (node as Record<string, unknown>)[key];
    if (key.startsWith('x-') || key === 'format') continue;
    // Below `properties` the keys are field names, not keywords.
    if (key === 'properties') {
      out[key] = Object.fromEntries(Object.entries(value as object).map(([name, child]) => [name, forAjv(child)]));
    } else out[key] = forAjv(value);
  }
  if ((node as ObjectNode)['x-kubernetes-int-or-string'] === true) {
    delete out['type'];
    out['anyOf'] = [{ type: 'integer' }, { type: 'string' }];
  }
  return out;
}
