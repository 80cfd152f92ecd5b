// Small file-system moves that the kubelet makes everywhere: atomic writes, reads that may find nothing.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import path from 'node:path';

/** Writes beside the target and renames over it, so that a reader or a crash sees the old or the new content. */
export async function writeAtomic(file: string, content: string | Buffer, mode = 0o600): Promise<void> {
  const temporary = `${file}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await writeFile(temporary, content, { mode });
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The file's text, or undefined when there is none. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

export async function ensureDir(dir: string, mode = 0o700): Promise<string> {
  await mkdir(dir, { recursive: true, mode });
  return dir;
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

export function isNotFound(error: unknown): boolean {
  return errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR';
}

/** `relative` inside `root`, by text alone; throws when it would leave it. */
export function within(root: string, relative: string): string {
  const target = path.resolve(root, `./${relative}`);
  if (target !== root && !target.startsWith(`${root}/`)) {
    throw new Error(`path "${relative}" leaves its directory: use a relative path without ".."`);
  }
  return target;
}
