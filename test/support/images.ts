// containerDisk images for tests, made from the tiny guest: good ones of every shape, and bad ones.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Entry, writeImage } from '../../examples/images/oci.ts';
import { buildTiny } from '../../examples/images/tiny/build.ts';

const corrupt = new Uint8Array(64 * 1024).fill(0xa5);
// The magic number and version of qcow2, and then nothing that makes sense.
corrupt.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]);

const VARIANTS = {
  qcow2: () => [{ path: 'disk/disk.qcow2', file: buildTiny().qcow2 }],
  raw: () => [{ path: 'disk/disk.img', file: buildTiny().raw }],
  /** For containerDisk.path: /images/tiny.qcow2. */
  elsewhere: () => [{ path: 'images/tiny.qcow2', file: buildTiny().qcow2 }],
  /** As an image has it that was built from a Dockerfile without --chown. */
  rootOwned: () => [{ path: 'disk/disk.qcow2', file: buildTiny().qcow2, uid: 0, mode: 0o644 }],
  /** KubeVirt asks for a disk that user 107 can read: this one is not. */
  unreadable: () => [{ path: 'disk/disk.qcow2', file: buildTiny().qcow2, uid: 0, mode: 0o600 }],
  noDisk: () => [{ path: 'etc/nothing', content: 'no disk here\n' }],
  emptyDirectory: () => [{ path: 'disk', directory: true }],
  corrupt: () => [{ path: 'disk/disk.qcow2', content: corrupt }],
  emptyFile: () => [{ path: 'disk/disk.qcow2', content: '' }],
  twoDisks: () => [
    { path: 'disk/a.qcow2', file: buildTiny().qcow2 },
    { path: 'disk/b.qcow2', content: corrupt },
  ],
  /** Must not lead to the host's or the launcher's file. */
  symlinkOut: () => [{ path: 'disk/disk.img', symlink: '../../../../../../../../etc/passwd' }],
  directoryLinkOut: () => [{ path: 'disk', symlink: '/etc' }],
} satisfies Record<string, () => Entry[]>;

export type Variant = keyof typeof VARIANTS;

/** Writes the variant's OCI layout below `directory` and gives its path. */
export function imageVariant(directory: string, variant: Variant): string {
  mkdirSync(directory, { recursive: true });
  const layout = join(directory, variant);
  const entries: Entry[] = VARIANTS[variant]();
  writeImage(layout, entries);
  return layout;
}
