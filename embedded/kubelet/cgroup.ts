// Removes cgroups, in the one hierarchy of cgroup v2 or in each of v1's.
import { readdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode, readIfThere } from './files.ts';

/** Removes `name` and all below it from every hierarchy; what still holds a process is left. */
export async function removeCgroup(name: string): Promise<void> {
  const mounts = ((await readIfThere('/proc/self/mountinfo')) ?? '')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '');
  await Promise.all(mounts.map((mount) => removeTree(path.join(mount, name))));
}

async function removeTree(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true }).catch(() => [])) {
    if (entry.isDirectory()) await removeTree(path.join(dir, entry.name));
  }
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      return await rmdir(dir);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return;
      // EBUSY: the kernel still accounts a process that just died.
      if (errorCode(error) !== 'EBUSY') throw error;
      await sleep(20);
    }
  }
}
