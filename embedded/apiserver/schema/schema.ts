// The structural schema that one code path validates, prunes and defaults by: CRDs' own, and the built-in kinds'.

/** An OpenAPI v3 schema with Kubernetes' extensions, as a CRD holds it. */
export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  description?: string;
  default?: unknown;
  nullable?: boolean;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  required?: string[];
  enum?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minProperties?: number;
  maxProperties?: number;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  not?: Schema;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-embedded-resource'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-map-type'?: string;
  'x-kubernetes-patch-merge-key'?: string;
  'x-kubernetes-patch-strategy'?: string;
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[];
}

/** Resolves `$ref`: built-in schemas share definitions, which may contain themselves. */
export type Resolve = (schema: Schema) => Schema;

export const noReferences: Resolve = (schema) => schema;

/** Adds a step to a field path: `spec` + `a.b` is `spec.a.b`; an index is `[0]`. */
export function fieldPath(base: string, step: string | number): string {
  if (typeof step === 'number') return `${base}[${String(step)}]`;
  return base === '' ? step : `${base}.${step}`;
}

/** What an embedded object may always carry, whatever its schema says. */
export const OBJECT_META_FIELDS = new Set(['apiVersion', 'kind', 'metadata']);
