// VirtualMachine: a VM that outlives its instances, kept as its run strategy says.
import { definePlugin } from '../../core/index.ts';
import { admit } from './admit.ts';
import { VIRTUAL_MACHINE, VM_FINALIZER } from './kind.ts';
import { virtualMachineController } from './reconcile.ts';
import { verbs } from './verbs.ts';

export default definePlugin({
  name: 'virtual-machine',
  version: '0.1.0',
  core: '^1.0.0',
  summary: 'the VirtualMachine kind: run strategies, start, stop, restart',
  setup: () => ({
    kinds: [VIRTUAL_MACHINE],
    admit,
    defaultPreset({ kind, operation, object }) {
      if (kind !== VIRTUAL_MACHINE.resource.kind || operation !== 'CREATE') return;
      const finalizers = object.metadata.finalizers ?? [];
      if (finalizers.includes(VM_FINALIZER)) return;
      return [{ path: ['metadata', 'finalizers'], value: [...finalizers, VM_FINALIZER], why: 'waits for its VMI' }];
    },
    controllers: (context) => [virtualMachineController(context)],
    verbs,
  }),
});
