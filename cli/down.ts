// `virtloom down`: ends the platform and every guest, and removes what they had on this machine.
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeEverything } from '../embedded/kubelet/index.ts';
import { Exit, REFUSED } from './exit.ts';
import { holderOf } from './lock.ts';

const DEADLINE_MS = 60_000;
const LOOK_MS = 50;

export async function down(options: { readonly stateDir: string; readonly purge?: boolean }): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Exit(REFUSED, 'virtloom down removes namespaces and networks: run it as root');
  const stateDir = resolve(options.stateDir);
  await stopPlatform(stateDir);
  await removeEverything(join(stateDir, 'kubelet'));
  // The journals speak of pods that are no more.
  rmSync(join(stateDir, 'agent'), { recursive: true, force: true });
  if (options.purge) rmSync(stateDir, { recursive: true, force: true });
  console.log(
    options.purge ? `Nothing is left of ${stateDir}.` : `Everything is stopped. Objects are kept in ${stateDir}.`,
  );
}

async function stopPlatform(stateDir: string): Promise<void> {
  const pid = holderOf(stateDir);
  if (pid === undefined) return;
  process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + DEADLINE_MS;
  while (holderOf(stateDir) !== undefined) {
    if (Date.now() > deadline)
      throw new Exit(REFUSED, `the platform (process ${pid}) does not stop; end it and try again`);
    await sleep(LOOK_MS);
  }
}
