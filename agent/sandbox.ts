// A launcher pod as node steps see it: programs in its namespaces, files in its root, with no more rights than needed.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ExecOptions, Sandbox } from '../core/index.ts';
import { openSocket } from './container-path.ts';
import { isAlive } from './container.ts';
import type { ContainerProcess } from './container.ts';
import { RUN_ENV, RunError, run } from './run.ts';
import type { Ran } from './run.ts';

/** What entering the namespaces takes; the program itself gets none of it, nor can it gain any. */
const ENTER = '+sys_admin,+sys_chroot,+sys_ptrace,+setuid,+setgid';
/** How long a daemon may take to fork into the background by itself, in ms. */
const DAEMON_MS = 10_000;

const WRITE = 'set -e; umask 077; mkdir -p -- "$2"; cat > "$1.part"; chmod -- "$3" "$1.part"; mv -f -- "$1.part" "$1"';

export class PodSandbox implements Sandbox {
  readonly #container: ContainerProcess;
  readonly #scratchRoot: string;
  readonly #signal: AbortSignal;
  readonly #scratches: string[] = [];
  readonly #sockets: FileHandle[] = [];

  /** `scratchRoot` is a folder of the agent's own; `signal` ends whatever runs. */
  constructor(container: ContainerProcess, scratchRoot: string, signal: AbortSignal) {
    this.#container = container;
    this.#scratchRoot = scratchRoot;
    this.#signal = signal;
  }

  get pid(): number {
    return this.#container.pid;
  }

  get user(): { readonly uid: number; readonly gid: number } {
    return { uid: this.#container.uid, gid: this.#container.gid };
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<Ran> {
    const { stdin, deadlineMs } = options;
    const how = {
      name: argv[0] ?? '',
      signal: this.#signal,
      ...(stdin === undefined ? {} : { stdin }),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    };
    if (options.in === 'agent') return run(argv, how);
    if (!(await isAlive(this.#container))) throw new RunError(`${how.name}: the launcher pod is gone`);
    if (options.in === 'net') return run(['nsenter', `--net=/proc/${this.pid}/ns/net`, '--', ...argv], how);
    if (options.in === 'daemon') return this.#daemon(argv, options.deadlineMs ?? DAEMON_MS);
    return run([...this.#entering(), ...argv], how);
  }

  async readFile(path: string): Promise<Buffer> {
    return (await this.exec(['/bin/cat', '--', path], { in: 'pod' })).stdout;
  }

  async writeFile(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
    const argv = ['/bin/sh', '-c', WRITE, 'sh', path, dirname(path), mode.toString(8)];
    await this.exec(argv, { in: 'pod', stdin: data });
  }

  async remove(path: string): Promise<void> {
    await this.exec(['/bin/rm', '-rf', '--', path], { in: 'pod' });
  }

  async scratch(): Promise<string> {
    await mkdir(this.#scratchRoot, { recursive: true, mode: 0o700 });
    const folder = await mkdtemp(join(this.#scratchRoot, 'step-'));
    this.#scratches.push(folder);
    return folder;
  }

  async socket(path: string): Promise<string> {
    const place = await openSocket(this.#container, path);
    this.#sockets.push(place);
    return `/proc/self/fd/${place.fd}`;
  }

  /** Removes the scratch folders, lets go of the sockets. */
  async dispose(): Promise<void> {
    for (const place of this.#sockets.splice(0)) await place.close();
    for (const folder of this.#scratches.splice(0)) await rm(folder, { recursive: true, force: true });
  }

  /**
   * Into the container as its own user. setpriv gives up, for good, all capabilities but those that nsenter needs; these go
   * when nsenter becomes the user, and with no_new_privs no set-uid program of a hostile image brings them back.
   */
  #entering(): string[] {
    const { pid, user } = this;
    // Two turns: what is in no bounding set any more cannot be made inheritable.
    const keeping = ['setpriv', `--inh-caps=-all,${ENTER}`];
    const dropping = ['setpriv', '--no-new-privs', '--bounding-set=-all'];
    const spaces = ['--mount', '--net', '--pid', '--ipc', '--uts', '--root', '--wd'];
    return [
      ...keeping,
      ...dropping,
      'nsenter',
      `--target=${pid}`,
      ...spaces,
      `--setuid=${user.uid}`,
      `--setgid=${user.gid}`,
      '--',
    ];
  }

  /** Returns when the program has gone into the background by itself; it lives on in the pod's pid namespace. */
  async #daemon(argv: readonly string[], deadlineMs: number): Promise<Ran> {
    // A file, not a pipe: the daemon may write to it when the agent is long gone.
    const folder = await this.scratch();
    const log = await open(join(folder, 'stderr'), 'w+', 0o600);
    try {
      const spaces = [`--net=/proc/${this.pid}/ns/net`, `--pid=/proc/${this.pid}/ns/pid`];
      const child = spawn('nsenter', [...spaces, '--', ...argv], {
        env: RUN_ENV,
        cwd: '/',
        stdio: ['ignore', 'ignore', log.fd],
        detached: true,
      });
      const code = await new Promise<number | null>((resolve, reject) => {
        const timer = setTimeout(() => {
          child.kill('SIGKILL');
          reject(new RunError(`${argv[0]}: did not go into the background within ${deadlineMs} ms`));
        }, deadlineMs);
        child.once('error', reject);
        child.once('exit', (exit) => {
          clearTimeout(timer);
          resolve(exit);
        });
      });
      const stderr = await readAll(log);
      if (code !== 0)
        throw new RunError(`${argv[0]}: exit code ${code}: ${stderr.trim() || 'no message'}`, code ?? undefined);
      return { stdout: Buffer.alloc(0), stderr };
    } finally {
      await log.close();
    }
  }
}

async function readAll(file: Awaited<ReturnType<typeof open>>): Promise<string> {
  const buffer = Buffer.alloc(4096);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
  return buffer.subarray(0, bytesRead).toString('utf8');
}
