// What the launcher's image is, for whoever builds a root file system from this host's own /usr: data only.
import { fileURLToPath } from 'node:url';

/** A container image made of this host's programs and a few files of ours. */
export interface HostImage {
  /** The image's name as pods say it. It is in no registry. */
  name: string;
  /** Directory whose content is the image's root, beside the host's /usr. Belongs to root, never written to. */
  files: string;
  /** As in an OCI image's config. */
  config: { entrypoint: string[]; env: string[]; user: string; workingDir: string };
}

/** Works as it is; `prepareLauncherImage` adds what makes a pod's first start of a guest quick. */
export const LAUNCHER_IMAGE: HostImage = {
  name: 'virtloom/launcher:0.1.0',
  files: fileURLToPath(new URL('./rootfs', import.meta.url)),
  config: {
    entrypoint: ['/bin/sh', '/opt/virtloom/launcher'],
    env: [
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'LIBVIRT_DEFAULT_URI=qemu+unix:///session?socket=/var/run/libvirt/libvirt-sock',
      'XDG_CACHE_HOME=/var/run/kubevirt-private',
      'XDG_CONFIG_HOME=/var/run/kubevirt-private',
      'XDG_RUNTIME_DIR=/var/run',
    ],
    user: '107:107',
    workingDir: '/',
  },
};

/** Where the image holds what QEMU can do. */
export const CAPABILITIES = '/var/cache/virtloom/capabilities';
