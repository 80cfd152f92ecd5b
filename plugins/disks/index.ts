// Disks as the guest sees them: device, bus, name, boot order, cache and the rest; whatever volume is behind.
import { definePlugin } from '../../core/index.ts';
import { admitDisks } from './admit.ts';
import { defaultDisks } from './defaults.ts';
import { addDisks } from './domain.ts';
import { API } from './schema.ts';

export default definePlugin({
  name: 'disks',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'disks, CD-ROM drives and LUNs on virtio, SATA, SCSI or USB',
  writes: { domain: ['devices/disk', 'iothreads'] },
  api: API,
  setup: () => ({
    admit: admitDisks,
    defaultPreset: defaultDisks,
    prepareDomain: addDisks,
  }),
});
