// emptyDisk: room that lives as long as the VMI, for swap, caches and scratch.
import { definePlugin, el } from '../../core/index.ts';
import type { AttachDiskInput, DiskAttachment } from '../../core/index.ts';
import { admitEmptyDisks } from './admit.ts';
import { sizeOf } from './capacity.ts';
import { diskPath, type EmptyDisk } from './types.ts';

function attachEmptyDisk({ volume, result }: AttachDiskInput): DiskAttachment {
  const path = diskPath(volume.name);
  const found = result('create') as EmptyDisk | undefined;
  return {
    steps: [{ id: 'create', action: 'create', args: { path, size: sizeOf(volume.emptyDisk?.capacity) } }],
    migratable: true,
    disk: {
      type: 'file',
      source: el('source', { file: path }),
      driver: { type: 'qcow2', cache: found?.cache ?? 'none' },
    },
  };
}

export default definePlugin({
  name: 'storage-emptydisk',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'empty disks that live as long as the VMI',
  api: [
    {
      path: 'spec.volumes[].emptyDisk',
      oneOf: 'source',
      schema: {
        type: 'object',
        required: ['capacity'],
        properties: {
          capacity: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
        },
      },
    },
  ],
  actions: () => import('./actions.ts'),
  setup: () => ({ admit: admitEmptyDisks, attachDisk: { emptyDisk: attachEmptyDisk } }),
});
