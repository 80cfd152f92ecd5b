// Writes OCI image layouts of one layer: what a containerDisk is, and what tests need of odd ones.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** An entry of the image's one layer. Parent directories are made by themselves. */
export type Entry = { path: string; uid?: number; mode?: number } & (
  { content: string | Uint8Array } | { file: string } | { symlink: string } | { directory: true }
);

/** The user KubeVirt's containerDisks belong to. */
const QEMU_USER = 107;
const BLOCK = 512;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

function tarHeader(name: string, type: '0' | '2' | '5', size: number, entry: Entry, link = ''): Buffer {
  if (Buffer.byteLength(name) > 100) throw new Error(`tar entry name has more than 100 bytes: ${name}`);
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number) =>
    header.write(value.toString(8).padStart(width - 1, '0'), at, 'ascii');
  header.write(name, 0);
  octal(entry.mode ?? (type === '5' ? 0o555 : 0o440), 100, 8);
  octal(entry.uid ?? QEMU_USER, 108, 8);
  octal(entry.uid ?? QEMU_USER, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  header.write('        ', 148);
  header.write(type, 156);
  header.write(link, 157);
  header.write('ustar\u000000', 257, 'binary');
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return header;
}

function tarEntry(entry: Entry): Buffer[] {
  const name = entry.path.replace(/^\//, '');
  if ('directory' in entry) return [tarHeader(`${name}/`, '5', 0, entry)];
  if ('symlink' in entry) return [tarHeader(name, '2', 0, entry, entry.symlink)];
  const content = 'file' in entry ? readFileSync(entry.file) : Buffer.from(entry.content as Uint8Array);
  return [
    tarHeader(name, '0', content.length, entry),
    content,
    Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK),
  ];
}

function tar(entries: Entry[]): Buffer {
  const made = new Set<string>();
  const blocks: Buffer[] = [];
  for (const entry of entries) {
    const parts = entry.path.split('/').filter(Boolean).slice(0, -1);
    parts.forEach((_, index) => {
      const path = parts.slice(0, index + 1).join('/');
      if (!made.has(path)) blocks.push(...tarEntry({ path, directory: true }));
      made.add(path);
    });
    blocks.push(...tarEntry(entry));
  }
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

/**
 * Writes an OCI image layout (one amd64 image, one gzip layer) at `directory`; what was there is replaced in one move.
 * @param tag the name that tools find the image by within the layout, as in skopeo's `oci:directory:tag`
 * @returns the manifest's digest, `sha256:...`
 */
export function writeImage(directory: string, entries: Entry[], tag = 'latest'): string {
  const temporary = `${directory}.${process.pid}`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(join(temporary, 'blobs/sha256'), { recursive: true });
  const blob = (mediaType: string, content: Buffer | object) => {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    const hash = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(temporary, 'blobs/sha256', hash), bytes);
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
  };
  const layerTar = tar(entries);
  const layer = blob(LAYER, gzipSync(layerTar, { level: 1 }));
  const diffId = `sha256:${createHash('sha256').update(layerTar).digest('hex')}`;
  const config = blob(CONFIG, {
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: [diffId] },
  });
  const manifest = blob(MANIFEST, { schemaVersion: 2, mediaType: MANIFEST, config, layers: [layer] });
  const annotations = { 'org.opencontainers.image.ref.name': tag };
  const platform = { architecture: 'amd64', os: 'linux' };
  writeFileSync(
    join(temporary, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, platform, annotations }] }),
  );
  writeFileSync(join(temporary, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  rmSync(directory, { recursive: true, force: true });
  renameSync(temporary, directory);
  return manifest.digest;
}
