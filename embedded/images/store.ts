// The images on this machine: finds or pulls an image by its reference and policy, and drops those unused for long.
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, utimes, stat } from 'node:fs/promises';
import path from 'node:path';
import { ensureDir, isNotFound, readIfThere, writeAtomic } from '../kubelet/files.ts';
import type { PullPolicy } from '../kubelet/pod-types.ts';
import { loginFor } from './credentials.ts';
import type { Login } from './credentials.ts';
import { prepareHostImage } from './host-image.ts';
import type { HostImage, ReadyImage } from './image.ts';
import { defaultPullPolicy, ImageError, parseReference, repositoryName } from './reference.ts';
import type { ImageReference } from './reference.ts';
import { headDigest, isInsecure } from './registry.ts';
import { hex, pullAndUnpack, unpackedImage } from './unpack.ts';
import type { UnpackedImage } from './unpack.ts';

export interface ImageStoreOptions {
  dir: string;
  hostImages?: Record<string, HostImage>;
  /** "host" or "host:port" that may be spoken to without (valid) TLS; loopback always may. */
  insecureRegistries?: readonly string[];
}

export interface EnsureOptions {
  policy?: PullPolicy | undefined;
  logins?: ReadonlyMap<string, Login>;
  /** Called when a pull really begins. */
  onPulling?: () => void;
}

export interface Ensured extends ReadyImage {
  /** Set when this call waited for a pull. */
  pulled?: { ms: number; bytes: number };
}

/** What a reference meant when it was last pulled. */
interface Known {
  ref: string;
  digest: string;
  manifest: string;
}

export class ImageStore {
  private readonly options: ImageStoreOptions;
  private readonly hostImages = new Map<string, Promise<ReadyImage>>();
  private readonly pulls = new Map<string, Promise<UnpackedImage>>();
  private collecting: Promise<unknown> = Promise.resolve();

  constructor(options: ImageStoreOptions) {
    this.options = options;
  }

  /** Makes the directories, clears what a crash left half pulled, prepares the host images. */
  async prepare(): Promise<void> {
    const { dir, hostImages = {} } = this.options;
    await Promise.all(['blobs', 'refs', 'rootfs', 'host', 'tmp'].map((name) => ensureDir(path.join(dir, name))));
    await Promise.all(
      (await readdir(path.join(dir, 'tmp'))).map((n) => rm(path.join(dir, 'tmp', n), { recursive: true })),
    );
    for (const [ref, image] of Object.entries(hostImages)) {
      this.hostImages.set(ref, prepareHostImage(ref, image, path.join(dir, 'host')));
    }
    await Promise.all(this.hostImages.values());
  }

  /** Gives the image ready to run. Throws ImageError with the reason and message that Kubernetes shows. */
  async ensure(text: string, options: EnsureOptions = {}): Promise<Ensured> {
    const host = this.hostImages.get(text);
    if (host !== undefined) return await host;
    const ref = parseReference(text);
    await this.collecting;
    const policy = options.policy ?? defaultPullPolicy(text);
    const known = await this.known(text, ref);
    if (known !== undefined && (policy !== 'Always' || ref.digest !== undefined)) return known.image;
    if (policy === 'Never') {
      throw new ImageError('ErrImageNeverPull', `Container image "${text}" is not present with pull policy of Never`);
    }
    return await this.pull(text, ref, known, options);
  }

  /**
   * Takes in an image under a name of its own, with no registry; what the name meant before is forgotten.
   * `source` as skopeo names it: `oci:folder` or `oci-archive:file`. Throws with skopeo's or umoci's reason.
   */
  async load(text: string, source: string): Promise<ReadyImage> {
    const ref = parseReference(text);
    const unpacked = await pullAndUnpack({ dir: this.options.dir, ref, source, login: undefined, insecure: false });
    await this.remember({ ref: text, digest: unpacked.manifest, manifest: unpacked.manifest });
    return this.ready(ref, unpacked.manifest, unpacked);
  }

  /**
   * Removes images that no container uses and nobody asked for within `maxAgeMs`, and blobs that no image needs.
   * `inUse` holds the root file systems of running containers. Gives the number of images removed.
   */
  async collect(inUse: ReadonlySet<string>, maxAgeMs: number): Promise<number> {
    if (this.pulls.size > 0) return 0;
    const work = this.sweep(inUse, maxAgeMs);
    // Nothing may be found or pulled that is just being removed.
    this.collecting = work.catch(() => {});
    return await work;
  }

  private async sweep(inUse: ReadonlySet<string>, maxAgeMs: number): Promise<number> {
    const { dir } = this.options;
    const kept = new Set<string>();
    for (const name of await readdir(path.join(dir, 'refs'))) {
      const file = path.join(dir, 'refs', name);
      const known = JSON.parse(await readFile(file, 'utf8')) as Known;
      const old = Date.now() - (await stat(file)).mtimeMs > maxAgeMs;
      if (old && !inUse.has(this.rootfs(known.manifest))) await rm(file);
      else kept.add(hex(known.manifest));
    }
    let removed = 0;
    const blobs = new Set<string>();
    for (const name of await readdir(path.join(dir, 'rootfs'))) {
      const home = path.join(dir, 'rootfs', name);
      const image = await unpackedImage(home);
      if (kept.has(name) || inUse.has(path.join(home, 'rootfs'))) {
        for (const digest of [image?.manifest ?? '', ...(image?.layers ?? [])]) blobs.add(hex(digest));
      } else {
        await rm(home, { recursive: true, force: true });
        removed++;
      }
    }
    const current = new Set((await Promise.all(this.hostImages.values())).map((image) => image.rootfs));
    for (const name of await readdir(path.join(dir, 'host'))) {
      const rootfs = path.join(dir, 'host', name);
      if (!current.has(rootfs) && !inUse.has(rootfs)) await rm(rootfs, { recursive: true, force: true });
    }
    const store = path.join(dir, 'blobs', 'sha256');
    for (const name of await readdir(store).catch(() => [])) if (!blobs.has(name)) await rm(path.join(store, name));
    return removed;
  }

  private async pull(
    text: string,
    ref: ImageReference,
    known: { record: Known; image: ReadyImage } | undefined,
    options: EnsureOptions,
  ): Promise<Ensured> {
    const begin = performance.now();
    const login = loginFor(options.logins ?? new Map(), ref);
    const insecure = isInsecure(ref.registry, this.options.insecureRegistries ?? []);
    try {
      const digest = ref.digest ?? (await headDigest(ref, login, insecure));
      if (known?.record.digest === digest) return known.image;
      options.onPulling?.();
      const key = `${repositoryName(ref)}@${digest}`;
      let pull = this.pulls.get(key);
      if (pull === undefined) {
        // Exactly what the registry named, whatever the tag means by then.
        pull = pullAndUnpack({ dir: this.options.dir, ref, source: `docker://${key}`, login, insecure });
        this.pulls.set(key, pull);
        void pull.finally(() => this.pulls.delete(key)).catch(() => {});
      }
      const unpacked = await pull;
      await this.remember({ ref: text, digest, manifest: unpacked.manifest });
      return { ...this.ready(ref, digest, unpacked), pulled: { ms: performance.now() - begin, bytes: unpacked.bytes } };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new ImageError('ErrImagePull', `failed to pull and unpack image "${text}": ${why}`);
    }
  }

  private async known(text: string, ref: ImageReference): Promise<{ record: Known; image: ReadyImage } | undefined> {
    const file = this.refFile(text);
    const content = await readIfThere(file);
    if (content === undefined) return undefined;
    const record = JSON.parse(content) as Known;
    const unpacked = await unpackedImage(path.dirname(this.rootfs(record.manifest)));
    if (unpacked === undefined) return undefined;
    const now = new Date();
    // The file's time is when the image was last asked for: collect() goes by it.
    await utimes(file, now, now).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
    return { record, image: this.ready(ref, record.digest, unpacked) };
  }

  private ready(ref: ImageReference, digest: string, unpacked: UnpackedImage): ReadyImage {
    return {
      imageID: `${repositoryName(ref)}@${digest}`,
      rootfs: this.rootfs(unpacked.manifest),
      config: unpacked.config,
      mounts: [],
    };
  }

  private rootfs(manifest: string): string {
    return path.join(this.options.dir, 'rootfs', hex(manifest), 'rootfs');
  }

  private refFile(text: string): string {
    return path.join(this.options.dir, 'refs', createHash('sha256').update(text).digest('hex'));
  }

  private async remember(known: Known): Promise<void> {
    // load() comes before prepare() in a store that is new.
    await ensureDir(path.join(this.options.dir, 'refs'));
    await writeAtomic(this.refFile(known.ref), JSON.stringify(known));
  }
}
