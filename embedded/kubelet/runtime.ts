// Containers by runc under conmon, which holds their output and exit code while nobody else is there.
import { spawn } from 'node:child_process';
import { access, constants, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ensureDir, isNotFound } from './files.ts';
import type { Layout } from './layout.ts';
import { ProcessError, run } from './process.ts';

/** The machine is in trouble when a container takes this long. */
const CREATE_MS = 60_000;
const LOG_BYTES = 10 * 2 ** 20;

export class RuntimeError extends Error {
  override name = 'RuntimeError';
}

export interface CreateOptions {
  id: string;
  bundle: string;
  config: Record<string, unknown>;
  log: string;
  tty: boolean;
}

export class Runtime {
  readonly root: string;
  private readonly exits: string;

  constructor(layout: Layout) {
    this.root = layout.runc;
    this.exits = layout.exits;
  }

  async prepare(): Promise<void> {
    await Promise.all([ensureDir(this.root), ensureDir(this.exits)]);
  }

  /** Makes the container's namespaces and file system up to, but not into, its program. Gives PID 1's host pid. */
  async create(options: CreateOptions): Promise<number> {
    const { id, bundle } = options;
    const persist = path.join(bundle, 'conmon');
    await Promise.all([
      mkdir(path.join(bundle, 'rootfs'), { recursive: true }),
      mkdir(persist, { recursive: true }),
      mkdir(path.dirname(options.log), { recursive: true }),
      writeFile(path.join(bundle, 'config.json'), JSON.stringify(options.config), { mode: 0o600 }),
    ]);
    const argv = [
      ...['--cid', id, '--cuuid', id, '--name', id, '--bundle', bundle],
      ...['--runtime', await findProgram('runc'), '--runtime-arg', `--root=${this.root}`],
      ...['--log-path', `k8s-file:${options.log}`, '--log-size-max', String(LOG_BYTES), '--no-sync-log'],
      ...['--container-pidfile', path.join(bundle, 'pid'), '--conmon-pidfile', path.join(bundle, 'conmon.pid')],
      ...['--exit-dir', this.exits, '--persist-dir', persist, '--full-attach', '--no-new-keyring'],
      ...(options.tty ? ['--terminal'] : []),
    ];
    return await spawnConmon(argv, bundle);
  }

  async start(id: string): Promise<void> {
    await this.runc(['start', id]);
  }

  /** Sends a signal to PID 1, or SIGKILL to all when the container is already no more; no error then. */
  async kill(id: string, signal: 'TERM' | 'KILL' | string): Promise<void> {
    try {
      await this.runc(['kill', id, signal]);
    } catch (error) {
      const text = error instanceof Error ? error.message : '';
      if (!/does not exist|not running|already finished|no such process/i.test(text)) throw error;
    }
  }

  /** Removes whatever is left of a container, its processes too. */
  async delete(id: string): Promise<void> {
    await run(['runc', '--root', this.root, 'delete', '--force', id]);
    await rm(path.join(this.root, id), { recursive: true, force: true });
  }

  async state(
    id: string,
  ): Promise<{ status: 'creating' | 'created' | 'running' | 'stopped' | 'paused'; pid: number } | undefined> {
    try {
      return JSON.parse((await this.runc(['state', id])).stdout) as { status: 'running'; pid: number };
    } catch (error) {
      if (error instanceof RuntimeError && /does not exist/.test(error.message)) return undefined;
      throw error;
    }
  }

  /** Ids of all containers that runc knows of in our state directory. */
  async list(): Promise<string[]> {
    try {
      return await readdir(this.root);
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }

  private async runc(args: string[]): Promise<{ stdout: string; stderr: string }> {
    try {
      return await run(['runc', '--root', this.root, ...args]);
    } catch (error) {
      throw error instanceof ProcessError ? new RuntimeError(runcMessage(error.stderr) || error.message) : error;
    }
  }
}

/** The last error runc logged, without its time stamp. */
function runcMessage(stderr: string): string {
  return /msg="((?:[^"\\]|\\.)*)"[^"]*$/.exec(stderr.trim())?.[1]?.replaceAll('\\"', '"') ?? stderr.trim();
}

/** conmon leaves for the background and reports the container's pid, or why there is none, on a pipe. */
function spawnConmon(argv: string[], bundle: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('conmon', argv, {
      detached: true,
      // conmon leaves its note of an out-of-memory kill where it stands.
      cwd: bundle,
      env: { PATH: process.env['PATH'], _OCI_SYNCPIPE: '3' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new RuntimeError(`runc has not made the container within ${CREATE_MS} ms`));
      pipe?.destroy();
    }, CREATE_MS);
    const pipe = child.stdio[3];
    let text = '';
    let complaint = '';
    child.stderr?.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    const report = () => {
      clearTimeout(timer);
      try {
        const { pid, message = '' } = JSON.parse(text) as { pid: number; message?: string };
        if (pid > 0) resolve(pid);
        else reject(new RuntimeError(runcMessage(message) || 'runc gave no reason'));
      } catch {
        reject(new RuntimeError(`conmon ended without a report: ${(complaint || text).trim()}`));
      }
      pipe?.destroy();
    };
    // One line; conmon may hold the pipe open long after it.
    pipe?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('\n')) report();
    });
    pipe?.on('close', report);
    child.on('error', (error) => reject(new RuntimeError(`conmon cannot be started: ${error.message}`)));
  });
}

const found = new Map<string, string>();

/** Absolute path of a program on PATH: conmon takes no other. */
async function findProgram(name: string): Promise<string> {
  const known = found.get(name);
  if (known !== undefined) return known;
  for (const dir of (process.env['PATH'] ?? '').split(':')) {
    const file = path.join(dir, name);
    const usable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!usable) continue;
    found.set(name, file);
    return file;
  }
  throw new RuntimeError(`${name} is not on PATH: install it`);
}

/** True when `pid` still is the process that began at `startTime` (field 22 of /proc/<pid>/stat). */
export async function processStartTime(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch (error) {
    if (isNotFound(error)) return undefined;
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return undefined;
    throw error;
  }
}
