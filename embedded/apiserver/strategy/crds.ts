// CustomResourceDefinitions: defaults, rules, and the status that says the kind is served.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { asArray, asObject, asString, asStrings, at, type JsonObject } from '../json.ts';
import { timestamp } from '../metadata.ts';
import { invalidValue, requiredValue } from '../schema/validate.ts';
import type { Cause } from '../status.ts';
import type { Strategy, StrategyContext } from './strategy.ts';

/** Set while objects of the kind are still there. */
export const CRD_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';

function withNames(spec: JsonObject): JsonObject {
  const names = asObject(spec['names']);
  const kind = asString(names['kind']);
  return {
    ...spec,
    conversion: spec['conversion'] ?? { strategy: 'None' },
    names: {
      ...names,
      listKind: asString(names['listKind']) || `${kind}List`,
      singular: asString(names['singular']) || kind.toLowerCase(),
    },
  };
}

/** A condition that keeps its time while its status stays. */
function condition(old: JsonObject[], type: string, status: string, reason: string, message: string): JsonObject {
  const before = old.find((each) => each['type'] === type);
  const lastTransitionTime = before?.['status'] === status ? before['lastTransitionTime'] : timestamp();
  return { type, status, reason, message, lastTransitionTime };
}

function statusOf(crd: KubeObject, old: KubeObject | undefined, taken: string): JsonObject {
  const conditions = asArray(at(old, 'status.conditions')).map(asObject);
  const versions = asArray(at(crd, 'spec.versions')).map(asObject);
  const storage = asString(versions.find((version) => version['storage'] === true)?.['name']);
  const stored = asStrings(at(crd, 'status.storedVersions'));
  const accepted = taken === '';
  const other = conditions.filter((each) => !['NamesAccepted', 'Established'].includes(asString(each['type'])));
  return {
    conditions: [
      accepted
        ? condition(conditions, 'NamesAccepted', 'True', 'NoConflicts', 'no conflicts found')
        : condition(conditions, 'NamesAccepted', 'False', 'ListKindConflict', taken),
      accepted
        ? condition(conditions, 'Established', 'True', 'InitialNamesAccepted', 'the initial names have been accepted')
        : condition(conditions, 'Established', 'False', 'NotAccepted', 'not all names are accepted'),
      ...other,
    ],
    acceptedNames: asObject(at(crd, 'spec.names')),
    storedVersions: stored.includes(storage) ? stored : [...stored, storage],
  };
}

function takenNames(crd: KubeObject, { registry }: StrategyContext): string {
  const { group } = asObject(crd.spec);
  const kind = asString(at(crd, 'spec.names.kind'));
  const clash = registry.byKind(asString(group), kind);
  const plural = asString(at(crd, 'spec.names.plural'));
  return clash !== undefined && clash.plural !== plural ? `"${kind}" is already in use` : '';
}

export const crdStrategy: Strategy = {
  prepare(crd, old, context) {
    const spec = withNames(asObject(crd.spec));
    const next = { ...crd, spec, ...(old?.status === undefined ? {} : { status: old.status }) };
    const finalizers = next.metadata.finalizers ?? [];
    const isNew = old === undefined && !finalizers.includes(CRD_FINALIZER);
    return {
      ...next,
      metadata: isNew ? { ...next.metadata, finalizers: [...finalizers, CRD_FINALIZER] } : next.metadata,
      status: statusOf(next, old, takenNames(next, context)),
    };
  },
  validate(crd, old, { registry }) {
    const spec = asObject(crd.spec);
    const group = asString(spec['group']);
    const plural = asString(at(spec, 'names.plural'));
    const causes: Cause[] = [];
    if (crd.metadata.name !== `${plural}.${group}`) {
      causes.push(invalidValue('metadata.name', crd.metadata.name, `must be spec.names.plural+"."+spec.group`));
    }
    if (registry.byPlural(group, plural)?.custom === false) {
      causes.push(invalidValue('spec.group', group, 'is served by the API server itself'));
    }
    if (!['Namespaced', 'Cluster'].includes(asString(spec['scope']))) {
      const message = `Unsupported value: ${JSON.stringify(spec['scope'])}: supported values: "Cluster", "Namespaced"`;
      causes.push({ reason: 'FieldValueNotSupported', message, field: 'spec.scope' });
    }
    if (old !== undefined && spec['scope'] !== at(old, 'spec.scope')) {
      causes.push(invalidValue('spec.scope', spec['scope'], 'field is immutable'));
    }
    if (at(spec, 'conversion.strategy') !== 'None') {
      const message = `Unsupported value: ${JSON.stringify(at(spec, 'conversion.strategy'))}: supported values: "None"`;
      causes.push({ reason: 'FieldValueNotSupported', message, field: 'spec.conversion.strategy' });
    }
    const versions = asArray(spec['versions']).map(asObject);
    const stored = versions.filter((version) => version['storage'] === true).length;
    if (stored !== 1) {
      causes.push(invalidValue('spec.versions', stored, 'must have exactly one version marked as storage version'));
    }
    versions.forEach((version, index) => {
      const field = `spec.versions[${String(index)}].schema.openAPIV3Schema`;
      const schema = at(version, 'schema.openAPIV3Schema');
      if (schema === undefined) causes.push(requiredValue(field, 'schemas are required'));
      else if (asObject(schema)['type'] !== 'object') {
        causes.push(invalidValue(`${field}.type`, asObject(schema)['type'] ?? '', 'must be object at the root'));
      }
    });
    return causes;
  },
};
