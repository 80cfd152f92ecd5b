// Where and how the pod runs: the scheduling and DNS fields that a VMI hands to its pod as they are.
import { definePlugin } from '../../core/index.ts';
import { admit } from './admit.ts';
import { pod } from './pod.ts';
import { api } from './schema.ts';

export default definePlugin({
  name: 'scheduling',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'node selectors, affinity, tolerations, spread, priority, host name and DNS of the pod',
  writes: {
    pod: [
      'metadata.labels[vm.kubevirt.io/name]',
      'spec.hostname',
      'spec.subdomain',
      'spec.nodeSelector',
      'spec.affinity',
      'spec.tolerations',
      'spec.topologySpreadConstraints',
      'spec.schedulerName',
      'spec.priorityClassName',
      'spec.dnsPolicy',
      'spec.dnsConfig',
    ],
  },
  api,
  setup: () => ({
    admit,
    prepareDomain({ vmi }, plan) {
      pod(vmi, plan);
    },
  }),
});
