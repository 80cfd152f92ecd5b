// A Sandbox for tests of node steps: a root of its own with the host's programs, entered as an ordinary user.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import type { ExecOptions, Sandbox, StepContext } from '../core/index.ts';

const USER = 107;
/** What the launcher's container has to write to. */
const WRITABLE = ['/tmp', '/var/run/libvirt', '/var/run/kubevirt', '/var/run/kubevirt-ephemeral-disks'];
const LINKS = ['bin', 'sbin', 'lib', 'lib64'];
const START = `set -e
mount --bind /usr "$1/usr"
touch "$1/dev/null"
mount --bind /dev/null "$1/dev/null"
exec chroot "$1" /bin/sh -c 'echo ready; exec sleep 1000000'`;

export class LocalSandbox implements Sandbox {
  readonly user = { uid: USER, gid: USER };
  /** The root as the host sees it: `${root}/var/run/...`. */
  readonly root: string;
  /** Every program run, by its arguments. */
  readonly ran: string[][] = [];
  readonly #process: ChildProcess;
  readonly #scratches: string[] = [];

  private constructor(root: string, process: ChildProcess) {
    this.root = root;
    this.#process = process;
  }

  static async start(): Promise<LocalSandbox> {
    const root = await mkdtemp(join(tmpdir(), 'vl-sandbox-'));
    await chmod(root, 0o755);
    for (const folder of ['/usr', '/dev', '/proc', '/etc', '/var/run']) await mkdir(root + folder, { recursive: true });
    for (const link of LINKS) await symlink(`usr/${link}`, join(root, link));
    for (const folder of WRITABLE) {
      await mkdir(root + folder, { recursive: true });
      await chown(root + folder, USER, USER);
    }
    const process = spawn('unshare', ['--mount', '--propagation', 'private', '/bin/sh', '-c', START, 'sh', root], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const sandbox = new LocalSandbox(root, process);
    let said = '';
    process.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const { stdout } = process;
    const first: unknown[] = await Promise.race([stdout ? once(stdout, 'data') : [], once(process, 'close')]);
    if (!String(first[0]).includes('ready')) {
      await rm(root, { recursive: true });
      throw new Error(`the sandbox did not start: exit code ${String(first[0])}, ${String(first[1])}: ${said.trim()}`);
    }
    return sandbox;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Puts a file into the root as an image has it: readable, not writable, by the user. */
  async put(path: string, data: string | Uint8Array, mode = 0o444): Promise<string> {
    const file = this.root + path;
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, data);
    await chmod(file, mode);
    return file;
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<{ stdout: Buffer; stderr: string }> {
    this.ran.push([...argv]);
    const enter = ['--target', String(this.pid), '--mount', '--root', '--wd', `--setuid=${USER}`, `--setgid=${USER}`];
    const [program = '', ...args] = options.in === 'pod' ? ['nsenter', ...enter, '--', ...argv] : argv;
    return new Promise((resolve, reject) => {
      const child = execFile(
        program,
        args,
        {
          encoding: 'buffer',
          maxBuffer: 16 * 1024 * 1024,
          timeout: options.deadlineMs ?? 30_000,
          env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
        },
        (error, stdout, stderr) => {
          if (error) reject(failure(argv[0] ?? '', error.code, stderr.toString()));
          else resolve({ stdout, stderr: stderr.toString() });
        },
      );
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(options.stdin);
    });
  }

  async readFile(path: string): Promise<Buffer> {
    return (await this.exec(['/bin/cat', '--', path], { in: 'pod' })).stdout;
  }

  async writeFile(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
    const script =
      'set -e; umask 077; mkdir -p -- "$2"; cat > "$1.part"; chmod -- "$3" "$1.part"; mv -f -- "$1.part" "$1"';
    const argv = ['/bin/sh', '-c', script, 'sh', path, dirname(path), mode.toString(8)];
    await this.exec(argv, { in: 'pod', stdin: data });
  }

  async remove(path: string): Promise<void> {
    await this.exec(['/bin/rm', '-rf', '--', path], { in: 'pod' });
  }

  async scratch(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'vl-scratch-'));
    this.#scratches.push(folder);
    return folder;
  }

  /** Without the agent's care for symlinks and owners: that has tests of its own. */
  async socket(path: string): Promise<string> {
    await access(this.root + path);
    return this.root + path;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const gone = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await gone;
    }
    for (const folder of this.#scratches) await rm(folder, { recursive: true, force: true });
    await rm(this.root, { recursive: true, force: true });
  }
}

/** As the agent's sandbox fails: `exitCode` tells that the program ran and what came of it. */
function failure(program: string, code: unknown, stderr: string): Error {
  const error = new Error(`${program}: exit code ${String(code)}: ${stderr.trim()}`);
  return typeof code === 'number' ? Object.assign(error, { exitCode: code }) : error;
}

/** What an action gets, around `sandbox`. */
export function contextOf(sandbox: Sandbox): StepContext {
  return {
    vmi: { namespace: 'ns', name: 'vm', uid: 'u-1' },
    sandbox,
    rewrite: async (_, text) => text,
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
  };
}

/**
 * The same sandbox, dead from its `n`th call on: `before` that does anything, or `after`, when nobody hears of it. Counts calls that
 * touch the pod; `calls` tells how many there were.
 */
export function killedAt(sandbox: Sandbox, n: number, when: 'before' | 'after'): Sandbox & { readonly calls: number } {
  let calls = 0;
  const guard = async <T>(act: () => Promise<T>): Promise<T> => {
    const mine = ++calls;
    if (n > 0 && (mine > n || (mine === n && when === 'before'))) throw new Error('killed');
    const result = await act();
    if (mine === n && when === 'after') throw new Error('killed');
    return result;
  };
  return {
    pid: sandbox.pid,
    user: sandbox.user,
    get calls() {
      return calls;
    },
    exec: (argv, options) => guard(() => sandbox.exec(argv, options)),
    readFile: (path) => guard(() => sandbox.readFile(path)),
    writeFile: (path, data, mode) => guard(() => sandbox.writeFile(path, data, mode)),
    remove: (path) => guard(() => sandbox.remove(path)),
    scratch: () => sandbox.scratch(),
    socket: (path) => guard(() => sandbox.socket(path)),
  };
}
