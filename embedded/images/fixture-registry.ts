// Test fixture: a real OCI registry on loopback, and tiny images made and pushed with umoci and skopeo.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { unpackRegistry } from '../../test/support/registry.ts';
import { run } from '../kubelet/process.ts';

/** bcrypt of "secret": the only hash the registry takes. */
const HTPASSWD = 'tester:$2b$04$IDBCt4aS8YFNhnQzotnosuDD8Z.En/ElyZiT1QEQY1pGW8vVNYvxy\n';

export class TestRegistry {
  readonly host: string;
  private readonly dir: string;
  private readonly inside: string[];
  private readonly child: ChildProcess;

  private constructor(host: string, dir: string, child: ChildProcess, inside: string[]) {
    this.inside = inside;
    this.host = host;
    this.dir = dir;
    this.child = child;
  }

  /** With `login` the registry wants user "tester" with password "secret"; with `netns` it listens in there. */
  static async start({ login = false, netns = '' } = {}): Promise<TestRegistry> {
    const program = await unpackRegistry();
    const dir = await mkdtemp('/tmp/vl-registry-');
    const host = `127.0.0.1:${await freePort()}`;
    const auth = login ? ['auth:', '  htpasswd:', '    realm: test', `    path: ${dir}/htpasswd`] : [];
    await writeFile(path.join(dir, 'htpasswd'), HTPASSWD);
    await writeFile(
      path.join(dir, 'config.yml'),
      [
        'version: 0.1',
        'log: { level: error, accesslog: { disabled: true } }',
        'storage:',
        `  filesystem: { rootdirectory: ${dir}/data }`,
        'http:',
        `  addr: ${host}`,
        ...auth,
        '',
      ].join('\n'),
    );
    const inside = netns === '' ? [] : ['nsenter', `--net=/run/netns/${netns}`];
    const [command = '', ...args] = [...inside, program, 'serve', path.join(dir, 'config.yml')];
    const child = spawn(command, args, { stdio: 'ignore' });
    const registry = new TestRegistry(host, dir, child, inside);
    for (const deadline = Date.now() + 10_000; ; await sleep(20)) {
      const up = await run([...inside, 'curl', '-s', '-o', '/dev/null', `http://${host}/v2/`]).then(
        () => true,
        () => false,
      );
      if (up) return registry;
      if (Date.now() > deadline) throw new Error('the registry does not answer');
    }
  }

  /** Pushes an image of these files (path -> content or a file of this machine); gives its reference. */
  async push(name: string, files: Record<string, string | { from: string }>, config: string[] = []): Promise<string> {
    const credentials = ['--dest-creds', 'tester:secret'];
    const work = await mkdtemp(path.join(this.dir, 'image-'));
    const layout = path.join(work, 'layout');
    await run(['umoci', 'init', '--layout', layout]);
    await run(['umoci', 'new', '--image', `${layout}:latest`]);
    for (const [file, content] of Object.entries(files)) {
      const source = path.join(work, 'file');
      if (typeof content === 'string') await writeFile(source, content);
      else await run(['cp', content.from, source]);
      await chmod(source, 0o755);
      await run(['umoci', 'insert', '--image', `${layout}:latest`, source, file]);
    }
    if (config.length > 0) await run(['umoci', 'config', '--image', `${layout}:latest`, ...config]);
    const ref = `${this.host}/${name}`;
    await run([
      ...this.inside,
      'skopeo',
      'copy',
      '--insecure-policy',
      '--dest-tls-verify=false',
      ...credentials,
      `oci:${layout}:latest`,
      `docker://${ref}`,
    ]);
    await rm(work, { recursive: true, force: true });
    return ref;
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
    await rm(this.dir, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
