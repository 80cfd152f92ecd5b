// httpDisk: a disk whose content is a file on an HTTP server, read as the guest reads it; what the guest writes stays with the VMI.
import { definePlugin, el, type Cause } from 'virtloom/plugin';

/** What the node found out about the image. */
export interface Found {
  readonly format: string;
}

const folder = (volume: string): string => `/var/run/kubevirt-ephemeral-disks/http-volume/${volume}`;

function problemOf(url: string): string | undefined {
  const parsed = URL.parse(url);
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol)) return 'must be an http or https URL';
  // It would stand in the VMI, in the pod and in process lists.
  if (parsed.username !== '' || parsed.password !== '') return 'must not hold a user name or password';
  return undefined;
}

// A line of its own: TypeScript leaves an import within `export default` as it is when it builds.
const actions = () => import('./actions.ts');

export default definePlugin({
  name: 'http-volume',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'disks from an HTTP server that serves ranges, by nbdkit',
  requires: ['disks'],
  api: [
    {
      path: 'spec.volumes[].httpDisk',
      oneOf: 'source',
      schema: {
        type: 'object',
        additionalProperties: false,
        required: ['url'],
        properties: { url: { type: 'string', description: 'A raw or qcow2 image; the server must serve ranges.' } },
      },
    },
  ],
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
      httpDisk({ volume, result }) {
        const directory = folder(volume.name);
        const found = result('serve') as Found | undefined;
        return {
          steps: [{ id: 'serve', action: 'serve', args: { url: volume.httpDisk?.url ?? '', directory } }],
          overhead: [{ mebibytes: 32, why: `nbdkit of volume ${volume.name}` }],
          migratable: {
            reason: 'DisksNotLiveMigratable',
            message: `what was written to ${volume.name} is on its node`,
          },
          disk: {
            type: 'network',
            source: el('source', { protocol: 'nbd' }, el('host', { transport: 'unix', socket: `${directory}/socket` })),
            driver: { type: found?.format ?? 'raw' },
          },
        };
      },
    },
  }),
});
