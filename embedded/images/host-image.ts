// Builds an image's root file system from the host's /usr and a directory of files; nothing else of the host is in it.
import { createHash, randomBytes } from 'node:crypto';
import { chmod, cp, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isNotFound } from '../kubelet/files.ts';
import type { HostImage, ReadyImage } from './image.ts';

const MOUNT_POINTS = ['proc', 'sys', 'dev', 'run', 'tmp', 'var', 'var/tmp', 'etc', 'usr', 'root', 'home'];
const LINKS = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];
/** Without these two the host's programs find neither their libraries nor Debian's alternatives. */
const FROM_ETC = ['ld.so.cache', 'alternatives'];

/** Prepares the image below `dir`, named by its content, so that a running container never sees it change. */
export async function prepareHostImage(ref: string, image: HostImage, dir: string): Promise<ReadyImage> {
  const usr = (await readdir('/usr', { withFileTypes: true })).filter((e) => e.isDirectory()).map((e) => e.name);
  const bound = usr.filter((name) => name !== 'local');
  for (const name of await readdir(path.join(image.files, 'usr')).catch(() => [])) {
    if (bound.includes(name))
      throw new Error(`image ${ref}: its files may add usr/local, but usr/${name} is the host's`);
  }
  const digest = await digestOf(image.files, bound);
  const rootfs = path.join(dir, digest);
  if (!(await exists(rootfs))) await build(image.files, bound, rootfs);
  const { entrypoint, cmd = [], env = [], user = '', workingDir = '/' } = image.config;
  const sources = [...bound.map((name) => `/usr/${name}`), ...FROM_ETC.map((name) => `/etc/${name}`)];
  for (const name of LINKS) if ((await kindOf(`/${name}`)) === 'dir') sources.push(`/${name}`);
  const present = await Promise.all(sources.map(async (source) => ((await exists(source)) ? source : undefined)));
  return {
    imageID: `${ref}@sha256:${digest}`,
    rootfs,
    config: { entrypoint, cmd, env, user, workingDir },
    mounts: present
      .filter((source) => source !== undefined)
      .map((source) => ({ source, destination: source, readOnly: true })),
  };
}

async function build(files: string, bound: string[], rootfs: string): Promise<void> {
  const temporary = `${rootfs}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    for (const name of MOUNT_POINTS) await mkdir(path.join(temporary, name), { recursive: true, mode: 0o755 });
    for (const name of ['tmp', 'var/tmp']) await chmod(path.join(temporary, name), 0o1777);
    for (const name of bound) await mkdir(path.join(temporary, 'usr', name));
    for (const name of LINKS) {
      const kind = await kindOf(`/${name}`);
      if (kind === 'link') await symlink(await readlink(`/${name}`), path.join(temporary, name));
      if (kind === 'dir') await mkdir(path.join(temporary, name));
    }
    await cp(files, temporary, { recursive: true, verbatimSymlinks: true });
    for (const name of FROM_ETC) {
      const kind = await kindOf(`/etc/${name}`);
      if (kind === 'dir') await mkdir(path.join(temporary, 'etc', name), { recursive: true });
      if (kind === 'file') await writeFile(path.join(temporary, 'etc', name), '');
    }
    // The state directory is private; the image's own root must be open to the container's ordinary users.
    await chmod(temporary, 0o755);
    await rename(temporary, rootfs);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (!(await exists(rootfs))) throw error;
  }
}

async function digestOf(files: string, bound: string[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(['host-image-1', bound]));
  const names = await readdir(files, { recursive: true });
  for (const name of names.sort()) {
    const file = path.join(files, name);
    const stat = await lstat(file);
    hash.update(`\0${name}\0${stat.mode}\0`);
    if (stat.isSymbolicLink()) hash.update(await readlink(file));
    else if (stat.isFile()) hash.update(await readFile(file));
  }
  return hash.digest('hex');
}

async function kindOf(file: string): Promise<'dir' | 'file' | 'link' | undefined> {
  try {
    const stat = await lstat(file);
    if (stat.isSymbolicLink()) return 'link';
    return stat.isDirectory() ? 'dir' : 'file';
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function exists(file: string): Promise<boolean> {
  return (await kindOf(file)) !== undefined;
}
