// Copies one image from a registry into shared blobs and unpacks it into a root file system of its own.
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ensureDir, errorCode, isNotFound } from '../kubelet/files.ts';
import { ProcessError, run } from '../kubelet/process.ts';
import type { Login } from './credentials.ts';
import type { ImageConfig } from './image.ts';
import type { ImageReference } from './reference.ts';

const PULL_TIMEOUT_MS = 3_600_000;

/** What one unpacked image is; kept beside its root file system. */
export interface UnpackedImage {
  manifest: string;
  layers: string[];
  bytes: number;
  config: ImageConfig;
}

export interface PullOptions {
  /** The image store's directory: blobs/ shared by all images, rootfs/<manifest>/ one each. */
  dir: string;
  ref: ImageReference;
  /** Where the image comes from, as skopeo names it: `docker://repository@digest`, `oci:folder`, `oci-archive:file`. */
  source: string;
  login: Login | undefined;
  insecure: boolean;
}

type Descriptor = { digest: string; size: number };
type Manifest = { config: Descriptor; layers: Descriptor[] };
type Config = {
  config?: { Entrypoint?: string[]; Cmd?: string[]; Env?: string[]; User?: string; WorkingDir?: string };
};

/** Pulls what is missing and unpacks it. Throws with skopeo's or umoci's reason. */
export async function pullAndUnpack(options: PullOptions): Promise<UnpackedImage> {
  const blobs = await ensureDir(path.join(options.dir, 'blobs'));
  const scratch = await mkdtemp(path.join(await ensureDir(path.join(options.dir, 'tmp')), 'pull-'));
  try {
    const layout = path.join(scratch, 'layout');
    await mkdir(layout);
    await symlink(blobs, path.join(layout, 'blobs'));
    await copy(options, scratch, layout);
    const index = JSON.parse(await readFile(path.join(layout, 'index.json'), 'utf8')) as { manifests: Descriptor[] };
    const manifestDigest = index.manifests[0]?.digest ?? '';
    const manifest = await blob<Manifest>(blobs, manifestDigest);
    const { config = {} } = await blob<Config>(blobs, manifest.config.digest);
    const image: UnpackedImage = {
      manifest: manifestDigest,
      layers: [manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)],
      bytes: manifest.layers.reduce((sum, layer) => sum + layer.size, manifest.config.size),
      config: {
        entrypoint: config.Entrypoint ?? [],
        cmd: config.Cmd ?? [],
        env: config.Env ?? [],
        user: config.User ?? '',
        workingDir: config.WorkingDir ?? '',
      },
    };
    const home = path.join(await ensureDir(path.join(options.dir, 'rootfs')), hex(manifestDigest));
    if ((await unpackedImage(home)) === undefined) await unpack(layout, scratch, home, image);
    return image;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The image kept in `home`, or undefined when there is none. */
export async function unpackedImage(home: string): Promise<UnpackedImage | undefined> {
  try {
    return JSON.parse(await readFile(path.join(home, 'image.json'), 'utf8')) as UnpackedImage;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

export function hex(digest: string): string {
  return digest.replace(/^sha256:/, '');
}

async function copy({ ref, source, login, insecure }: PullOptions, scratch: string, layout: string): Promise<void> {
  const authfile = path.join(scratch, 'auth.json');
  const auth = login && Buffer.from(`${login.username}:${login.password}`).toString('base64');
  await writeFile(authfile, JSON.stringify({ auths: auth ? { [ref.registry]: { auth } } : {} }), { mode: 0o600 });
  try {
    await run(
      [
        ...['skopeo', 'copy', '--insecure-policy', '--quiet', '--override-os', 'linux'],
        ...['--src-authfile', authfile, `--src-tls-verify=${String(!insecure)}`],
        source,
        `oci:${layout}:image`,
      ],
      { timeoutMs: PULL_TIMEOUT_MS },
    );
  } catch (error) {
    throw error instanceof ProcessError ? new Error(lastMessage(error)) : error;
  }
}

async function unpack(layout: string, scratch: string, home: string, image: UnpackedImage): Promise<void> {
  const unpacked = path.join(scratch, 'unpacked');
  await mkdir(unpacked);
  const rootfs = path.join(unpacked, 'rootfs');
  await run(['umoci', 'raw', 'unpack', '--image', `${layout}:image`, rootfs], { timeoutMs: PULL_TIMEOUT_MS });
  await writeFile(path.join(unpacked, 'image.json'), JSON.stringify(image));
  try {
    await rename(unpacked, home);
  } catch (error) {
    // Someone else unpacked the same content meanwhile: theirs is as good.
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
  }
}

async function blob<T>(blobs: string, digest: string): Promise<T> {
  return JSON.parse(await readFile(path.join(blobs, 'sha256', hex(digest)), 'utf8')) as T;
}

function lastMessage(error: ProcessError): string {
  return /msg="((?:[^"\\]|\\.)*)"[^"]*$/.exec(error.stderr.trim())?.[1]?.replaceAll('\\"', '"') ?? error.message;
}
