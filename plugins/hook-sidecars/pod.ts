// The sidecars' containers, and where their sockets meet libvirt's container.
import type { PodPart } from '../../core/index.ts';
import type { Sidecar } from './annotation.ts';

/** Each sidecar makes its socket in a folder of its own here, which only it and `compute` see. */
export const SOCKETS = '/var/run/kubevirt-hooks';
const VOLUME = 'hook-sidecar-sockets';
/** The launcher's user: its sockets are of the same. */
const QEMU_USER = 107;

export function podOf(sidecars: readonly Sidecar[]): PodPart {
  return {
    spec: {
      volumes: [
        { name: VOLUME, emptyDir: {} },
        ...sidecars.flatMap(({ configMap }) =>
          configMap ? [{ name: volumeOf(configMap), configMap: { name: configMap.name, defaultMode: 0o755 } }] : [],
        ),
      ],
      initContainers: sidecars.map(containerOf),
    },
  };
}

export const COMPUTE: PodPart = { volumeMounts: [{ name: VOLUME, mountPath: SOCKETS }] };

function volumeOf({ name }: { readonly name: string }): string {
  return `hook-${name.replaceAll('.', '-')}`.slice(0, 63);
}

function containerOf({ name, image, imagePullPolicy, command, args, configMap }: Sidecar): PodPart {
  return {
    name,
    image,
    ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }),
    ...(command ? { command } : {}),
    ...(args ? { args } : {}),
    // A native sidecar: up before the launcher, ended when the launcher has ended, so that the pod completes.
    restartPolicy: 'Always',
    env: [{ name: 'CONTAINER_NAME', value: name }],
    volumeMounts: [
      { name: VOLUME, mountPath: SOCKETS, subPath: name },
      ...(configMap ? [{ name: volumeOf(configMap), mountPath: configMap.hookPath, subPath: configMap.key }] : []),
    ],
    securityContext: {
      runAsUser: QEMU_USER,
      runAsGroup: QEMU_USER,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    },
  };
}
