// What the kubelet knows of an image that is ready to run.

export interface ImageConfig {
  entrypoint: string[];
  cmd: string[];
  env: string[];
  user: string;
  workingDir: string;
}

export interface ReadyImage {
  /** "registry/repository@sha256:…", as containerStatuses[].imageID shows it. */
  imageID: string;
  /** Root file system on this machine; never written to. */
  rootfs: string;
  config: ImageConfig;
  /** Directories of the host that belong into the root file system (host images only), all read-only. */
  mounts: { source: string; destination: string; readOnly: true }[];
}

/** An image made of the host's own /usr and a few files, never pulled. */
export interface HostImage {
  /** Directory whose content (etc/passwd, usr/local/...) is copied into the image. */
  files: string;
  config: { entrypoint: string[]; cmd?: string[]; env?: string[]; user?: string; workingDir?: string };
}
