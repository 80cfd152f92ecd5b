// The VirtualMachineInstancePreset kind (deprecated in KubeVirt, still served).
import type { DomainSpec, KindDefinition, KubeObject } from '../../core/index.ts';

export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

export interface Preset extends KubeObject {
  spec: { selector: LabelSelector; domain?: DomainSpec & Record<string, unknown> };
}

const DEPRECATED =
  'kubevirt.io VirtualMachineInstancePresets is now deprecated and will be removed in a future release.';

export const PRESET: KindDefinition = {
  resource: {
    group: 'kubevirt.io',
    version: 'v1',
    plural: 'virtualmachineinstancepresets',
    kind: 'VirtualMachineInstancePreset',
    namespaced: true,
  },
  singular: 'virtualmachineinstancepreset',
  shortNames: ['vmipreset', 'vmipresets'],
  versions: [
    { name: 'v1', deprecated: DEPRECATED },
    { name: 'v1alpha3', deprecated: DEPRECATED },
  ],
  spec: {
    type: 'object',
    required: ['selector'],
    properties: {
      selector: {
        type: 'object',
        properties: {
          matchLabels: { type: 'object', additionalProperties: { type: 'string' } },
          matchExpressions: {
            type: 'array',
            items: {
              type: 'object',
              required: ['key', 'operator'],
              properties: {
                key: { type: 'string' },
                operator: { type: 'string' },
                values: { type: 'array', items: { type: 'string' } },
              },
            },
          },
        },
      },
      domain: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    },
  },
  columns: [{ name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
  statusSubresource: false,
};
