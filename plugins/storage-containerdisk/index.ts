// containerDisk: a disk shipped as a container image, with a layer of its own for each VM that is gone when the VM is.
import { definePlugin } from '../../core/index.ts';
import { admitContainerDisks } from './admit.ts';
import { attachContainerDisk } from './attach.ts';
import { defaultPullPolicies } from './defaults.ts';

export default definePlugin({
  name: 'storage-containerdisk',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'disks out of container images, ephemeral',
  writes: { pod: ['spec.volumes', 'spec.containers', 'spec.initContainers', 'spec.imagePullSecrets'] },
  api: [
    {
      path: 'spec.volumes[].containerDisk',
      oneOf: 'source',
      schema: {
        type: 'object',
        required: ['image'],
        properties: {
          image: { type: 'string' },
          path: { type: 'string' },
          imagePullPolicy: { type: 'string', enum: ['Always', 'IfNotPresent', 'Never'] },
          imagePullSecret: { type: 'string' },
        },
      },
    },
  ],
  actions: () => import('./actions.ts'),
  setup: () => ({
    admit: admitContainerDisks,
    defaultPreset: defaultPullPolicies,
    attachDisk: { containerDisk: attachContainerDisk },
  }),
});
