// The kind Plugin, as KubeVirt 1.9 has it.
import type { KindDefinition, KubeObject } from '../../core/index.ts';

export type FailureStrategy = 'Fail' | 'Ignore';

interface Hook {
  /** CEL over the VMI; absent: always. */
  readonly condition?: string;
  readonly failureStrategy?: FailureStrategy;
  /** As Go writes durations: `30s`, `1m30s`. */
  readonly timeout?: string;
}
export interface DomainHook extends Hook {
  readonly cel?: { readonly expression: string };
  readonly sidecar?: { readonly socketPath: string };
}
export interface NodeHook extends Hook {
  readonly socket: string;
  readonly permittedHooks: readonly string[];
}
export interface Plugin extends KubeObject {
  readonly spec: {
    readonly condition?: string;
    readonly failureStrategy?: FailureStrategy;
    readonly domainHooks?: readonly DomainHook[];
    readonly nodeHooks?: readonly NodeHook[];
    readonly [admissionReferences: string]: unknown;
  };
}

export const POINTS = ['PreVMStart', 'PostVMStart', 'PreVMStop', 'PostVMStop'] as const;
/** Nothing calls these until there is live migration. */
export const MIGRATION_POINTS = [
  'PreMigrationSource',
  'PostMigrationSource',
  'PreMigrationTarget',
  'PostMigrationTarget',
] as const;
/** Names of objects that KubeVirt's kind has a place for, and makes nothing of. */
export const ADMISSION_REFERENCES = [
  'mutatingAdmissionPolicies',
  'validatingAdmissionPolicies',
  'mutatingAdmissionWebhooks',
  'validatingAdmissionWebhooks',
] as const;

const TEXT = { type: 'string' };
const FILLED = { type: 'string', minLength: 1 };
const STRATEGY = { type: 'string', enum: ['Fail', 'Ignore'] };
const HOOK = { condition: TEXT, failureStrategy: STRATEGY, timeout: TEXT };
const REFERENCES = { type: 'array', items: { type: 'object', required: ['name'], properties: { name: FILLED } } };
const list = (required: string[], properties: object): object => ({
  type: 'array',
  items: { type: 'object', required, properties },
});

export const PLUGIN: KindDefinition = {
  resource: {
    group: 'plugin.kubevirt.io',
    version: 'v1alpha1',
    plural: 'plugins',
    kind: 'Plugin',
    namespaced: false,
  },
  singular: 'plugin',
  shortNames: [],
  versions: [{ name: 'v1alpha1' }],
  spec: {
    type: 'object',
    properties: {
      condition: TEXT,
      failureStrategy: STRATEGY,
      domainHooks: list([], {
        ...HOOK,
        cel: { type: 'object', required: ['expression'], properties: { expression: FILLED } },
        sidecar: { type: 'object', required: ['socketPath'], properties: { socketPath: FILLED } },
      }),
      nodeHooks: list(['socket', 'permittedHooks'], {
        ...HOOK,
        socket: FILLED,
        permittedHooks: {
          type: 'array',
          minItems: 1,
          items: { type: 'string', enum: [...POINTS, ...MIGRATION_POINTS] },
        },
      }),
      ...Object.fromEntries(ADMISSION_REFERENCES.map((name) => [name, REFERENCES])),
    },
  },
  columns: [{ name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
  statusSubresource: false,
};

/** Milliseconds of a duration as Go writes it; undefined where it is none. */
export function millisecondsOf(duration: string): number | undefined {
  const UNITS: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };
  if (!/^(\d+(\.\d+)?(h|ms|m|s|us|µs|ns))+$/.test(duration)) return undefined;
  let total = 0;
  for (const [, number, unit] of duration.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g)) {
    total += Number(number) * (UNITS[unit ?? ''] ?? 0);
  }
  return total;
}
