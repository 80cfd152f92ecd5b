// Runs one short-lived program with an argument vector, never through a shell, and gives its output.
import { spawn } from 'node:child_process';

export class ProcessError extends Error {
  override name = 'ProcessError';
  argv: readonly string[];
  /** Exit code; undefined when the program was killed or never started. */
  code: number | undefined;
  stdout: string;
  stderr: string;

  constructor(argv: readonly string[], code: number | undefined, stdout: string, stderr: string, why: string) {
    super(`${argv[0] ?? ''} ${argv[1] ?? ''}: ${why}: ${(stderr.trim() || stdout.trim()).slice(-2000)}`);
    this.argv = argv;
    this.code = code;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

export interface RunOptions {
  stdin?: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Killed after this many milliseconds; 60 s unless told. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** Resolves with what was printed when the program exits 0; throws ProcessError otherwise. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<{ stdout: string; stderr: string }> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    // A process group of its own: a Ctrl-C at our terminal must not cut a half-made pod in two.
    const child = spawn(program, args, {
      detached: true,
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let why = '';
    const stop = (reason: string) => {
      why = reason;
      child.kill('SIGKILL');
    };
    const timeoutMs = options.timeoutMs ?? 60_000;
    const timer = setTimeout(() => stop(`no answer within ${timeoutMs} ms`), timeoutMs);
    const onAbort = () => stop('cancelled');
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const done = () => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    };
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => {});
    child.stdin.end(options.stdin ?? '');
    child.on('error', (error) => {
      done();
      reject(new ProcessError(argv, undefined, '', '', `cannot be started (${error.message})`));
    });
    child.on('close', (code, signal) => {
      done();
      const stdout = Buffer.concat(out).toString();
      const stderr = Buffer.concat(err).toString();
      if (code === 0) resolve({ stdout, stderr });
      else
        reject(new ProcessError(argv, code ?? undefined, stdout, stderr, why || `exit ${code ?? signal ?? 'unknown'}`));
    });
  });
}
