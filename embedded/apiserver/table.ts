// Table output: what kubectl prints, one row an object.
import type { KubeObject } from '../../core/kube/objects.ts';
import type { JsonObject } from './json.ts';
import type { Column, Version } from './kinds/kind.ts';

const API_VERSION = 'meta.k8s.io/v1';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export function table(objects: KubeObject[], version: Version, include: IncludeObject, metadata: object): JsonObject {
  return {
    kind: 'Table',
    apiVersion: API_VERSION,
    metadata,
    columnDefinitions: version.columns.map(definition),
    rows: objects.map((object) => row(object, version.columns, include)),
  };
}

function definition({ name, type, format = '', description = '', priority = 0 }: Column): JsonObject {
  return { name, type, format, description, priority };
}

function row(object: KubeObject, columns: Column[], include: IncludeObject): JsonObject {
  const cells = columns.map((column) => column.cell(object));
  if (include === 'None') return { cells };
  return { cells, object: include === 'Object' ? object : partial(object) };
}

/** PartialObjectMetadata of an object. */
export function partial(object: KubeObject): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: API_VERSION, metadata: object.metadata };
}
