// How the image's files come into the launcher pod: as an image volume, or copied by a container of that image.
import type { Facts, PodPart } from '../../core/index.ts';
import { type ContainerDiskSource, imageRoot } from './types.ts';

/** The pod volume of a VMI volume; the prefix keeps it apart from the pod's own volumes. */
const podVolume = (volume: string): string => `volume${volume}`;
/** Longest name of a VMI volume whose pod volume's name is legal still. */
export const NAME_MAX = 63 - podVolume('').length;

const TOOLS = 'container-disk-tools';
const TOOLS_PATH = '/virtloom-tools';
const COPY_PATH = '/virtloom-disk';

/**
 * Runs in the disk's own image, which may have no shell and no cp: hence a static one from the launcher's image.
 * $1 is what to copy, $2 where to. A missing disk is reported later, with all that is known then.
 */
const COPY = `set -e
[ -e "$1" ] || exit 0
mkdir -p "$2\${1%/*}"
rm -rf "$2$1"
cp -dR "$1" "$2\${1%/*}/"`;

const UNPRIVILEGED = {
  runAsUser: 107,
  runAsGroup: 107,
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
};
const SMALL = { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } };

export interface Parts {
  readonly pod: PodPart;
  readonly compute: PodPart;
}

/** The pod's part of one container disk. */
export function podParts(
  name: string,
  volumeIndex: number,
  source: ContainerDiskSource,
  cluster: Facts['cluster'],
): Parts {
  const volume = podVolume(name);
  const pod = cluster.imageVolumes
    ? { volumes: [{ name: volume, image: { reference: source.image, pullPolicy: source.imagePullPolicy } }] }
    : copied(volume, source, cluster.launcherImage);
  const secrets = source.imagePullSecret ? { imagePullSecrets: [{ name: source.imagePullSecret }] } : undefined;
  return {
    pod: { spec: { ...pod, ...secrets } },
    compute: { volumeMounts: [{ name: volume, mountPath: imageRoot(volumeIndex), readOnly: true }] },
  };
}

function copied(volume: string, source: ContainerDiskSource, launcherImage: string): PodPart {
  const tools = { name: TOOLS, mountPath: TOOLS_PATH };
  return {
    volumes: [
      { name: TOOLS, emptyDir: {} },
      { name: volume, emptyDir: {} },
    ],
    initContainers: [
      {
        name: TOOLS,
        image: launcherImage,
        imagePullPolicy: 'IfNotPresent',
        command: ['/bin/cp', '/bin/busybox', `${TOOLS_PATH}/busybox`],
        volumeMounts: [tools],
        securityContext: UNPRIVILEGED,
        resources: SMALL,
      },
      {
        name: volume,
        image: source.image,
        imagePullPolicy: source.imagePullPolicy,
        command: [
          `${TOOLS_PATH}/busybox`,
          'sh',
          '-c',
          COPY,
          'copy',
          (source.path || '/disk').replace(/\/$/, ''),
          COPY_PATH,
        ],
        volumeMounts: [
          { ...tools, readOnly: true },
          { name: volume, mountPath: COPY_PATH },
        ],
        securityContext: UNPRIVILEGED,
        resources: SMALL,
      },
    ],
  };
}
