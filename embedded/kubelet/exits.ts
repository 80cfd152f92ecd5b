// Hears of container exits: conmon leaves a file named by the container with its exit code in one directory.
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { ensureDir, isNotFound } from './files.ts';

export interface Exit {
  /** 128 + signal number when a signal ended it. */
  code: number;
  at: Date;
}

export class Exits {
  private readonly dir: string;
  private watcher: FSWatcher | undefined;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** Calls back with the container id of each exit from now on. */
  async start(onExit: (id: string) => void): Promise<void> {
    await ensureDir(this.dir);
    this.watcher = watch(this.dir, (_event, name) => {
      // conmon writes a dotted temporary file first and renames it.
      if (name && /^[0-9a-f]+$/.test(name)) onExit(name);
    });
  }

  stop(): void {
    this.watcher?.close();
  }

  async get(id: string): Promise<Exit | undefined> {
    const file = path.join(this.dir, id);
    try {
      const [text, { mtime }] = await Promise.all([readFile(file, 'utf8'), stat(file)]);
      return text.trim() === '' ? undefined : { code: Number(text.trim()), at: mtime };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async forget(id: string): Promise<void> {
    await rm(path.join(this.dir, id), { force: true });
  }
}
