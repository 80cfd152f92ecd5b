// A launcher's container as runc has it, outside any pod: for asking QEMU what it can do, and for the tests.
import { chownSync, cpSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CAPABILITIES, type HostImage } from './image.ts';

const QEMU_USER = 107;
const VOLUMES = ['libvirt', 'kubevirt', 'kubevirt-private', 'kubevirt-ephemeral-disks'];
const LINKS = ['bin', 'sbin', 'lib', 'lib64'];

export interface Bundle {
  /** The container's name, also its host name. */
  id: string;
  image: HostImage;
  /** After the entry point. */
  args?: string[];
  env?: string[];
  /** A directory to be had, writable, at CAPABILITIES instead of the image's own. */
  capabilities?: string;
  /** Pass /dev/kvm in. */
  kvm?: boolean;
}

export function ownedDirectory(path: string): string {
  mkdirSync(path, { recursive: true });
  chownSync(path, QEMU_USER, QEMU_USER);
  return path;
}

/** Writes an OCI bundle, which is all there is of the container until runc runs it: its volumes are `volumes/` in it. */
export function writeBundle(directory: string, bundle: Bundle): void {
  const { id, image } = bundle;
  const root = join(directory, 'rootfs');
  cpSync(image.files, root, { recursive: true });
  const mountPoints = VOLUMES.map((volume) => `/var/run/${volume}`);
  for (const dir of ['usr', 'proc', 'sys', 'dev', 'tmp', CAPABILITIES, ...mountPoints])
    mkdirSync(join(root, dir), { recursive: true });
  for (const name of LINKS) if (existsSync(`/usr/${name}`)) symlinkSync(`usr/${name}`, join(root, name));
  writeFileSync(join(root, 'etc/hosts'), `127.0.0.1 localhost ${id}\n`);
  writeFileSync(join(directory, 'config.json'), JSON.stringify(spec(directory, bundle)));
}

function spec(directory: string, { id, image, args = [], env = [], capabilities, kvm = false }: Bundle): object {
  const none: string[] = [];
  const bind = (destination: string, source: string, mode: 'ro' | 'rw') => ({
    destination,
    source,
    type: 'bind',
    options: ['rbind', mode, 'nosuid'],
  });
  const device = (path: string, minor: number) => ({ path, type: 'c', major: 10, minor, fileMode: 0o666 });
  return {
    ociVersion: '1.0.2',
    hostname: id,
    root: { path: 'rootfs', readonly: true },
    process: {
      user: { uid: QEMU_USER, gid: QEMU_USER },
      args: [...image.config.entrypoint, ...args],
      env: [...image.config.env, ...env],
      cwd: image.config.workingDir,
      capabilities: { bounding: none, effective: none, inheritable: none, permitted: none, ambient: none },
      noNewPrivileges: true,
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=1777'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'ro'] },
      bind('/usr', '/usr', 'ro'),
      ...(capabilities === undefined ? [] : [bind(CAPABILITIES, ownedDirectory(capabilities), 'rw')]),
      ...VOLUMES.map((v) => bind(`/var/run/${v}`, ownedDirectory(join(directory, 'volumes', v)), 'rw')),
    ],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
      devices: [device('/dev/net/tun', 200), ...(kvm && statSync('/dev/kvm') ? [device('/dev/kvm', 232)] : [])],
    },
  };
}
