// What the core itself asks of every VirtualMachineInstance: its first phase, its finalizer, who may write what.
import type { KubeObject } from './kube/objects.ts';
import type { Patch } from './plugin.ts';
import { seconds } from './status.ts';
import { DEFAULTS_ANNOTATION } from './record.ts';
import type { Cause, Vmi, VmiStatus } from './types.ts';
import { VMI_FINALIZER, VMI_KIND } from './vmi-kind.ts';

/** One object on its way into the API server. */
export interface AdmissionRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly object: KubeObject;
  readonly old?: KubeObject;
  readonly user: { readonly username: string; readonly groups: readonly string[] };
}

/** Our own processes: the service accounts of this namespace. */
export const PLATFORM_GROUP = 'system:serviceaccounts:virtloom';

const RESERVED_LABELS = [
  'kubevirt.io/created-by',
  'kubevirt.io/migrationJobUID',
  'kubevirt.io/nodeName',
  'kubevirt.io/migrationTargetNodeName',
  'kubevirt.io/schedulable',
  'kubevirt.io/install-strategy',
];

export function isPlatform(user: AdmissionRequest['user']): boolean {
  return user.groups.includes(PLATFORM_GROUP);
}

/** Finalizer and phase Pending at creation; a status that is not the platform's is put back as it was. */
export function vmiDefaults(request: AdmissionRequest, now: Date): Patch[] {
  if (request.object.kind !== VMI_KIND.resource.kind || request.operation === 'DELETE') return [];
  if (request.operation === 'UPDATE') {
    if (isPlatform(request.user)) return [];
    const old = request.old?.status;
    return JSON.stringify(old) === JSON.stringify(request.object.status) ? [] : [{ path: ['status'], value: old }];
  }
  const status: VmiStatus = {
    phase: 'Pending',
    phaseTransitionTimestamps: [{ phase: 'Pending', phaseTransitionTimestamp: seconds(now) }],
  };
  const finalizers = request.object.metadata.finalizers ?? [];
  return [
    { path: ['metadata', 'finalizers'], value: [...new Set([...finalizers, VMI_FINALIZER])] },
    { path: ['status'], value: status },
  ];
}

/** The spec of a VMI does not change once it is there, and some labels are ours. */
export function vmiRules(request: AdmissionRequest): Cause[] {
  const { object, old, operation } = request;
  if (object.kind !== VMI_KIND.resource.kind || operation === 'DELETE' || isPlatform(request.user)) return [];
  const causes: Cause[] = [];
  if (operation === 'UPDATE' && old && stable(old.spec) !== stable(object.spec)) {
    causes.push({ field: 'spec', reason: 'FieldValueNotSupported', message: 'update of VMI object is restricted' });
  }
  for (const label of RESERVED_LABELS) {
    const value = object.metadata.labels?.[label];
    if (value === old?.metadata.labels?.[label]) continue;
    causes.push({
      field: 'metadata.labels',
      reason: 'FieldValueNotSupported',
      message: `modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited: ${label}`,
    });
  }
  return causes;
}

/** What stands on a VMI under this name is the platform's word for what it was started with. */
const RECORD_PREFIX = 'virtloom.io/';

/** Nobody else writes it: neither on a VMI, nor in a template, from which it would come onto one. */
export function recordRules(
  { operation, user }: AdmissionRequest,
  vmi: Vmi,
  old: Vmi | undefined,
  at: (path: string) => string,
): Cause[] {
  if (operation === 'DELETE' || isPlatform(user)) return [];
  const now = vmi.metadata.annotations ?? {};
  const before = old?.metadata.annotations ?? {};
  const changed = [...new Set([...Object.keys(before), ...Object.keys(now)])].filter(
    (key) => key.startsWith(RECORD_PREFIX) && now[key] !== before[key],
  );
  return (
    changed
      // On a new VMI it is the webhooks' own, whatever was there before.
      .filter((key) => operation !== 'CREATE' || key !== DEFAULTS_ANNOTATION || at('') !== '')
      .map((key) => ({
        field: at('metadata.annotations'),
        reason: 'FieldValueNotSupported',
        message: `modification of the following reserved annotation of a VMI is prohibited: ${key}`,
      }))
  );
}

/** JSON with sorted keys: the order in which a client sends fields says nothing. */
function stable(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
