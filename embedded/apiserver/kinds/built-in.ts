// Turns the table of built-in kinds and the generated schemas into Kind records.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Schema } from '../schema/schema.ts';
import { builtInColumns } from './columns.ts';
import { fromStoredEvent, toStoredEvent } from './event-conversion.ts';
import { type Kind, storageKey } from './kind.ts';
import { BUILT_IN, type BuiltIn } from './table.ts';

/** Every definition that built-in schemas refer to, by name. */
export const DEFINITIONS = JSON.parse(readFileSync(join(import.meta.dirname, 'schemas.json'), 'utf8')) as Record<
  string,
  Schema
>;

export function resolveDefinition(schema: Schema): Schema {
  return schema.$ref === undefined ? schema : (DEFINITIONS[schema.$ref] ?? {});
}

export function builtInKinds(): Kind[] {
  return BUILT_IN.map(toKind);
}

function toKind(entry: BuiltIn): Kind {
  const isNewEvent = entry.group === 'events.k8s.io';
  return {
    group: entry.group,
    kind: entry.kind,
    plural: entry.plural,
    singular: entry.kind.toLowerCase(),
    namespaced: entry.namespaced === true,
    shortNames: entry.shortNames ?? [],
    categories: entry.categories ?? [],
    versions: [
      {
        name: entry.version,
        schema: { $ref: entry.model },
        resolve: resolveDefinition,
        columns: builtInColumns(entry.group, entry.plural),
        hasStatus: entry.status === true || entry.plural === 'nodes',
        selectable: entry.selectable ?? [],
      },
    ],
    storageVersion: entry.version,
    storage: isNewEvent ? storageKey('', 'events') : storageKey(entry.group, entry.plural),
    subresources: entry.subresources ?? [],
    custom: false,
    hasGeneration: entry.generation === true,
    isReview: entry.review === true,
    keepsStatus: entry.keepsStatus === true,
    ...(isNewEvent ? { fromStorage: fromStoredEvent, toStorage: toStoredEvent } : {}),
  };
}
