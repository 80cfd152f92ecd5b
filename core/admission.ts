// What happens to an object before it is stored: defaults and presets, then every rule at once. No HTTP here.
import { freeze } from './freeze.ts';
import type { AdmitReport, DefaultsReport } from './hooks.ts';
import type { Host } from './host.ts';
import type { KubeObject } from './kube/objects.ts';
import { getPath, parsePath, setPath } from './path.ts';
import type { AdmitInput, Patch } from './plugin.ts';
import type { Cause, Owner, Vmi, VmiSpec } from './types.ts';
import { type AdmissionRequest, isPlatform, recordRules, vmiDefaults, vmiRules } from './vmi-admission.ts';
import { VMI_KIND } from './vmi-kind.ts';

const CORE: Owner = { plugin: 'core', tap: 'defaults' };

/** One field that a defaultPreset tap set. */
export interface DefaultRecord extends Patch {
  readonly by: Owner;
}

export interface Defaulted {
  readonly object: KubeObject;
  /** Who set which field, in order. */
  readonly record: readonly DefaultRecord[];
  readonly warnings: readonly string[];
  readonly causes: readonly Cause[];
}

/** Where in an object of this kind a VMI stands: '' for a VMI itself, undefined for kinds that hold none. */
export function templateOf(host: Host, kind: string): string | undefined {
  if (kind === VMI_KIND.resource.kind) return '';
  return host.kinds.find((one) => one.resource.kind === kind)?.template;
}

/** The VMI in `object`, made from its template where it is not a VMI itself. */
export function vmiIn(object: KubeObject, template: string | undefined): Vmi | undefined {
  if (template === undefined) return undefined;
  if (template === '') return object as unknown as Vmi;
  const found = getPath(object, parsePath(template)) as { metadata?: object; spec?: VmiSpec } | undefined;
  if (typeof found?.spec !== 'object' || found.spec === null) return undefined;
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: VMI_KIND.resource.kind,
    metadata: { ...found.metadata, name: object.metadata.name ?? '', namespace: object.metadata.namespace ?? '' },
    spec: found.spec,
  };
}

function pathIn(template: string | undefined): (path: string) => string {
  return template === undefined || template === '' ? (path) => path : (path) => `${template}.${path}`;
}

/** Runs defaultPreset over the object. Throws VL_TAP_* where a tap of a `Fail` plugin failed. */
export async function applyDefaults(host: Host, request: AdmissionRequest): Promise<Defaulted> {
  if (request.operation === 'DELETE') return { object: request.object, record: [], warnings: [], causes: [] };
  const { kind } = request.object;
  const template = templateOf(host, kind);
  const record: DefaultRecord[] = [];
  const warnings: string[] = [];
  const causes: Cause[] = [];
  const report: DefaultsReport = {
    input: { operation: request.operation, kind, at: pathIn(template), user: request.user },
    vmiOf: (object) => wellFormed(vmiIn(object, template)),
    add(by, defaults) {
      for (const patch of defaults.patches ?? []) record.push({ ...patch, by });
      warnings.push(...(defaults.warnings ?? []));
      causes.push(...(defaults.causes ?? []));
    },
  };
  let first = request.object;
  for (const patch of vmiDefaults(request, new Date())) {
    first = setPath(first, patch.path, patch.value);
    record.push({ ...patch, by: CORE });
  }
  // A platform process changes status and metadata of what was admitted before: nothing is left to default.
  const settled = request.operation === 'UPDATE' && isPlatform(request.user);
  const object = settled ? first : await host.hooks.defaultPreset.promise(first, report);
  return { object, record, warnings, causes };
}

/** Runs every rule. Causes come in a stable order: unknown and malformed fields first, then plugin by plugin. */
export async function admit(host: Host, request: AdmissionRequest): Promise<{ causes: Cause[]; warnings: string[] }> {
  freeze(request.object);
  freeze(request.old);
  const { kind } = request.object;
  const template = templateOf(host, kind);
  const at = pathIn(template);
  const causes: Cause[] = vmiRules(request);
  const warnings: string[] = [];
  const vmi = vmiIn(request.object, template);
  if (vmi && request.operation !== 'DELETE') {
    causes.push(...recordRules(request, vmi, request.old && vmiIn(request.old, template), at));
    for (const cause of host.fields.check(vmi)) {
      causes.push({
        ...cause,
        field: at(cause.field),
        message: cause.message.replaceAll(cause.field, at(cause.field)),
      });
    }
  }
  // Rules may rely on the shapes that the schema promises.
  if (causes.length > 0 && vmi && wellFormed(vmi) === undefined) return { causes, warnings };
  const oldVmi = request.old && wellFormed(vmiIn(request.old, template));
  const input: AdmitInput = {
    operation: request.operation,
    kind,
    object: request.object,
    ...(request.old ? { old: request.old } : {}),
    ...(vmi ? { vmi } : {}),
    ...(oldVmi ? { oldVmi } : {}),
    at,
    user: request.user,
  };
  const report: AdmitReport = {
    add(_, verdict) {
      causes.push(...(verdict.causes ?? []));
      warnings.push(...(verdict.warnings ?? []));
    },
  };
  await host.hooks.admit.promise(input, report);
  return { causes, warnings };
}

/** The VMI, if the lists that taps walk are lists of objects. */
function wellFormed(vmi: Vmi | undefined): Vmi | undefined {
  if (!vmi) return undefined;
  const spec = vmi.spec as Partial<VmiSpec> | undefined | null;
  if (typeof spec !== 'object' || spec === null) return undefined;
  if (typeof spec.domain !== 'object' || spec.domain === null) return undefined;
  const devices: unknown = spec.domain.devices ?? {};
  if (typeof devices !== 'object' || devices === null) return undefined;
  const { disks, interfaces } = devices as { disks?: unknown; interfaces?: unknown };
  for (const list of [disks, interfaces, spec.volumes, spec.networks] as unknown[]) {
    if (list === undefined) continue;
    if (!Array.isArray(list) || list.some((item) => typeof item !== 'object' || item === null)) return undefined;
  }
  return vmi;
}
