// A whole platform for a test: `virtloom up` in a network namespace of its own, with kubectl, crashes, restarts and a census.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TINY_IMAGE, buildTiny } from '../../examples/images/tiny/build.ts';
import { type Census, RUNC, cgroupDirectories, platformProcesses, takeCensus } from './census.ts';
import { type Ran, type RunOptions, inNetns, ok, run, waitFor } from './command.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NODE = join(ROOT, 'node_modules/.bin/node');
const CLI = [NODE, join(ROOT, 'cli/main.ts')];
/** Databases and their logs, the process' own files, caches. */
const NO_LEAK = /(\.db|\.sqlite|-wal|-shm|-journal|\.log|\.lock|\.pid|\.sock)$|^(ready|kubeconfig|metrics)$/;

export interface PlatformOptions {
  /** A configuration file other than the project's own. */
  config?: string;
  podCidr?: string;
  /** More arguments of `virtloom up`. */
  args?: string[];
  /** Instead of the project's own CLI: program and arguments that `up` and `down` are put after. */
  cli?: string[];
  /** How long `up` may take, in ms. */
  deadlineMs?: number;
}

export class Platform {
  readonly #random = randomBytes(4).toString('hex');
  readonly id = `vl-e2e-${this.#random}`;
  readonly bridge = `vl${this.#random}`;
  readonly cgroup = `virtloom-${this.bridge}`;
  /** Also the network namespace's name; all of the platform runs in it, and tests reach guests from it. */
  readonly netns = this.id;
  readonly directory = mkdtempSync(join(tmpdir(), `${this.id}-`));
  readonly stateDir = join(this.directory, 'state');
  readonly kubeconfig = join(this.stateDir, 'kubeconfig');
  readonly logFile = join(this.directory, 'up.log');
  readonly #options: PlatformOptions;
  #child: ChildProcess | undefined;
  readonly #onExit = () => this.#child?.kill('SIGKILL');

  private constructor(options: PlatformOptions) {
    this.#options = options;
  }

  /** Starts a platform with the tiny guest's image loaded, and waits until it is ready. `dispose` it afterwards. */
  static async start(options: PlatformOptions = {}): Promise<Platform> {
    const platform = new Platform(options);
    process.on('exit', platform.#onExit);
    try {
      await ok(['ip', 'netns', 'add', platform.netns]);
      await ok(['ip', '-n', platform.netns, 'link', 'set', 'lo', 'up']);
      await platform.up();
      return platform;
    } catch (error) {
      await platform.dispose();
      throw error;
    }
  }

  /** What the platform has printed, over all its runs. */
  get log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  /** Process id of `virtloom up` while it runs. */
  get pid(): number | undefined {
    const child = this.#child;
    return child && child.exitCode === null && child.signalCode === null ? child.pid : undefined;
  }

  /** Runs `virtloom up` (again). Resolves when it says that it is ready. */
  async up(): Promise<void> {
    const ready = join(this.stateDir, 'ready');
    rmSync(ready, { force: true });
    const { podCidr = '10.88.0.0/16', config, args = [] } = this.#options;
    const argv = [
      ...(this.#options.cli ?? CLI),
      ...['up', '--state-dir', this.stateDir, '--pod-cidr', podCidr, '--port', '0', '--bridge', this.bridge],
      ...['--load-image', `${TINY_IMAGE}=${buildTiny().layout}`],
      ...(config === undefined ? [] : ['--config', config]),
      ...args,
    ];
    const [program = '', ...rest] = inNetns(argv, this.netns);
    const log = openSync(this.logFile, 'a');
    // To a file, not a pipe: nothing of the platform may hang on this process.
    const child = spawn(program, rest, { stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child = child;
    child.once('error', () => undefined);
    await waitFor(
      `virtloom up is ready; its output:\n${this.logFile}`,
      () => {
        if (this.pid === undefined) return { ended: true };
        return existsSync(ready) ? { ended: false } : undefined;
      },
      this.#options.deadlineMs ?? 60_000,
      20,
    ).then(({ ended }) => {
      if (ended) throw new Error(`virtloom up ended with status ${child.exitCode}:\n${this.#tail()}`);
    });
  }

  /** Ends the platform process in order; guests go on. */
  async stop(deadlineMs = 15_000): Promise<void> {
    await this.#signal('SIGTERM', deadlineMs);
  }

  /** As a crash does. Guests go on. */
  async kill9(): Promise<void> {
    await this.#signal('SIGKILL', 5_000);
  }

  /** `virtloom down`: ends the platform and everything it runs. */
  async down(): Promise<string> {
    return ok([...(this.#options.cli ?? CLI), 'down', '--state-dir', this.stateDir], { netns: this.netns });
  }

  /** Runs a program where the platform is: its API and its guests' addresses are reachable there. */
  exec(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return ok(argv, { ...options, netns: this.netns });
  }

  /** Gives kubectl's stdout; throws with its stderr. */
  async kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return ok(['kubectl', '--kubeconfig', this.kubeconfig, ...args], { ...options, netns: this.netns });
  }

  /** The same whatever the exit status: for what must be refused. */
  tryKubectl(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return run(['kubectl', '--kubeconfig', this.kubeconfig, ...args], { ...options, netns: this.netns });
  }

  /** The object as JSON, or undefined where there is none. */
  async get<T = Record<string, unknown>>(kind: string, name: string, namespace = 'default'): Promise<T | undefined> {
    const out = await this.kubectl(['-n', namespace, 'get', kind, name, '--ignore-not-found', '-o', 'json']);
    return out === '' ? undefined : (JSON.parse(out) as T);
  }

  /** Applies manifests: files by path, others as text. */
  apply(manifest: string, namespace = 'default'): Promise<string> {
    const text = manifest.includes('\n') ? manifest : readFileSync(join(ROOT, manifest), 'utf8');
    return this.kubectl(['-n', namespace, 'apply', '-f', '-'], { input: text });
  }

  /** The project's CLI against this platform, whatever the exit status. */
  virtloom(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const env = { ...options.env, KUBECONFIG: this.kubeconfig };
    return run([...(this.#options.cli ?? CLI), ...args], { ...options, env, netns: this.netns });
  }

  /** GET from the platform's namespace; throws when nothing answers within `seconds`. */
  http(url: string, seconds = 5): Promise<string> {
    return this.exec(['curl', '-sS', '--fail', '--noproxy', '*', '--max-time', String(seconds), url]);
  }

  /** Waits for a VMI's phase and gives the VMI. */
  waitForPhase(name: string, phase: string, deadlineMs = 60_000): Promise<VmiLike> {
    return waitFor(
      `VMI ${name} is ${phase}`,
      async () => {
        const vmi = await this.get<VmiLike>('vmi', name);
        if (vmi?.status?.phase === phase) return vmi;
        throw new Error(`phase ${vmi?.status?.phase ?? 'none'}`);
      },
      deadlineMs,
      200,
    );
  }

  /** Waits until the guest at the VMI's address answers, and gives /cgi-bin/info as an object. */
  async waitForGuest(name: string, deadlineMs = 60_000): Promise<Record<string, string> & { ip: string }> {
    return waitFor(
      `guest of ${name} answers`,
      async () => {
        // Looked up each time: another VMI of the name may have taken its place.
        const vmi = await this.get<VmiLike>('vmi', name);
        const ip = vmi?.status?.phase === 'Running' ? vmi.status.interfaces?.[0]?.ipAddress : undefined;
        if (!ip) throw new Error(`phase ${vmi?.status?.phase ?? 'none'}, no address`);
        const lines = (await this.http(`http://${ip}/cgi-bin/info`, 2)).trim().split('\n');
        return {
          ...Object.fromEntries(
            lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
          ),
          ip,
        };
      },
      deadlineMs,
      200,
    );
  }

  census(): Promise<Census> {
    const own = new Set(this.pid === undefined ? [] : [this.pid]);
    const { stateDir, netns } = this;
    return takeCensus({ stateDir, netns, own, cgroup: this.cgroup, ignore: NO_LEAK });
  }

  /** Ends and removes all there is of the platform, whatever state it is in. */
  async dispose(): Promise<void> {
    process.off('exit', this.#onExit);
    if (this.pid !== undefined) {
      await this.down().catch(() => undefined);
      if (this.pid !== undefined) await this.kill9();
    }
    await waitFor('the processes of the platform are gone', () => {
      const left = platformProcesses(this.stateDir, this.netns);
      for (const pid of left) tryKill(pid);
      return left.length === 0;
    });
    await run(['ip', 'netns', 'del', this.netns]);
    for (const mount of mountsBelow(this.directory)) await run(['umount', '-l', mount]);
    const runc = join(this.stateDir, RUNC);
    for (const id of existsSync(runc) ? readdirSync(runc) : []) await run(['runc', '--root', runc, 'delete', '-f', id]);
    for (const directory of cgroupDirectories(this.cgroup)) removeCgroups(directory);
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #signal(signal: 'SIGTERM' | 'SIGKILL', deadlineMs: number): Promise<void> {
    const child = this.#child;
    if (!child || this.pid === undefined) throw new Error(`virtloom up does not run:\n${this.#tail()}`);
    const exit = once(child, 'exit', { signal: AbortSignal.timeout(deadlineMs) });
    child.kill(signal);
    await exit;
  }

  #tail(): string {
    return this.log.trimEnd().split('\n').slice(-20).join('\n');
  }
}

export interface VmiLike {
  metadata: { name: string; uid: string; annotations?: Record<string, string>; finalizers?: string[] };
  spec: Record<string, unknown>;
  status?: {
    phase?: string;
    nodeName?: string;
    interfaces?: { name?: string; ipAddress?: string; mac?: string }[];
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
  };
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone by itself.
  }
}

function removeCgroups(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroups(join(directory, entry.name));
  rmdirSync(directory);
}

/** Deepest first. */
function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${directory}/`))
    .reverse();
}
