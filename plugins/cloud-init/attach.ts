// One cloud-init volume: the secrets that the pod mounts, the step that makes the disk, the domain's disk.
import { el } from '../../core/index.ts';
import type { AttachDiskInput, DiskAttachment, Json, PodPart } from '../../core/index.ts';
import { metaDataOf } from './metadata.ts';
import { type CloudInitSource, type Content, type Iso, type IsoArgs, type Kind, LAYOUTS } from './types.ts';

/** What the pod's volume of a Secret is called after the VMI's volume. */
const SUFFIXES = { userdata: '-udata', networkdata: '-ndata' } as const;
type What = keyof typeof SUFFIXES;
/** Longest name of a VMI volume whose secrets still have legal names in the pod. */
export const NAME_MAX = 63 - SUFFIXES.userdata.length;

const SECRETS = '/var/run/kubevirt-private/secret';
const ISOS = '/var/run/kubevirt-ephemeral-disks/cloud-init-data';

function contentOf(volume: string, what: What, source: CloudInitSource): Content | undefined {
  const isUser = what === 'userdata';
  const text = isUser ? source.userData : source.networkData;
  if (text) return { text };
  const base64 = isUser ? source.userDataBase64 : source.networkDataBase64;
  if (base64) return { base64 };
  const secret = (isUser ? source.secretRef : source.networkDataSecretRef)?.name;
  if (!secret) return undefined;
  const keys = isUser ? ['userdata', 'userData'] : ['networkdata', 'networkData'];
  return { secret, folder: `${SECRETS}/${volume}/${what}`, keys };
}

/** Mounts the secrets among the contents. */
function podOf(
  volume: string,
  contents: readonly (readonly [What, Content | undefined])[],
): { pod: PodPart; compute: PodPart } | undefined {
  const volumes: PodPart[] = [];
  const volumeMounts: PodPart[] = [];
  for (const [what, content] of contents) {
    if (!content || !('secret' in content)) continue;
    const name = volume + SUFFIXES[what];
    volumes.push({ name, secret: { secretName: content.secret } });
    volumeMounts.push({ name, mountPath: content.folder, readOnly: true });
  }
  return volumes.length === 0 ? undefined : { pod: { spec: { volumes } }, compute: { volumeMounts } };
}

/** The tap of one kind of cloud-init volume. */
export function attachCloudInit(kind: Kind): (input: AttachDiskInput) => DiskAttachment {
  const layout = LAYOUTS[kind];
  return ({ vmi, volume, result }) => {
    const source = volume[kind] as CloudInitSource;
    const user = contentOf(volume.name, 'userdata', source);
    const network = contentOf(volume.name, 'networkdata', source);
    const iso = `${ISOS}/${vmi.metadata.namespace ?? 'default'}/${vmi.metadata.name ?? ''}/${layout.iso}`;
    const args: IsoArgs = {
      volume: volume.name,
      kind,
      iso,
      label: layout.label,
      files: [
        { name: layout.metaData, content: { text: metaDataOf(vmi, kind) } },
        // A guest that finds no user data takes the disk for someone else's.
        { name: layout.userData, content: user ?? { text: '' } },
        ...(network ? [{ name: layout.networkData, content: network }] : []),
      ],
    };
    const found = result('iso') as Iso | undefined;
    return {
      ...podOf(volume.name, [
        ['userdata', user],
        ['networkdata', network],
      ]),
      steps: [{ id: 'iso', action: 'iso', args: args as unknown as { [key: string]: Json } }],
      migratable: true,
      disk: {
        type: 'file',
        source: el('source', { file: iso }),
        driver: { type: 'raw', cache: found?.cache ?? 'none' },
      },
    };
  };
}
