// The VirtualMachine kind: its resource, schema, columns; and the shape of its objects.
import type { Condition, KindDefinition, KubeObject, ObjectMeta, VmiSpec } from '../../core/index.ts';

export const RUN_STRATEGIES = ['Always', 'Halted', 'Manual', 'RerunOnFailure', 'Once'] as const;
export type RunStrategy = (typeof RUN_STRATEGIES)[number];

export interface StateChangeRequest {
  action: 'Start' | 'Stop';
  data?: Record<string, string>;
  /** The VMI that a Stop is meant for. */
  uid?: string;
}

export interface StartFailure {
  consecutiveFailCount: number;
  lastFailedVMIUID: string;
  retryAfterTimestamp: string;
}

export interface VirtualMachineStatus {
  created?: boolean;
  ready?: boolean;
  printableStatus?: string;
  runStrategy?: RunStrategy;
  conditions?: Condition[];
  stateChangeRequests?: StateChangeRequest[];
  startFailure?: StartFailure;
}

export interface VirtualMachine extends KubeObject {
  spec: {
    /** Deprecated; excludes runStrategy. */
    running?: boolean;
    runStrategy?: RunStrategy;
    template: { metadata?: ObjectMeta | null; spec: VmiSpec };
  };
  status?: VirtualMachineStatus;
}

export const VM_FINALIZER = 'kubevirt.io/virtualMachineControllerFinalize';

export const VIRTUAL_MACHINE: KindDefinition = {
  resource: {
    group: 'kubevirt.io',
    version: 'v1',
    plural: 'virtualmachines',
    kind: 'VirtualMachine',
    namespaced: true,
  },
  singular: 'virtualmachine',
  shortNames: ['vm', 'vms'],
  versions: [
    { name: 'v1' },
    { name: 'v1alpha3', deprecated: 'kubevirt.io/v1alpha3 is now deprecated and will be removed in a future release.' },
  ],
  spec: {
    type: 'object',
    required: ['template'],
    // What this plugin does not know must reach its rules, which refuse it by name.
    'x-kubernetes-preserve-unknown-fields': true,
    properties: {
      running: { type: 'boolean', description: 'Deprecated: use runStrategy.' },
      runStrategy: { type: 'string', description: 'Always, Halted, Manual, RerunOnFailure or Once.' },
      template: { 'x-virtloom-vmi-template': true },
    },
  },
  columns: [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    { name: 'Status', type: 'string', jsonPath: '.status.printableStatus', description: 'Human Readable Status' },
    { name: 'Ready', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
  ],
  statusSubresource: true,
  template: 'spec.template',
};

export const VMS = VIRTUAL_MACHINE.resource;

/** The strategy in force: `running: true` is Always, `running: false` Halted. */
export function runStrategyOf(vm: VirtualMachine): RunStrategy {
  return vm.spec.runStrategy ?? (vm.spec.running === true ? 'Always' : 'Halted');
}
