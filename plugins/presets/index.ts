// VirtualMachineInstancePreset: label-selected defaults that fill in a new VMI where it says nothing.
import { definePlugin } from '../../core/index.ts';
import { admit } from './admit.ts';
import { applyPresets } from './defaults.ts';
import { PRESET } from './kind.ts';
import { overrideEvents } from './override-events.ts';

export default definePlugin({
  name: 'presets',
  version: '0.1.0',
  core: '^1.0.0',
  summary: 'VirtualMachineInstancePreset: defaults for VMIs, by label',
  // Presets come before anyone's defaults: a default must not keep a preset out.
  before: ['compute', 'disks', 'interfaces', 'scheduling', 'virtual-machine'],
  setup: (host) => ({
    kinds: [PRESET],
    admit,
    defaultPreset: (input) => applyPresets(host, input),
    controllers: (context) => [overrideEvents(context)],
  }),
});
