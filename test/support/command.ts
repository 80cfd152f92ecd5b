// Runs programs for tests, in a network namespace where one is given.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  input?: string;
  env?: Record<string, string>;
  /** After this the program is killed and the run fails. */
  timeoutMs?: number;
  /** Name of a network namespace, as `ip netns` has it. Not `ip netns exec`: that makes a mount namespace as well. */
  netns?: string;
}

export function inNetns(argv: readonly string[], netns: string | undefined): string[] {
  return netns === undefined ? [...argv] : ['nsenter', `--net=/run/netns/${netns}`, '--', ...argv];
}

/** Runs to the end, whatever the exit status. Throws on a time-out. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const [program = '', ...args] = inNetns(argv, options.netns);
  const child = spawn(program, args, { env: { ...process.env, ...options.env }, stdio: 'pipe' });
  const ran: Ran = { code: -1, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (ran.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (ran.stderr += text));
  child.stdin.on('error', () => undefined); // the program may end without reading its input
  child.stdin.end(options.input ?? '');
  let late = false;
  const timeoutMs = options.timeoutMs ?? 60_000;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (late) throw new Error(`${argv.join(' ')}: not over after ${timeoutMs} ms\n${ran.stdout}${ran.stderr}`);
    ran.code = code ?? -1;
    if (signal) ran.stderr += `\nkilled by ${signal}`;
    return ran;
  } finally {
    clearTimeout(timer);
  }
}

/** Runs to the end and gives stdout. Throws, with all it said, when the exit status is not 0. */
export async function ok(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(argv, options);
  if (code !== 0) throw new Error(`${argv.join(' ')}: exit status ${code}\n${stderr}${stdout}`);
  return stdout;
}

/**
 * Waits until `condition` gives something that is not false, undefined or null, and gives that.
 * A condition that throws is tried again; the last error is in the message at the deadline.
 */
export async function waitFor<T>(
  what: string,
  condition: () => Promise<T | false | undefined | null> | T | false | undefined | null,
  deadlineMs = 30_000,
  everyMs = 50,
): Promise<T> {
  let last: unknown;
  for (const end = Date.now() + deadlineMs; Date.now() < end; await sleep(everyMs)) {
    try {
      const value = await condition();
      if (value !== false && value !== undefined && value !== null) return value;
      last = value;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`not within ${deadlineMs} ms: ${what}; last: ${last instanceof Error ? last.message : String(last)}`);
}
