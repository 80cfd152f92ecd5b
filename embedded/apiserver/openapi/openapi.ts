// The OpenAPI documents, v2 and v3, from the schemas of what is served; made when asked for and kept until that changes.
import { randomBytes } from 'node:crypto';
import type { Environment } from '../environment.ts';
import { asObject, isObject, type JsonObject } from '../json.ts';
import { DEFINITIONS } from '../kinds/built-in.ts';
import { apiVersion, type Kind, type Served, type Version } from '../kinds/kind.ts';
import type { Schema } from '../schema/schema.ts';
import { descriptionsOf } from './descriptions.ts';
import { encodeOpenApiV2 } from './protobuf.ts';

type Dialect = 'v2' | 'v3';

const ROOTS: Record<Dialect, string> = { v2: '#/definitions/', v3: '#/components/schemas/' };
const META = 'V1ObjectMeta';
const LIST_META = 'V1ListMeta';

/** Parameters by which kubectl tells that the server checks fields and dry-runs itself. */
const WRITE_PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation'];

/** Tells this run's documents from those of another: clients keep them by their hash. */
const RUN = randomBytes(8).toString('hex');

interface Cache {
  generation: number;
  documents: Map<string, unknown>;
}

const caches = new WeakMap<object, Cache>();

function cached<T>(env: Environment, name: string, make: () => T): T {
  let cache = caches.get(env.registry);
  if (cache?.generation !== env.registry.generation) {
    cache = { generation: env.registry.generation, documents: new Map() };
    caches.set(env.registry, cache);
  }
  if (!cache.documents.has(name)) cache.documents.set(name, make());
  return cache.documents.get(name) as T;
}

export function openApiV3Index(env: Environment): JsonObject {
  const hash = `${RUN}${String(env.registry.generation)}`;
  const paths = new Map<string, JsonObject>();
  for (const { kind, version } of served(env)) {
    const path = pathOf(kind, version);
    paths.set(path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` });
  }
  return { paths: Object.fromEntries(paths) };
}

/** @param path `api/v1` or `apis/<group>/<version>`. */
export function openApiV3(env: Environment, path: string): string | undefined {
  const here = served(env).filter(({ kind, version }) => pathOf(kind, version) === path);
  if (here.length === 0) return undefined;
  return cached(env, path, () => {
    const document = {
      openapi: '3.0.0',
      info: { title: 'Kubernetes', version: 'unversioned' },
      paths: Object.assign({}, ...here.map((each) => pathItems(each, 'v3'))) as JsonObject,
      components: { schemas: definitions(here, 'v3') },
    };
    return JSON.stringify(document);
  }) as unknown as string;
}

export function openApiV2(env: Environment, format: 'json' | 'protobuf'): unknown {
  const all = served(env);
  return cached(env, `v2-${format}`, () => {
    const document = {
      swagger: '2.0',
      info: { title: 'Kubernetes', version: 'unversioned' },
      paths: Object.assign({}, ...all.map((each) => pathItems(each, 'v2'))) as JsonObject,
      definitions: definitions(all, 'v2'),
    };
    return format === 'protobuf' ? encodeOpenApiV2(document) : document;
  });
}

function served(env: Environment): Served[] {
  return env.registry.all().flatMap((kind) => kind.versions.map((version) => ({ kind, version })));
}

function pathOf(kind: Kind, version: Version): string {
  return kind.group === '' ? `api/${version.name}` : `apis/${kind.group}/${version.name}`;
}

function nameOf({ kind, version }: Served): string {
  if (!kind.custom) return published(version.schema.$ref ?? kind.kind);
  return `${kind.group.split('.').reverse().join('.')}.${version.name}.${kind.kind}`;
}

function definitions(here: Served[], dialect: Dialect): JsonObject {
  const all: JsonObject = {};
  const add = (name: string): void => {
    const definition = DEFINITIONS[name];
    if (Object.hasOwn(all, published(name)) || definition === undefined) return;
    all[published(name)] = {};
    const translated = translate(definition, dialect, add);
    // kubectl explains from v3; v2 is read whole by every apply of an old kubectl and stays small.
    all[published(name)] = dialect === 'v3' ? described(translated, name) : translated;
  };
  add(META);
  add(LIST_META);
  add('V1DeleteOptions');
  add('V1Status');
  for (const each of here) {
    const { kind, version } = each;
    const name = nameOf(each);
    const id = [{ group: kind.group, version: version.name, kind: kind.kind }];
    if (kind.custom) all[name] = customDefinition(version, dialect, add);
    else add(version.schema.$ref ?? '');
    all[name] = { ...asObject(all[name]), 'x-kubernetes-group-version-kind': id };
    if (kind.isReview) continue;
    all[`${name}List`] = {
      type: 'object',
      required: ['items'],
      properties: {
        ...{ apiVersion: { type: 'string' }, kind: { type: 'string' } },
        items: { type: 'array', items: reference(name, dialect) },
        metadata: reference(published(LIST_META), dialect),
      },
      'x-kubernetes-group-version-kind': [{ group: kind.group, version: version.name, kind: `${kind.kind}List` }],
    };
  }
  return all;
}

function described(schema: JsonObject, model: string): JsonObject {
  const { own, fields } = descriptionsOf(model);
  const properties = Object.entries(asObject(schema['properties'])).map(([name, property]) => {
    const description = fields.get(name);
    return [name, description === undefined ? property : { description, ...asObject(property) }] as const;
  });
  return { ...(own === '' ? {} : { description: own }), ...schema, properties: Object.fromEntries(properties) };
}

function customDefinition(version: Version, dialect: Dialect, add: (name: string) => void): JsonObject {
  const schema = asObject(translate(version.schema, dialect, add));
  if (dialect === 'v2' && version.schema['x-kubernetes-preserve-unknown-fields'] === true) return { type: 'object' };
  return {
    ...schema,
    type: 'object',
    properties: {
      ...asObject(schema['properties']),
      ...{ apiVersion: { type: 'string' }, kind: { type: 'string' } },
      metadata: reference(published(META), dialect),
    },
  };
}

/** The name of a built-in definition in the documents: clients show what follows the last dot. */
function published(model: string): string {
  const [, group = '', rest = ''] = /^(Core|Events)?V1(.*)$/.exec(model) ?? [];
  if (rest === '') return model;
  return `io.k8s.api.${group === '' ? '' : `${group.toLowerCase()}.`}v1.${rest}`;
}

function reference(name: string, dialect: Dialect): JsonObject {
  const $ref = ROOTS[dialect] + name;
  return dialect === 'v2' ? { $ref } : { allOf: [{ $ref }] };
}

/** What OpenAPI v2 cannot say, and kubectl would trip over. */
const NOT_IN_V2 = new Set(['nullable', 'anyOf', 'oneOf', 'not', 'allOf', 'default']);

function translate(schema: Schema, dialect: Dialect, add: (name: string) => void): JsonObject {
  if (schema.$ref !== undefined) {
    add(schema.$ref);
    const own = Object.entries(schema).filter(([name]) => name !== '$ref');
    const target = { $ref: ROOTS[dialect] + published(schema.$ref) };
    return own.length === 0 || dialect === 'v2' ? target : { ...Object.fromEntries(own), allOf: [target] };
  }
  const keepsUnknown = schema['x-kubernetes-preserve-unknown-fields'] === true;
  const result: JsonObject = {};
  for (const [name, value] of Object.entries(schema)) {
    if (dialect === 'v2' && NOT_IN_V2.has(name)) continue;
    // kubectl's own check knows only named fields: where anything goes, it must not see names.
    if (dialect === 'v2' && keepsUnknown && (name === 'properties' || name === 'type' || name === 'items')) continue;
    if (name === 'properties') {
      const entries = Object.entries(asObject(value)).map(([key, item]) => [
        key,
        translate(item as Schema, dialect, add),
      ]);
      result[name] = Object.fromEntries(entries) as JsonObject;
    } else if ((name === 'items' || name === 'additionalProperties' || name === 'not') && isObject(value)) {
      result[name] = translate(value as Schema, dialect, add);
    } else if ((name === 'allOf' || name === 'anyOf' || name === 'oneOf') && Array.isArray(value)) {
      result[name] = value.map((item) => translate(item as Schema, dialect, add));
    } else result[name] = value;
  }
  if (schema['x-kubernetes-int-or-string'] === true && dialect === 'v2') {
    return { ...result, type: 'string', format: 'int-or-string' };
  }
  if (schema['x-kubernetes-int-or-string'] === true) result['oneOf'] = [{ type: 'integer' }, { type: 'string' }];
  return result;
}

function pathItems(each: Served, dialect: Dialect): JsonObject {
  const { kind, version } = each;
  const root = kind.group === '' ? `/api/${version.name}` : `/apis/${apiVersion(kind.group, version.name)}`;
  const collection = `${root}${kind.namespaced ? '/namespaces/{namespace}' : ''}/${kind.plural}`;
  const id = { group: kind.group, version: version.name, kind: kind.kind };
  const content =
    dialect === 'v3'
      ? { content: { 'application/json': { schema: reference(nameOf(each), 'v3') } } }
      : { schema: reference(nameOf(each), 'v2') };
  const operation = (action: string, parameters: string[]): JsonObject => ({
    operationId: `${action}${kind.kind}${version.name}${kind.group}`,
    parameters: parameters.map((name) => parameter(name, dialect)),
    responses: { 200: { description: 'OK', ...content } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': id,
  });
  if (kind.isReview) return { [collection]: { post: operation('post', WRITE_PARAMETERS) } };
  return {
    [collection]: {
      get: operation('list', ['labelSelector', 'fieldSelector', 'limit', 'continue', 'resourceVersion', 'watch']),
      post: operation('post', WRITE_PARAMETERS),
      delete: operation('deletecollection', ['dryRun']),
    },
    [`${collection}/{name}`]: {
      get: operation('get', []),
      put: operation('put', WRITE_PARAMETERS),
      patch: operation('patch', [...WRITE_PARAMETERS, 'force']),
      delete: operation('delete', ['dryRun', 'gracePeriodSeconds', 'propagationPolicy']),
    },
  };
}

function parameter(name: string, dialect: Dialect): JsonObject {
  const type = {
    type:
      name === 'force' || name === 'watch'
        ? 'boolean'
        : name === 'limit' || name === 'gracePeriodSeconds'
          ? 'integer'
          : 'string',
  };
  return { name, in: 'query', ...(dialect === 'v3' ? { schema: type } : type) };
}
