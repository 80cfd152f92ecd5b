// Rules for VirtualMachines; those of the VMI in the template are the other plugins'.
import type { AdmitInput, Cause, Verdict } from '../../core/index.ts';
import { RUN_STRATEGIES, VIRTUAL_MACHINE } from './kind.ts';

/** Fields of KubeVirt's VirtualMachineSpec that belong to features of their own. */
const ELSEWHERE: Record<string, string> = {
  instancetype: 'instancetype',
  preference: 'instancetype',
  dataVolumeTemplates: 'cdi',
  updateVolumesStrategy: 'migration',
};
const OWN = new Set(['running', 'runStrategy', 'template']);

export function admit(input: AdmitInput): Verdict | undefined {
  if (input.kind !== VIRTUAL_MACHINE.resource.kind || input.operation === 'DELETE') return undefined;
  const spec = (input.object.spec ?? {}) as Record<string, unknown>;
  const causes: Cause[] = [];
  for (const field of Object.keys(spec)) {
    if (OWN.has(field)) continue;
    const plugin = Object.hasOwn(ELSEWHERE, field) ? ELSEWHERE[field] : undefined;
    causes.push(
      plugin === undefined
        ? { field: `spec.${field}`, reason: 'FieldValueInvalid', message: `unknown field "spec.${field}"` }
        : {
            field: `spec.${field}`,
            reason: 'FieldValueNotSupported',
            message: `spec.${field} belongs to plugin "${plugin}", which is not enabled here: enable plugin "${plugin}" or leave the field out`,
          },
    );
  }
  const { running, runStrategy, template } = spec;
  if (template === undefined || template === null) {
    causes.push({ field: 'spec.template', reason: 'FieldValueRequired', message: 'missing virtual machine template.' });
  } else if (input.vmi === undefined) {
    causes.push({
      field: 'spec.template.spec',
      reason: 'FieldValueRequired',
      message: 'spec.template.spec is required',
    });
  }
  if (running !== undefined && runStrategy !== undefined) {
    causes.push({
      field: 'spec.running',
      reason: 'FieldValueInvalid',
      message:
        'Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead',
    });
  }
  if (running === undefined && runStrategy === undefined) {
    causes.push({ field: 'spec.running', reason: 'FieldValueInvalid', message: 'RunStrategy must be specified' });
  }
  if (running !== undefined && typeof running !== 'boolean') {
    causes.push({
      field: 'spec.running',
      reason: 'FieldValueInvalid',
      message: 'spec.running must be of type boolean',
    });
  }
  if (runStrategy !== undefined && !RUN_STRATEGIES.some((one) => one === runStrategy)) {
    causes.push({
      field: 'spec.runStrategy',
      reason: 'FieldValueInvalid',
      message: `Invalid RunStrategy (${String(runStrategy)})`,
    });
  }
  const warnings = running === undefined ? [] : ['spec.running is deprecated, please use spec.runStrategy instead.'];
  return { causes, warnings };
}
