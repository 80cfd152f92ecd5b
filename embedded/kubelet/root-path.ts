// Resolves a path inside a root directory without ever following a link out of it.
import { lstat, readlink } from 'node:fs/promises';
import path from 'node:path';
import { isNotFound } from './files.ts';

/**
 * The real path of `inside` below `root`, links read as a process chrooted to `root` would read them;
 * undefined when it does not exist.
 */
export async function openInRoot(root: string, inside: string): Promise<string | undefined> {
  const todo = inside.split('/').filter(Boolean);
  let at: string[] = [];
  for (let links = 0; todo.length > 0;) {
    const part = todo.shift() ?? '';
    if (part === '.') continue;
    if (part === '..') {
      at = at.slice(0, -1);
      continue;
    }
    const here = path.join(root, ...at, part);
    try {
      const stat = await lstat(here);
      if (!stat.isSymbolicLink()) {
        at = [...at, part];
        continue;
      }
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    if (++links > 40) throw new Error(`too many links in ${inside}`);
    const target = await readlink(here);
    if (target.startsWith('/')) at = [];
    todo.unshift(...target.split('/').filter(Boolean));
  }
  return path.join(root, ...at);
}
