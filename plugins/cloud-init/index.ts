// cloud-init: a small disk from which the guest configures itself at its first boot.
import { definePlugin } from '../../core/index.ts';
import type { Schema } from '../../core/index.ts';
import { admitCloudInit } from './admit.ts';
import { attachCloudInit } from './attach.ts';

const STRING: Schema = { type: 'string' };
const REFERENCE: Schema = { type: 'object', properties: { name: STRING } };
const SOURCE: Schema = {
  type: 'object',
  properties: {
    userData: STRING,
    userDataBase64: STRING,
    secretRef: REFERENCE,
    networkData: STRING,
    networkDataBase64: STRING,
    networkDataSecretRef: REFERENCE,
  },
};

export default definePlugin({
  name: 'cloud-init',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'user data, network data and metadata for the guest, as NoCloud or ConfigDrive',
  writes: { pod: ['spec.volumes', 'spec.containers[compute].volumeMounts'] },
  api: [
    { path: 'spec.volumes[].cloudInitNoCloud', oneOf: 'source', schema: SOURCE },
    { path: 'spec.volumes[].cloudInitConfigDrive', oneOf: 'source', schema: SOURCE },
  ],
  actions: () => import('./actions.ts'),
  setup: () => ({
    admit: admitCloudInit,
    attachDisk: {
      cloudInitNoCloud: attachCloudInit('cloudInitNoCloud'),
      cloudInitConfigDrive: attachCloudInit('cloudInitConfigDrive'),
    },
  }),
});
