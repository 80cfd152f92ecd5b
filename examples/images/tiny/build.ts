// Builds the tiny guest once and keeps it: its disk by build.sh, and a containerDisk image of it. Run alone it prints the image's path.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeImage } from '../oci.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../.cache/images', import.meta.url));
const INPUTS = ['build.sh', 'build.ts', '../oci.ts'];

export interface TinyGuest {
  /** The bootable disk, 24 MiB, as qcow2 and as raw. Belongs to the cache: never written to. */
  qcow2: string;
  raw: string;
  /** OCI image layout with /disk/disk.qcow2, tag `latest`. */
  layout: string;
}

/** The name by which examples ask for the image. No registry is behind it: the platform has it loaded. */
export const TINY_IMAGE = 'localhost/virtloom/tiny:1';

function guestIn(directory: string): TinyGuest {
  return {
    qcow2: join(directory, 'disk.qcow2'),
    raw: join(directory, 'disk.raw'),
    layout: join(directory, 'oci'),
  };
}

function inputsHash(): string {
  const rootfs = readdirSync(join(HERE, 'rootfs'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const hash = createHash('sha256');
  for (const file of [...INPUTS.map((name) => join(HERE, name)), ...rootfs])
    hash.update(`${file.slice(HERE.length)}\0`).update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

/** The guest, if it has been built before from what is here now. */
export function builtTiny(): TinyGuest | undefined {
  const guest = guestIn(join(CACHE, `tiny-${inputsHash()}`));
  return existsSync(guest.layout) ? guest : undefined;
}

/**
 * Takes seconds the first time, milliseconds after.
 * @throws Error with the end of the build's output
 */
export function buildTiny(): TinyGuest {
  const directory = join(CACHE, `tiny-${inputsHash()}`);
  if (existsSync(directory)) return guestIn(directory);
  const temporary = `${directory}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  try {
    const build = spawnSync('sh', [join(HERE, 'build.sh'), temporary], { encoding: 'utf8' });
    if (build.status !== 0)
      throw new Error(
        `the tiny guest cannot be built: ${build.error?.message ?? build.stderr.trimEnd().split('\n').slice(-8).join('\n')}`,
      );
    writeImage(join(temporary, 'oci'), [{ path: 'disk/disk.qcow2', file: join(temporary, 'disk.qcow2') }]);
    // Two builds at once: the first one to end wins, both results are good.
    if (!existsSync(directory)) renameSync(temporary, directory);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return guestIn(directory);
}

if (import.meta.main) {
  const guest = process.argv.includes('--if-built') ? builtTiny() : buildTiny();
  if (guest) console.log(guest.layout);
}
