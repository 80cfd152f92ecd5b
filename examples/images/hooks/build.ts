// Builds the image of the example hooks once and keeps it: Python, gRPC, and this folder's programs. Run alone it prints the image's path.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, readlinkSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Entry, writeImage } from '../oci.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const PLUGINS = fileURLToPath(new URL('../../../plugins', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../.cache/images', import.meta.url));

/** The name by which examples ask for the image. No registry is behind it: the platform has it loaded. */
export const HOOKS_IMAGE = 'localhost/virtloom/hooks:1';

function inputs(): string[] {
  const protos = ['hook-sidecars', 'plugin-objects'].flatMap((plugin) => {
    const folder = join(PLUGINS, plugin, 'proto');
    return readdirSync(folder).map((name) => join(folder, name));
  });
  return [...readdirSync(HERE).map((name) => join(HERE, name)), join(HERE, '../oci.ts'), ...protos].sort();
}

function entriesOf(root: string): Entry[] {
  const all = readdirSync(root, { recursive: true, withFileTypes: true });
  return all.flatMap((item): Entry[] => {
    const file = join(item.parentPath, item.name);
    const path = file.slice(root.length + 1);
    if (item.isSymbolicLink()) return [{ path, symlink: readlinkSync(file), uid: 0 }];
    return item.isFile() ? [{ path, file, uid: 0, mode: lstatSync(file).mode & 0o555 }] : [];
  });
}

/**
 * An OCI image layout, tag `latest`. Takes half a minute the first time, milliseconds after.
 * @throws Error with the end of the build's output
 */
export function buildHooks(): string {
  const hash = createHash('sha256');
  for (const file of inputs()) hash.update(`${file.slice(file.lastIndexOf('/'))}\0`).update(readFileSync(file));
  const layout = join(CACHE, `hooks-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(layout)) return layout;
  const temporary = `${layout}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  try {
    const build = spawnSync('sh', [join(HERE, 'build.sh'), temporary], { encoding: 'utf8' });
    if (build.status !== 0)
      throw new Error(
        `the hooks image cannot be built: ${build.error?.message ?? build.stderr.trimEnd().split('\n').slice(-8).join('\n')}`,
      );
    writeImage(join(temporary, 'oci'), entriesOf(join(temporary, 'root')));
    // Two builds at once: the first one to end wins, both results are good.
    if (!existsSync(layout)) renameSync(join(temporary, 'oci'), layout);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return layout;
}

if (import.meta.main) console.log(buildHooks());
