// The node side: puts the data on a disk that guests know by its label. What it handles may be secret: none of it is logged.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Action, Json, Sandbox } from '../../core/index.ts';
import { DOCUMENT, documentOf, filesOf } from './document.ts';
import type { Content, Iso, IsoArgs } from './types.ts';

/** Whether a program in the pod ran and failed; anything else (pod gone, agent stopping) is another story. */
function hasFailed(error: unknown): boolean {
  return typeof (error as { exitCode?: unknown } | undefined)?.exitCode === 'number';
}

async function read(sandbox: Sandbox, volume: string, content: Content): Promise<Uint8Array> {
  if ('text' in content) return Buffer.from(content.text);
  if ('base64' in content) return Buffer.from(content.base64, 'base64');
  for (const key of content.keys) {
    try {
      return await sandbox.readFile(`${content.folder}/${key}`);
    } catch (error) {
      if (!hasFailed(error)) throw error;
    }
  }
  throw new Error(`volume ${volume}: secret ${content.secret} has neither key ${content.keys.join(' nor ')}. Add one.`);
}

/** True where the file system of `path` can read it past the page cache. */
async function canReadDirectly(sandbox: Sandbox, path: string): Promise<boolean> {
  try {
    await sandbox.exec(['dd', `if=${path}`, 'of=/dev/null', 'bs=4096', 'count=1', 'iflag=direct', 'status=none'], {
      in: 'pod',
    });
    return true;
  } catch (error) {
    if (!hasFailed(error)) throw error;
    return false;
  }
}

export const actions: Readonly<Record<string, Action>> = {
  iso: {
    async apply({ sandbox, rewrite }, given): Promise<Json> {
      const { volume, kind, iso, label, files } = given as unknown as IsoArgs;
      const folder = join(await sandbox.scratch(), 'data');
      const contents = new Map<string, Uint8Array>();
      for (const { name, content } of files) contents.set(name, await read(sandbox, volume, content));
      // Other plugins may have something to add.
      const offered = documentOf(kind, volume, contents);
      const answered = await rewrite(DOCUMENT, offered);
      const all = answered === offered ? contents : filesOf(kind, volume, answered);
      for (const [name, data] of all) {
        const file = join(folder, name);
        await mkdir(dirname(file), { recursive: true, mode: 0o700 });
        await writeFile(file, data, { mode: 0o600 });
      }
      // Joliet for Windows, Rock Ridge for the rest: plain ISO 9660 knows no such names.
      const make = ['genisoimage', '-quiet', '-volid', label, '-joliet', '-rock', '-input-charset', 'utf-8', folder];
      const { stdout } = await sandbox.exec(make, { in: 'agent' });
      await sandbox.writeFile(iso, stdout, 0o600);
      const made: Iso = { cache: (await canReadDirectly(sandbox, iso)) ? 'none' : 'writethrough' };
      return { ...made };
    },
    async revert({ sandbox }, given) {
      await sandbox?.remove((given as unknown as IsoArgs).iso);
    },
  },
};
