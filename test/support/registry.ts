// A real registry (Debian's docker-registry, unpacked and not installed) in a network namespace, and pushing images to it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inNetns, ok, waitFor } from './command.ts';

const UNPACKED = fileURLToPath(new URL('../../.cache/docker-registry', import.meta.url));
/** For a registry that asks who is there; its line in the password file is LOGIN by bcrypt. */
export const LOGIN = { user: 'puller', password: 'pull-secret' };
const HTPASSWD = 'puller:$2b$04$JJX8DHHJSESutxxRoBjx1eOLedeLK.up6psPcHLHAhj0fPRaKRGG2';

let unpacking: Promise<string> | undefined;

/** Fetches and unpacks the registry once; its package would start a service if it were installed. */
export function unpackRegistry(): Promise<string> {
  return (unpacking ??= unpack());
}

async function unpack(): Promise<string> {
  const program = join(UNPACKED, 'usr/bin/docker-registry');
  if (existsSync(program)) return program;
  mkdirSync(dirname(UNPACKED), { recursive: true });
  const temporary = mkdtempSync(`${UNPACKED}.`);
  try {
    await ok(['sh', '-c', 'cd "$1" && apt-get -q download docker-registry && dpkg -x ./*.deb .', 'sh', temporary]);
    for (const deb of readdirSync(temporary).filter((name) => name.endsWith('.deb'))) rmSync(join(temporary, deb));
    renameSync(temporary, UNPACKED);
  } catch (error) {
    // Another process was quicker: its registry is as good.
    if (!existsSync(program)) throw error;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return program;
}

export class Registry {
  /** `127.0.0.1:<port>`, as image names begin. */
  readonly host: string;
  readonly #netns: string | undefined;
  readonly #directory: string;
  readonly #child: ChildProcess;
  readonly #login: boolean;

  private constructor(host: string, netns: string | undefined, directory: string, child: ChildProcess, login: boolean) {
    this.host = host;
    this.#netns = netns;
    this.#directory = directory;
    this.#child = child;
    this.#login = login;
  }

  /** @param options.login ask for LOGIN */
  static async start(options: { netns?: string; login?: boolean } = {}): Promise<Registry> {
    const program = await unpackRegistry();
    const directory = mkdtempSync(join(tmpdir(), 'vl-registry-'));
    const login = options.login ?? false;
    const config = {
      version: 0.1,
      log: { level: 'info', formatter: 'json' },
      storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
      http: { addr: '127.0.0.1:0' },
      ...(login && { auth: { htpasswd: { realm: 'test', path: join(directory, 'htpasswd') } } }),
    };
    // JSON is YAML.
    writeFileSync(join(directory, 'config.yml'), JSON.stringify(config));
    writeFileSync(join(directory, 'htpasswd'), `${HTPASSWD}\n`);
    const [nsenter = '', ...argv] = inNetns([program, 'serve', join(directory, 'config.yml')], options.netns);
    const child = spawn(nsenter, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    process.on('exit', () => child.kill('SIGKILL'));
    let log = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (log += text));
    try {
      const host = await waitFor(
        'the registry listens',
        () => /listening on (127\.0\.0\.1:\d+)/.exec(log)?.[1],
        10_000,
      );
      return new Registry(host, options.netns, directory, child, login);
    } catch (error) {
      child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
      throw new Error(`${String(error)}\n${log}`, { cause: error });
    }
  }

  /**
   * Pushes an OCI image layout.
   * @param name repository and tag, such as `tiny:1`
   * @returns the image's full name
   */
  async push(layout: string, name: string): Promise<string> {
    const credentials = this.#login ? ['--dest-creds', `${LOGIN.user}:${LOGIN.password}`] : [];
    const copy = ['skopeo', '--insecure-policy', 'copy', '-q', '--dest-tls-verify=false', ...credentials];
    await ok([...copy, `oci:${layout}:latest`, `docker://${this.host}/${name}`], {
      ...(this.#netns !== undefined && { netns: this.#netns }),
    });
    return `${this.host}/${name}`;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await exit;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
