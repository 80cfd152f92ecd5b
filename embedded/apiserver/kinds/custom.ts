// Turns a CustomResourceDefinition into a Kind record.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { asArray, asObject, asString, asStrings, at, type JsonObject } from '../json.ts';
import { selectPath } from '../json-path.ts';
import { noReferences, type Schema } from '../schema/schema.ts';
import { age } from './age.ts';
import { AGE, NAME } from './columns.ts';
import { apiVersion, type Column, type Kind, type Scale, storageKey, type Version } from './kind.ts';

/** The kind that a CRD defines; undefined while it serves no version. */
export function customKind(crd: KubeObject): Kind | undefined {
  const spec = asObject(crd.spec);
  const names = asObject(spec['names']);
  const group = asString(spec['group']);
  const plural = asString(names['plural']);
  const kind = asString(names['kind']);
  const all = asArray(spec['versions']).map(asObject);
  const versions = all
    .filter((version) => version['served'] === true)
    .map((version) => customVersion(version, group, kind))
    .sort((a, b) => compareVersions(a.name, b.name));
  if (versions.length === 0) return undefined;
  return {
    group,
    kind,
    plural,
    singular: asString(names['singular']) || kind.toLowerCase(),
    namespaced: spec['scope'] === 'Namespaced',
    shortNames: asStrings(names['shortNames']),
    categories: asStrings(names['categories']),
    versions,
    storageVersion: asString(all.find((version) => version['storage'] === true)?.['name']),
    storage: storageKey(group, plural),
    subresources: [],
    custom: true,
    hasGeneration: true,
    isReview: false,
    keepsStatus: false,
  };
}

function customVersion(version: JsonObject, group: string, kind: string): Version {
  const name = asString(version['name']);
  const schema = asObject(at(version, 'schema.openAPIV3Schema')) as Schema;
  const subresources = asObject(version['subresources']);
  const columns = asArray(version['additionalPrinterColumns']).map(asObject).map(customColumn);
  const warning = asString(version['deprecationWarning']);
  return {
    name,
    schema,
    resolve: noReferences,
    columns: columns.length === 0 ? [NAME, AGE] : [NAME, ...columns],
    ...(version['deprecated'] === true
      ? { deprecation: warning === '' ? `${apiVersion(group, name)} ${kind} is deprecated` : warning }
      : {}),
    hasStatus: subresources['status'] !== undefined,
    ...(subresources['scale'] === undefined ? {} : { scale: subresources['scale'] as Scale }),
    selectable: asArray(version['selectableFields']).map((field) => asString(asObject(field)['jsonPath']).slice(1)),
  };
}

function customColumn(column: JsonObject): Column {
  const type = asString(column['type']);
  const path = asString(column['jsonPath']);
  return {
    name: asString(column['name']),
    type,
    format: asString(column['format']),
    description: asString(column['description']),
    priority: Number(column['priority'] ?? 0),
    cell: (object) => {
      const value = selectPath(object, path)[0];
      if (value === undefined || value === null) return null;
      if (type === 'date') return age(value);
      if (type === 'integer' || type === 'number') return Number(value);
      if (type === 'boolean') return value === true || value === 'true';
      return typeof value === 'string' ? value : JSON.stringify(value);
    },
  };
}

const VERSION = /^v(\d+)(?:(alpha|beta)(\d+))?$/;

/** Kubernetes' order: stable before beta before alpha, higher before lower, other names last in alphabet. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [VERSION.exec(a), VERSION.exec(b)];
  if (left === null || right === null) {
    if (left !== null || right !== null) return left === null ? 1 : -1;
    return a < b ? -1 : 1;
  }
  const rank = (stage: string | undefined): number => (stage === undefined ? 0 : stage === 'beta' ? 1 : 2);
  return (
    rank(left[2]) - rank(right[2]) || Number(right[1]) - Number(left[1]) || Number(right[3] ?? 0) - Number(left[3] ?? 0)
  );
}
