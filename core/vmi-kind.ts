// The one kind that the core itself reconciles: VirtualMachineInstance.
import type { KindDefinition } from './plugin.ts';

export const VMI_FINALIZER = 'kubevirt.io/foregroundDeleteVirtualMachine';

export const VMI_KIND: KindDefinition = {
  resource: {
    group: 'kubevirt.io',
    version: 'v1',
    plural: 'virtualmachineinstances',
    kind: 'VirtualMachineInstance',
    namespaced: true,
  },
  singular: 'virtualmachineinstance',
  shortNames: ['vmi', 'vmis'],
  versions: [
    { name: 'v1' },
    { name: 'v1alpha3', deprecated: 'kubevirt.io/v1alpha3 is now deprecated and will be removed in a future release.' },
  ],
  columns: [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    { name: 'IP', type: 'string', jsonPath: '.status.interfaces[0].ipAddress' },
    { name: 'NodeName', type: 'string', jsonPath: '.status.nodeName' },
    { name: 'Ready', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
    {
      name: 'Live-Migratable',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='LiveMigratable')].status",
      priority: 1,
    },
    { name: 'Paused', type: 'string', jsonPath: ".status.conditions[?(@.type=='Paused')].status", priority: 1 },
  ],
  // Labels, finalizers and status change in one write.
  statusSubresource: false,
};

export const VMIS = VMI_KIND.resource;
