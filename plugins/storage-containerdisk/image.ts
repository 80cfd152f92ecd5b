// Finds the disk in an image's file tree, on the image's own terms: symbolic links resolve inside the image, never outside.
import { messageOf } from '../../core/index.ts';
import type { Sandbox } from '../../core/index.ts';

export type Reason =
  | 'NoDisk'
  | 'SeveralDisks'
  | 'NotAFile'
  | 'Unreadable'
  | 'Empty'
  | 'Corrupt'
  | 'UnsupportedFormat'
  | 'BackingFile'
  | 'ExternalDataFile';

/** An image that cannot serve as a disk; no retry will help. The message names volume and image. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly reason: Reason;
  readonly permanent = true;

  constructor(subject: { readonly volume: string; readonly image: string }, reason: Reason, problem: string) {
    super(`${reason}: volume ${subject.volume}: image ${subject.image}: ${problem}`);
    this.reason = reason;
  }
}

/** Whether a program in the pod ran and failed. Anything else (pod gone, agent stopping) says nothing about the image. */
export function hasFailed(error: unknown): boolean {
  return typeof (error as { exitCode?: unknown } | undefined)?.exitCode === 'number';
}

interface Entry {
  /** find's letter: f file, d folder, l link, p pipe, s socket, b and c devices. */
  readonly type: string;
  /** Relative to the listed folder. */
  readonly path: string;
  /** Where a link points. */
  readonly target: string;
}

const KINDS: Record<string, string> = {
  d: 'a folder',
  p: 'a named pipe',
  s: 'a socket',
  b: 'a device',
  c: 'a device',
};
const LINKS_MAX = 40;
const SHOWN_MAX = 80;

/** A name out of an image, safe to show. */
export function shown(name: string): string {
  return JSON.stringify(name.length > SHOWN_MAX ? `${name.slice(0, SHOWN_MAX)}...` : name);
}

export class ImageTree {
  readonly #sandbox: Sandbox;
  readonly #root: string;
  readonly #subject: { readonly volume: string; readonly image: string };

  /** `root` is the container's path of the image's root folder. */
  constructor(sandbox: Sandbox, root: string, subject: { readonly volume: string; readonly image: string }) {
    this.#sandbox = sandbox;
    this.#root = root;
    this.#subject = subject;
  }

  /** The container's path of the disk: a regular file in the image. Throws ImageError. */
  async findDisk(path: string | undefined): Promise<string> {
    if (path !== undefined && path !== '') return this.#file(path);
    const top = await this.#find('', [
      '(',
      '-path',
      `${this.#root}/disk/*`,
      '-o',
      '-not',
      '-path',
      `${this.#root}/*/*`,
      ')',
    ]);
    const first = top[0];
    // An artifact that is nothing but the disk.
    if (top.length === 1 && first?.type === 'f') return `${this.#root}/${first.path}`;
    const disk = top.find((entry) => entry.path === 'disk');
    if (!disk)
      throw this.#error('NoDisk', 'has no folder /disk; the disk belongs there, or name it in containerDisk.path');
    let folder = 'disk';
    let files = top.filter((entry) => entry.path.startsWith('disk/'));
    if (disk.type === 'l') {
      folder = (await this.#resolve('disk', 'd')).slice(1);
      files = (await this.#find(folder, ['-maxdepth', '1'])).map((entry) => ({
        ...entry,
        path: `${folder}/${entry.path}`,
      }));
    }
    const [only, ...more] = files;
    if (!only) throw this.#error('NoDisk', 'has no file in its folder /disk');
    if (more.length > 0) {
      const names = files.slice(0, 3).map((entry) => shown(entry.path.slice(folder.length + 1)));
      const rest = files.length > 3 ? ` and ${files.length - 3} more` : '';
      throw this.#error(
        'SeveralDisks',
        `has ${files.length} files in its folder /disk (${names.join(', ')}${rest}); keep one, or name it in containerDisk.path`,
      );
    }
    if (only.type === 'f') return `${this.#root}/${only.path}`;
    return this.#file(only.path);
  }

  async #file(path: string): Promise<string> {
    return this.#root + (await this.#resolve(path, 'f'));
  }

  /** Walks `path` link by link; `..` stops at the image's root. Answers the path of what is there, as `/a/b`. */
  async #resolve(path: string, wanted: 'f' | 'd'): Promise<string> {
    const rest = path.split('/');
    const here: string[] = [];
    let links = 0;
    let type = 'd';
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        here.pop();
        type = 'd';
        continue;
      }
      const entry: Entry | undefined = type === 'd' ? await this.#entry(here.join('/'), name) : undefined;
      if (!entry) throw this.#error('NoDisk', `has no ${shown(path)}`);
      if (entry.type !== 'l') {
        here.push(name);
        type = entry.type;
        continue;
      }
      if (++links > LINKS_MAX) throw this.#error('NoDisk', `has too many symbolic links at ${shown(path)}`);
      if (entry.target.startsWith('/')) here.length = 0;
      rest.unshift(...entry.target.split('/'));
    }
    if (type !== wanted) {
      throw this.#error(
        'NotAFile',
        `${shown(path)} is ${KINDS[type] ?? 'no regular file'}, not a ${wanted === 'f' ? 'file' : 'folder'}`,
      );
    }
    return `/${here.join('/')}`;
  }

  async #entry(folder: string, name: string): Promise<Entry | undefined> {
    const pattern = name.replace(/[*?[\]\\]/g, '\\$&');
    return (await this.#find(folder, ['-maxdepth', '1', '-name', pattern]))[0];
  }

  /** Lists below `folder`, two levels unless told, links not followed. `folder` itself holds no link. */
  async #find(folder: string, tests: string[]): Promise<Entry[]> {
    const start = folder === '' ? this.#root : `${this.#root}/${folder}`;
    const depth = tests.includes('-maxdepth') ? [] : ['-maxdepth', '2'];
    const argv = ['find', '-P', start, '-mindepth', '1', ...depth, ...tests, '-printf', '%y\\0%P\\0%l\\0'];
    let output: string;
    try {
      output = (await this.#sandbox.exec(argv, { in: 'pod' })).stdout.toString('utf8');
    } catch (error) {
      if (!hasFailed(error)) throw error;
      throw this.#error('Unreadable', `its files cannot be listed by the launcher's user: ${messageOf(error)}`);
    }
    const parts = output.split('\0');
    const entries: Entry[] = [];
    for (let i = 0; i + 3 <= parts.length; i += 3) {
      entries.push({ type: parts[i] ?? '', path: parts[i + 1] ?? '', target: parts[i + 2] ?? '' });
    }
    return entries;
  }

  #error(reason: Reason, problem: string): ImageError {
    return new ImageError(this.#subject, reason, problem);
  }
}
