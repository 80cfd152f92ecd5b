// httpDisk: a disk whose content is a file on an HTTP server, read as the guest reads it; what the guest writes stays with the VMI.
import { definePlugin, el, type Cause } from 'virtloom/plugin';
import { HTTP_DISK, problemOf, socketOf, type Served } from './httpdisk.ts';

// A line of its own: TypeScript leaves an import within `export default` as it is when it builds.
const actions = () => import('./actions.ts');

export default definePlugin({
  name: 'http-volume',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'disks from an HTTP server that serves ranges, by nbdkit',
  requires: ['disks'],
  writes: { pod: ['spec.volumes', 'spec.containers[compute].volumeMounts'] },
  api: [{ path: 'spec.volumes[].httpDisk', oneOf: 'source', schema: HTTP_DISK }],
  actions,
  setup: () => ({
    admit({ vmi, at }) {
      return (vmi?.spec.volumes ?? []).flatMap(({ httpDisk }, index): Cause[] => {
        const problem = httpDisk && problemOf(httpDisk.url);
        if (problem === undefined) return [];
        const field = `${at('spec.volumes')}[${index}].httpDisk.url`;
        return [{ field, reason: 'FieldValueInvalid', message: `${field} ${problem}` }];
      });
    },

    attachDisk: {
      httpDisk({ volume, volumeIndex, result }) {
        const { url = '', sha256 = null, secretRef } = volume.httpDisk ?? {};
        const directory = `/var/run/kubevirt/http-volume/${volume.name}`;
        const secret = secretRef ? `/var/run/kubevirt-private/http-volume/${volume.name}` : null;
        const overlay = `/var/run/kubevirt-ephemeral-disks/http-volume/${volume.name}.qcow2`;
        const args: Served = { url, sha256, secret, directory, overlay };
        const format = result('serve');
        // The volume's own name may be too long for more at its end.
        const name = `http-volume-${volumeIndex}`;
        return {
          ...(secretRef && secret
            ? {
                pod: { spec: { volumes: [{ name, secret: { secretName: secretRef.name } }] } },
                compute: { volumeMounts: [{ name, mountPath: secret, readOnly: true }] },
              }
            : {}),
          steps: [{ id: 'serve', action: 'serve', args }],
          overhead: [{ mebibytes: 32, why: `nbdkit of volume ${volume.name}` }],
          migratable: {
            reason: 'DisksNotLiveMigratable',
            message: `what was written to ${volume.name} is on its node`,
          },
          disk: {
            type: 'file',
            source: el('source', { file: overlay }),
            driver: { type: 'qcow2' },
            backingStore: el(
              'backingStore',
              { type: 'network' },
              el('format', { type: typeof format === 'string' ? format : 'raw' }),
              el('source', { protocol: 'nbd' }, el('host', { transport: 'unix', socket: socketOf(directory) })),
              el('backingStore'),
            ),
          },
        };
      },
    },
  }),
});
