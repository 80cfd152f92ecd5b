// Fills a volume with files so that readers see all old or all new ones: a hidden directory and one link swapped over it.
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { within } from './files.ts';

export interface VolumeFile {
  content: Buffer;
  mode: number;
}

/** `files` by relative path. With `fsGroup`, files belong to that group and are readable by it. */
export async function writeAtomicDir(
  dir: string,
  files: ReadonlyMap<string, VolumeFile>,
  fsGroup: number | undefined,
): Promise<void> {
  const name = `..${new Date().toISOString().replace(/[^0-9]/g, '_')}${randomBytes(4).toString('hex')}`;
  const fresh = path.join(dir, name);
  await mkdir(fresh, { recursive: true, mode: 0o755 });
  const tops = new Set<string>();
  for (const [relative, file] of files) {
    const target = within(fresh, relative);
    const top = path.relative(fresh, target).split('/')[0] ?? '';
    if (top === '' || top.startsWith('..')) throw new Error(`path "${relative}" is not allowed in a volume`);
    tops.add(top);
    await mkdir(path.dirname(target), { recursive: true, mode: 0o755 });
    await writeFile(target, file.content);
    await chmod(target, fsGroup === undefined ? file.mode : file.mode | 0o440);
    if (fsGroup !== undefined) await chown(target, 0, fsGroup);
  }
  await chmod(fresh, 0o755);
  const data = path.join(dir, '..data');
  const old = await readlink(data).catch(() => undefined);
  await symlink(name, `${data}_tmp`);
  await rename(`${data}_tmp`, data);
  const present = (await readdir(dir)).filter((entry) => !entry.startsWith('..'));
  for (const top of tops) if (!present.includes(top)) await symlink(path.join('..data', top), path.join(dir, top));
  for (const entry of present) if (!tops.has(entry)) await rm(path.join(dir, entry), { force: true });
  if (old !== undefined) await rm(path.join(dir, old), { recursive: true, force: true });
}
