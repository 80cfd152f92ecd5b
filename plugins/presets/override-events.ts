// Tells, by an event on a new VMI, which fields it kept against its presets.
import { Controller, VMIS, type ControllerContext, type Vmi } from '../../core/index.ts';
import { OVERRIDDEN } from './defaults.ts';

export function overrideEvents(context: ControllerContext): Controller {
  const vmis = context.informer<Vmi>(VMIS);
  const told = new Set<string>();
  return new Controller({
    name: 'preset-overrides',
    log: context.log,
    async reconcile({ namespace, name }) {
      const vmi = vmis.get(namespace, name);
      const note = vmi?.metadata.annotations?.[OVERRIDDEN];
      const uid = vmi?.metadata.uid ?? '';
      if (!vmi || note === undefined) return;
      const phase = vmi.status?.phase ?? '';
      // Told once, while it is new: a restarted controller must not tell it again of a VMI that long runs.
      if (told.has(uid) || !['', 'Pending', 'Scheduling'].includes(phase)) return;
      told.add(uid);
      for (const [preset, fields] of Object.entries(parse(note))) {
        context.events.event(
          vmi,
          'Warning',
          'Override',
          `Unable to apply VirtualMachineInstancePreset '${preset}' to ${fields.join(', ')}: the VirtualMachineInstance sets ${fields.length > 1 ? 'them' : 'it'} itself`,
        );
      }
    },
  }).watch(vmis, (vmi) =>
    vmi.metadata.annotations?.[OVERRIDDEN] === undefined
      ? []
      : [{ namespace: vmi.metadata.namespace ?? '', name: vmi.metadata.name ?? '' }],
  );
}

function parse(note: string): Record<string, string[]> {
  try {
    return JSON.parse(note) as Record<string, string[]>;
  } catch {
    // Someone else wrote the annotation.
    return {};
  }
}
