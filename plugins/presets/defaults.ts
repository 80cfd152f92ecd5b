// The defaultPreset tap: finds the presets that match a new VMI and fills it in.
import {
  setPath,
  VMIS,
  type Cause,
  type DefaultInput,
  type Defaults,
  type Patch,
  type PluginHost,
} from '../../core/index.ts';
import { PRESET, type Preset } from './kind.ts';
import { disagreements, merge } from './merge.ts';
import { matches } from './selector.ts';

export const EXCLUDE = 'virtualmachineinstancepresets.admission.kubevirt.io/exclude';
export const APPLIED_PREFIX = 'virtualmachinepreset.kubevirt.io/';
/** Fields that the VMI kept against its presets: `{"<preset>": ["spec.domain.cpu", ...]}`. */
export const OVERRIDDEN = 'presets.virtloom.io/overridden';

const WARNING = 'VirtualMachineInstancePreset is deprecated: use an instance type and a preference instead.';

export async function applyPresets(host: PluginHost, input: DefaultInput): Promise<Defaults | undefined> {
  const { vmi } = input;
  if (input.operation !== 'CREATE' || input.kind !== VMIS.kind || !vmi) return undefined;
  const { namespace = '', labels = {}, annotations = {} } = vmi.metadata;
  if (annotations[EXCLUDE] === 'true') return undefined;
  const all = await host.list<Preset>(PRESET.resource, namespace);
  const presets = all
    .filter((preset) => preset.spec.domain !== undefined && matches(preset.spec.selector, labels))
    .sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
  if (presets.length === 0) return undefined;

  const causes = conflicts(presets);
  if (causes.length > 0) return { causes };

  const patches: Patch[] = [];
  const applied: Record<string, string> = {};
  const overridden: Record<string, string[]> = {};
  let domain: unknown = vmi.spec.domain;
  for (const preset of presets) {
    const name = preset.metadata.name ?? '';
    const result = merge(preset.spec.domain, domain);
    for (const { path, value } of result.fill) {
      patches.push({ path: ['spec', 'domain', ...path], value, why: `preset ${name}` });
      domain = setPath(domain, path, value);
    }
    if (result.applied) applied[`${APPLIED_PREFIX}${name}`] = 'kubevirt.io/v1';
    if (result.overridden.length > 0) overridden[name] = result.overridden.map((one) => one.field);
  }
  const notes = {
    ...applied,
    ...(Object.keys(overridden).length > 0 ? { [OVERRIDDEN]: JSON.stringify(overridden) } : {}),
  };
  for (const [key, value] of Object.entries(notes)) patches.push({ path: ['metadata', 'annotations', key], value });
  return { patches, warnings: [WARNING] };
}

function conflicts(presets: readonly Preset[]): Cause[] {
  const causes: Cause[] = [];
  presets.forEach((preset, index) => {
    for (const other of presets.slice(0, index)) {
      for (const one of disagreements(preset.spec.domain, other.spec.domain)) {
        causes.push({
          field: one.field,
          reason: 'FieldValueInvalid',
          message:
            `VirtualMachinePresets cannot be applied due to conflicts: presets '${preset.metadata.name ?? ''}' and ` +
            `'${other.metadata.name ?? ''}' conflict: ${one.field}: ${JSON.stringify(one.theirs)} != ${JSON.stringify(one.mine)}`,
        });
      }
    }
  });
  return causes;
}
