// One platform a state directory: the process that runs it, told apart from a later one that got the same pid.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Exit, REFUSED } from './exit.ts';

interface Holder {
  readonly pid: number;
  /** Clock ticks since boot at which the process began (/proc/<pid>/stat, field 22). */
  readonly began: string;
}

function fileIn(stateDir: string): string {
  return join(stateDir, 'platform.pid');
}

function beganOf(pid: number): string | undefined {
  try {
    // The command, field 2, may hold blanks and brackets: fields are counted after the last bracket.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** The platform that runs on this state directory, if one does. */
export function holderOf(stateDir: string): number | undefined {
  try {
    const holder = JSON.parse(readFileSync(fileIn(stateDir), 'utf8')) as Holder;
    return holder.began !== undefined && beganOf(holder.pid) === holder.began ? holder.pid : undefined;
  } catch {
    return undefined;
  }
}

/** Takes the state directory. Throws where another process has it. Returns how to give it back. */
export function takeStateDir(stateDir: string): () => void {
  mkdirSync(stateDir, { recursive: true, mode: 0o711 });
  const file = fileIn(stateDir);
  const holder: Holder = { pid: process.pid, began: beganOf(process.pid) ?? '' };
  for (;;) {
    try {
      // Of two that start at once, one makes the file.
      writeFileSync(file, JSON.stringify(holder), { mode: 0o600, flag: 'wx' });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const other = holderOf(stateDir);
    if (other !== undefined) {
      throw new Exit(
        REFUSED,
        `the platform already runs on ${stateDir} (process ${other}); stop it, or give --state-dir`,
      );
    }
    rmSync(file, { force: true });
  }
}
