// What the launcher's image is, for whoever builds a root file system from this host's own /usr: data only.

/** A container image made of this host's programs and a few files of ours. */
export interface HostImage {
  /** The image's name as pods say it, without a registry. */
  name: string;
  /** Directory whose content is the image's root, to be copied or used as a lower layer; never mounted writable. */
  files: string;
  /** Host directories that the image has as its own, to be bound read-only at the same path. */
  hostDirectories: string[];
  /** Symbolic links of the image's root: path to target. Left out where the target does not exist. */
  links: Record<string, string>;
  /** Empty directories of the image's root, where mounts go. */
  directories: string[];
  /** As in an OCI image's config. */
  config: { entrypoint: string[]; env: string[]; user: string; workingDir: string };
  /** Run once a node, before the first launcher: fills a directory that every launcher then has read-only. */
  probe: { args: string[]; directory: string };
}

export const LAUNCHER_IMAGE: HostImage = {
  name: 'virtloom/launcher:0.1.0',
  files: new URL('./rootfs', import.meta.url).pathname,
  hostDirectories: ['/usr'],
  links: { '/bin': 'usr/bin', '/sbin': 'usr/sbin', '/lib': 'usr/lib', '/lib64': 'usr/lib64' },
  directories: ['/proc', '/sys', '/dev', '/tmp', '/run', '/var/run', '/var/cache/virtloom/capabilities'],
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
  probe: { args: ['/bin/sh', '/opt/virtloom/launcher', 'probe'], directory: '/var/cache/virtloom/capabilities' },
};
