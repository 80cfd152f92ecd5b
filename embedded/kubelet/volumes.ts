// Makes a pod's volumes on the node and says what to bind into its containers.
import { chmod, chown, lstat, mkdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ReadyImage } from '../images/image.ts';
import { isNotFound } from './files.ts';
import type { PodFacts } from './fields.ts';
import type { PodLayout } from './layout.ts';
import type { ConfigLookup } from './lookup.ts';
import { mountPoints } from './namespaces.ts';
import type { BindMount } from './oci-config.ts';
import type { Container, Volume } from './pod-types.ts';
import { run } from './process.ts';
import { quantity } from './quantity.ts';
import { openInRoot } from './root-path.ts';
import { writeAtomicDir } from './atomic-dir.ts';
import { projectedFiles } from './volume-files.ts';

/** Carries the text of a FailedMount event. */
export class VolumeError extends Error {
  override name = 'VolumeError';
}

export interface ReadyVolume {
  source: string;
  /** Set where no container may write, whatever its mount says. */
  readOnly: boolean;
}

export interface VolumeInputs {
  facts: PodFacts;
  layout: PodLayout;
  lookup: ConfigLookup;
  image: (volume: Volume) => Promise<ReadyImage>;
}

/** Idempotent; every volume at once. Throws VolumeError for the first that cannot be made (yet). */
export async function prepareVolumes(inputs: VolumeInputs): Promise<Map<string, ReadyVolume>> {
  const volumes = inputs.facts.pod.spec.volumes ?? [];
  const ready = await Promise.all(
    volumes.map(async (volume): Promise<[string, ReadyVolume]> => {
      try {
        return [volume.name, await prepare(volume, inputs)];
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${why}`, { cause: error });
      }
    }),
  );
  return new Map(ready);
}

/** Writes downwardAPI volumes again, so that a pod sees its new labels and annotations. */
export async function refreshDownwardVolumes(inputs: VolumeInputs): Promise<void> {
  for (const volume of inputs.facts.pod.spec.volumes ?? []) {
    if (volume.downwardAPI) await prepare(volume, inputs);
  }
}

/** The bind mounts of one container. Throws VolumeError for a subPath that leads out of its volume. */
export async function containerMounts(
  container: Container,
  ready: ReadonlyMap<string, ReadyVolume>,
): Promise<BindMount[]> {
  const depth = ({ mountPath }: { mountPath: string }): number =>
    mountPath.split('/').filter((part) => part !== '').length;
  // Outer ones first: a mount made later over its parent would hide what is mounted inside.
  const mounts = (container.volumeMounts ?? []).toSorted((a, b) => depth(a) - depth(b));
  return await Promise.all(
    mounts.map(async (mount) => {
      const volume = ready.get(mount.name);
      if (!volume) throw new VolumeError(`volume "${mount.name}" of container "${container.name}" does not exist`);
      const source = mount.subPath ? await subPath(volume, mount.subPath) : volume.source;
      return { source, destination: mount.mountPath, readOnly: volume.readOnly || mount.readOnly === true };
    }),
  );
}

async function subPath(volume: ReadyVolume, inside: string): Promise<string> {
  if (inside.startsWith('/') || inside.split('/').includes('..')) {
    throw new VolumeError(`subPath "${inside}" must be a relative path without ".."`);
  }
  const found = await openInRoot(volume.source, inside);
  if (found !== undefined) return found;
  if (volume.readOnly) throw new VolumeError(`subPath "${inside}" does not exist in its volume`);
  const { mode } = await stat(volume.source);
  let made = volume.source;
  for (const part of inside.split('/').filter((one) => one !== '' && one !== '.')) {
    made = path.join(made, part);
    const there = await lstat(made).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
    if (there?.isSymbolicLink()) throw new VolumeError(`subPath "${inside}" leads through a symbolic link`);
    if (there) continue;
    await mkdir(made);
    // As open as the volume is, whatever our umask: whoever mounts it may have to write there.
    await chmod(made, mode & 0o7777);
  }
  return made;
}

async function prepare(volume: Volume, inputs: VolumeInputs): Promise<ReadyVolume> {
  const dir = inputs.layout.volume(volume.name);
  const fsGroup = inputs.facts.pod.spec.securityContext?.fsGroup;
  if (volume.emptyDir) return { source: await emptyDir(dir, volume.emptyDir, fsGroup), readOnly: false };
  if (volume.hostPath) return { source: await hostPath(volume.hostPath), readOnly: false };
  if (volume.image) return { source: (await inputs.image(volume)).rootfs, readOnly: true };
  const files = await projectedFiles(volume, inputs.facts, inputs.lookup);
  if (files === undefined) {
    const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'none';
    throw new VolumeError(`volume source ${kind} is not supported on this node: use emptyDir, hostPath or image`);
  }
  await mkdir(dir, { recursive: true, mode: 0o755 });
  await chmod(dir, 0o755);
  await writeAtomicDir(dir, files, fsGroup);
  return { source: dir, readOnly: true };
}

async function emptyDir(
  dir: string,
  spec: NonNullable<Volume['emptyDir']>,
  fsGroup: number | undefined,
): Promise<string> {
  if (spec.medium === 'HugePages') throw new VolumeError('emptyDir medium HugePages is not supported on this node');
  await mkdir(dir, { recursive: true });
  if (spec.medium === 'Memory' && !(await mountPoints()).includes(dir)) {
    const size = spec.sizeLimit === undefined ? [] : [`size=${Math.ceil(quantity(spec.sizeLimit))}`];
    await run(['mount', '-t', 'tmpfs', '-o', ['nosuid', 'nodev', 'mode=0777', ...size].join(','), 'tmpfs', dir]);
  }
  if (fsGroup !== undefined) await chown(dir, 0, fsGroup);
  await chmod(dir, fsGroup === undefined ? 0o777 : 0o2777);
  return dir;
}

async function hostPath({ path: target, type = '' }: NonNullable<Volume['hostPath']>): Promise<string> {
  if (!target.startsWith('/') || target.split('/').includes('..')) {
    throw new VolumeError(`hostPath "${target}" must be absolute and without ".."`);
  }
  if (type === 'DirectoryOrCreate') await mkdir(target, { recursive: true, mode: 0o755 });
  if (type === 'FileOrCreate') await writeFile(target, '', { flag: 'a', mode: 0o644 });
  const found = await stat(target).catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  const checks: Record<string, [boolean | undefined, string]> = {
    '': [found !== undefined, 'a path'],
    Directory: [found?.isDirectory(), 'a directory'],
    DirectoryOrCreate: [found?.isDirectory(), 'a directory'],
    File: [found?.isFile(), 'a file'],
    FileOrCreate: [found?.isFile(), 'a file'],
    Socket: [found?.isSocket(), 'a socket file'],
    CharDevice: [found?.isCharacterDevice(), 'a character device'],
    BlockDevice: [found?.isBlockDevice(), 'a block device'],
  };
  const check = checks[type];
  if (!check) throw new VolumeError(`hostPath type "${type}" is unknown`);
  if (!check[0]) throw new VolumeError(`hostPath type check failed: ${target} is not ${check[1]}`);
  return target;
}
