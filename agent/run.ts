// Runs one program by its arguments, never through a shell.
import { spawn } from 'node:child_process';

const STDOUT_MAX = 16 * 1024 * 1024;
const STDERR_MAX = 4096;
const DEADLINE_MS = 30_000;

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  /** Milliseconds; 30,000 unless told. The program is killed then. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** What errors call the program; its arguments may hold secrets and are never shown. */
  readonly name?: string;
}

export interface Ran {
  readonly stdout: Buffer;
  /** Its last 4 KiB. */
  readonly stderr: string;
}

/** Nothing of the agent's own environment reaches what it runs. */
export const RUN_ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } as const;

/** A program that could not be run to a good end; the message holds its stderr. */
export class RunError extends Error {
  override readonly name = 'RunError';
  readonly exitCode: number | undefined;

  constructor(message: string, exitCode?: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Throws RunError unless the program exits with 0, the signal's reason when aborted. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  options.signal?.throwIfAborted();
  const [program = '', ...args] = argv;
  const name = options.name ?? program;
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: RUN_ENV, cwd: '/', stdio: 'pipe' });
    const stdout: Buffer[] = [];
    let stdoutBytes = 0;
    let stderr = '';
    let why: unknown;
    const kill = (reason: unknown): void => {
      why ??= reason;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => kill(new RunError(`${name}: not done within ${deadlineMs} ms`)), deadlineMs);
    const aborted = (): void => kill(options.signal?.reason);
    options.signal?.addEventListener('abort', aborted, { once: true });
    child.stdout.on('data', (chunk: Buffer) => {
      stdoutBytes += chunk.length;
      if (stdoutBytes > STDOUT_MAX) kill(new RunError(`${name}: more than ${STDOUT_MAX} bytes of output`));
      else stdout.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString('utf8')).slice(-STDERR_MAX);
    });
    // A program that does not read its input ends the pipe early; how it exits tells the rest.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin);
    child.once('error', (error) => {
      why ??= new RunError(`${name}: ${error.message}`);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', aborted);
      if (why !== undefined) return reject(why as Error);
      if (code === 0) return resolve({ stdout: Buffer.concat(stdout), stderr });
      const end = code === null ? `killed by ${signal}` : `exit code ${code}`;
      reject(new RunError(`${name}: ${end}: ${stderr.trim() || 'no message'}`, code ?? undefined));
    });
  });
}
