// The node steps of the example plugins in a real launcher: nbdkit, nftables, libvirt and QEMU; killed half-way, and undone.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type ContainerProcess, findContainer } from '../agent/container.ts';
import { PodSandbox } from '../agent/sandbox.ts';
import { startPod, testDisk, testDomain, type TestPod } from '../agent/testing.ts';
import { DEFAULT_CONFIG } from '../cli/paths.ts';
import { loadConfig } from '../core/config.ts';
import type { Action, Sandbox, Vmi } from '../core/index.ts';
import { loadPlugin, loadPlugins } from '../core/modules.ts';
import { admitFor, planFor } from '../core/testing.ts';
import { actions as http } from '../examples/plugins/http-volume/actions.ts';
import type { Served } from '../examples/plugins/http-volume/httpdisk.ts';
import { actions as limits, type Limit } from '../examples/plugins/io-limits/actions.ts';
import { actions as user, type Forwards } from '../examples/plugins/user-nic/actions.ts';
import { prepareLauncherImage } from '../launcher/prepare.ts';
import { writeBundle } from '../launcher/container.ts';
import { contextOf, killedAt } from './local-sandbox.ts';
import { waitFor } from './support/command.ts';
import { ROOT } from './support/platform.ts';

const MIB = 2 ** 20;
let pod: TestPod;
let sandbox: PodSandbox;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'vl-examples-'));
  pod = await startPod({ prepareLauncherImage, writeBundle }, '0c5bb0c6-0000-4000-8000-0000000000e1');
  const container = (await findContainer(pod.containerId)) as ContainerProcess;
  sandbox = new PodSandbox(container, join(directory, 'scratch'), new AbortController().signal);
  await sandbox.exec(['ip', 'link', 'set', 'lo', 'up'], { in: 'net' });
});
afterAll(async () => {
  await pod.remove();
  rmSync(directory, { recursive: true });
});

const text = async (argv: string[], where: 'pod' | 'net' = 'pod') =>
  (await sandbox.exec(argv, { in: where })).stdout.toString();

/** Kills the agent before and after each call of the step, each time doing it again: `check` must hold after all. */
async function throughKills<Args>(action: Action<Args>, args: Args, check: () => Promise<void>): Promise<void> {
  const counting = killedAt(sandbox, 0, 'before');
  await action.apply(contextOf(counting), args);
  const { calls } = counting;
  expect(calls).toBeGreaterThan(0);
  for (let call = 1; call <= calls; call++) {
    for (const when of ['before', 'after'] as const) {
      await undo(action, args);
      await expect(action.apply(contextOf(killedAt(sandbox, call, when)), args)).rejects.toThrow('killed');
      await action.apply(contextOf(sandbox), args);
      await check();
    }
  }
}
async function undo<Args>(action: Action<Args>, args: Args, box: Sandbox | undefined = sandbox): Promise<void> {
  await action.revert?.({ ...contextOf(sandbox), sandbox: box }, args, undefined);
}

describe('example.yaml', () => {
  it.each(['http-volume', 'io-limits', 'user-nic'])('of %s is admitted and planned', async (name) => {
    const config = await loadConfig(DEFAULT_CONFIG);
    const plugins = await loadPlugins(config.plugins, config.directory);
    plugins.push({ plugin: await loadPlugin(`${ROOT}/examples/plugins/${name}`, ROOT) });
    const text = readFileSync(join(ROOT, 'examples/plugins', name, 'example.yaml'), 'utf8');
    const objects = parseAllDocuments(text).map((one) => one.toJS() as Vmi);
    const vmi = objects.find(({ kind }) => kind === 'VirtualMachineInstance');
    expect(vmi?.metadata.name).toBe(`vmi-${name}`);
    const namespaced = { ...vmi, metadata: { ...vmi?.metadata, namespace: 'default' } } as Vmi;
    const { causes, object } = await admitFor({ plugins, object: namespaced });
    expect(causes).toEqual([]);
    const { domain, chains } = await planFor({ plugins, vmi: object as unknown as Vmi });
    expect(JSON.stringify({ domain, chains })).toContain(`"plugin":"${name}"`);
  });
});

describe('http-volume', () => {
  const PORT = 8090;
  const images = () => join(directory, 'images');
  let server: ChildProcess;
  beforeAll(async () => {
    execFileSync('mkdir', ['-p', images()]);
    const image = (name: string) => join(images(), name);
    const bytes = Buffer.alloc(MIB);
    for (let at = 0; at < bytes.length; at += 512) bytes.writeUInt32BE(at, at);
    writeFileSync(image('disk.raw'), bytes);
    writeFileSync(image('page.html'), '<html>Not what you think</html>');
    writeFileSync(image('empty'), '');
    const create = (...args: string[]) => execFileSync('qemu-img', ['create', '-q', ...args]);
    execFileSync('qemu-img', ['convert', '-O', 'qcow2', image('disk.raw'), image('disk.qcow2')]);
    execFileSync('qemu-img', ['resize', '-q', image('disk.qcow2'), '64M']);
    create('-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', image('backed.qcow2'), '1M');
    create('-f', 'qcow2', '-o', `data_file=${image('data')}`, image('outside.qcow2'), '1M');
    create('-f', 'vmdk', image('disk.vmdk'), '1M');
    const net = [`--net=/proc/${sandbox.pid}/ns/net`, '--', process.execPath, '-e', SERVE, images(), String(PORT)];
    server = spawn('nsenter', net, { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve, reject) => {
      server.stdout?.once('data', resolve);
      server.once('exit', () => reject(new Error('the web server ended')));
    });
  });
  afterAll(() => server.kill('SIGKILL'));

  const url = (path: string) => `http://127.0.0.1:${PORT}/${path}`;
  const served = (path: string, more: Partial<Served> = {}): Served => ({
    url: url(path),
    sha256: null,
    secret: null,
    directory: '/var/run/kubevirt/http-volume/root',
    overlay: OVERLAY,
    ...more,
  });
  const OVERLAY = '/var/run/kubevirt-ephemeral-disks/http-volume/root.qcow2';
  const uri = 'nbd+unix:///?socket=/var/run/kubevirt/http-volume/root/socket';
  const apply = (args: Served) => http.serve.apply(contextOf(sandbox), args);
  /** Reads and writes, as the guest's disk does, or by what stands below it. */
  const io = (commands: string[], ...where: string[]) =>
    text([
      'qemu-io',
      ...commands.flatMap((command) => ['-c', command]),
      ...(where.length > 0 ? where : ['-f', 'qcow2', OVERLAY]),
    ]);
  const SERVED = ['-r', '-f', 'raw', uri];
  /** Command lines of all servers in the pod. */
  const servers = async () => {
    const found = await text([
      'sh',
      '-c',
      'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline; echo; done 2>/dev/null',
    ]);
    return found.split('\n').filter((line) => line.startsWith('nbdkit '));
  };
  const none = async () => {
    await waitFor('no nbdkit is left', async () => ((await servers()).length === 0 ? true : undefined));
  };
  const sum = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(images(), name)))
      .digest('hex');

  afterEach(async () => {
    await undo(http.serve, served(''));
    await none();
  });

  it('serves a raw file to the user of the pod, and what is written stays here', async () => {
    expect(await apply(served('disk.raw'))).toBe('raw');
    expect(await io(['read -P 0 4 508', 'write -P 0x77 0 64k', 'read -P 0x77 0 64k'])).toContain('wrote 65536/65536');
    expect(await io(['read -P 0 4 508'], ...SERVED)).toContain('read 508/508 bytes');
    expect(readFileSync(join(images(), 'disk.raw')).readUInt32BE(512)).toBe(512);
    expect(await servers()).toHaveLength(1);
  });

  it('serves a qcow2 image, which has room for all that a guest may write', async () => {
    expect(await apply(served('disk.qcow2'))).toBe('qcow2');
    expect(await io(['read -P 0 4 508', 'write -P 0x77 32M 8M'])).toContain(`wrote ${8 * MIB}/${8 * MIB}`);
  });

  it('checks a whole file, and what it has checked is what it serves, whatever the server does next', async () => {
    const right = sum('disk.raw');
    expect(await apply(served('disk.raw', { sha256: right }))).toBe('raw');
    const file = join(images(), 'disk.raw');
    const before = readFileSync(file);
    try {
      writeFileSync(file, Buffer.alloc(MIB, 0x66));
      expect(await io([`read -P 0 ${MIB / 2 + 4} 508`])).toContain('read 508/508 bytes');
    } finally {
      writeFileSync(file, before);
    }
    await expect(apply(served('disk.raw', { sha256: '0'.repeat(64) }))).rejects.toThrow(
      `${url('disk.raw')} cannot be used as a disk: its SHA-256 is ${right}, and not ${'0'.repeat(64)}`,
    );
  });

  it('asks with user and password where there is a secret', async () => {
    const secret = '/var/run/kubevirt-private/http-volume/root';
    await expect(apply(served('private/disk.raw'))).rejects.toThrow('401');
    await sandbox.writeFile(`${secret}/username`, 'me\n');
    await sandbox.writeFile(`${secret}/password`, 'se,cr=et');
    expect(await apply(served('private/disk.raw', { secret }))).toBe('raw');
    expect((await servers()).join()).not.toContain('se,cr=et');
    await sandbox.writeFile(`${secret}/password`, 'wrong');
    await expect(apply(served('private/disk.raw', { secret }))).rejects.toThrow('401');
    await sandbox.remove(`${secret}/username`);
    await expect(apply(served('private/disk.raw', { secret }))).rejects.toThrow(`${secret}/username: No such file`);
  });

  it.each([
    ['lost.raw', /HTTP response code said error: .* 404/],
    ['whole/disk.raw', /server does not support 'range'/],
    ['page.html', /it has 31 bytes, and a disk has whole sectors of 512: it is something else/],
    ['empty', /cannot be used as a disk/],
    ['backed.qcow2', /it is an image on top of another \(\/etc\/passwd\)/],
    ['outside.qcow2', /it has its data in another file/],
    ['disk.vmdk', /its format is vmdk, and only raw and qcow2 will do/],
    ['elsewhere', /Protocol "ftp" not supported/],
  ])('refuses %s', async (path, why) => {
    const refused = apply(served(path));
    await expect(refused).rejects.toThrow(why);
    await expect(refused).rejects.toThrow(`${url(path)} cannot be used as a disk: `);
  });

  it('says so when nobody listens', async () => {
    const args = { ...served(''), url: 'http://127.0.0.1:1/a' };
    await expect(apply(args)).rejects.toThrow(
      /http:\/\/127\.0\.0\.1:1\/a cannot be used as a disk: .*Failed to connect/,
    );
  });

  it('comes to one server, however often it was killed', async () => {
    await throughKills(http.serve, served('disk.raw', { sha256: sum('disk.raw') }), async () => {
      await waitFor('one nbdkit is left', async () => ((await servers()).length === 1 ? true : undefined));
      expect(await io(['read -P 0 4 508'])).toContain('read 508/508 bytes');
    });
  }, 60_000);

  it('leaves nothing when it is undone, twice or with the pod gone, and no other server is ended', async () => {
    const other = served('disk.raw', {
      directory: '/var/run/kubevirt/http-volume/root2',
      overlay: OVERLAY.replace('root', 'root2'),
    });
    await apply(other);
    await apply(served('disk.raw'));
    for (const box of [sandbox, sandbox, undefined]) await undo(http.serve, served('disk.raw'), box);
    await waitFor('one nbdkit is left', async () => ((await servers()).length === 1 ? true : undefined));
    expect(await text(['ls', '/var/run/kubevirt/http-volume'])).toBe('root2\n');
    expect(await text(['ls', '/var/run/kubevirt-ephemeral-disks/http-volume'])).toBe('root2.qcow2\n');
    await undo(http.serve, other);
  });
});

describe('io-limits', () => {
  beforeEach(() => sandbox.exec(['ip', 'tuntap', 'add', 'tap7', 'mode', 'tap', 'user', '107'], { in: 'net' }));
  afterEach(() => sandbox.exec(['ip', 'link', 'del', 'tap7'], { in: 'net' }));

  const rules = () => text(['nft', 'list', 'ruleset'], 'net');
  const way = (rate: number) => ({ rate, burst: 131_072 });
  const both: Limit = { tap: 'tap7', toGuest: way(2 * MIB), fromGuest: way(MIB) };

  it('comes to the rules of one table, however often it was killed or done', async () => {
    await throughKills(limits.limit, both, async () => {
      const found = await rules();
      expect(found.match(/limit rate over/g)).toHaveLength(2);
      expect(found).toMatch(/hook egress device "tap7"[^}]*limit rate over 2 mbytes\/second/);
      expect(found).toMatch(/hook ingress device "tap7"[^}]*limit rate over 1 mbytes\/second/);
    });
    await limits.limit.apply(contextOf(sandbox), { ...both, fromGuest: null, toGuest: way(5 * MIB) });
    expect((await rules()).match(/limit rate over.*/g)).toEqual([
      'limit rate over 5 mbytes/second burst 128 kbytes drop',
    ]);
    await undo(limits.limit, both);
  });

  it('takes the most that the rules allow', async () => {
    const most = { rate: 1e10, burst: 2 ** 32 - 1 };
    await limits.limit.apply(contextOf(sandbox), { tap: 'tap7', toGuest: most, fromGuest: most });
    await undo(limits.limit, both);
  });

  it('leaves nothing of its own when it is undone, twice or with the tap or the pod gone', async () => {
    const table = 'table inet others {\n}\n';
    await sandbox.exec(['nft', '-f', '-'], { in: 'net', stdin: table });
    await limits.limit.apply(contextOf(sandbox), both);
    for (const box of [sandbox, sandbox, undefined]) await undo(limits.limit, both, box);
    expect(await rules()).toBe(table);
    const gone: Limit = { ...both, tap: 'tap8' };
    await sandbox.exec(['ip', 'tuntap', 'add', 'tap8', 'mode', 'tap'], { in: 'net' });
    await limits.limit.apply(contextOf(sandbox), gone);
    await sandbox.exec(['ip', 'link', 'del', 'tap8'], { in: 'net' });
    await undo(limits.limit, gone);
    expect(await rules()).toBe(table);
  });

  it('takes no rules for a name', async () => {
    const evil = { ...both, tap: 't" priority 0; }; }' };
    await expect(limits.limit.apply(contextOf(sandbox), evil)).rejects.toThrow('is no name of a link');
  });
});

describe('user-nic', () => {
  const forwards: Forwards = {
    domain: 'ns_vm',
    netdev: 'hostua-n',
    forwards: [
      { port: 80, guestPort: 80, protocol: 'tcp' },
      { port: 5353, guestPort: 53, protocol: 'udp' },
    ],
  };
  const listening = async () => {
    const lines = (await text(['ss', '-Htuln'], 'net')).split('\n').filter((line) => line !== '');
    return lines
      .map((line) => line.split(/\s+/))
      .map(([protocol, , , , local]) => `${protocol} ${local?.split(':').at(-1)}`);
  };
  beforeAll(async () => {
    const nic = "<interface type='user'><alias name='ua-n'/><model type='virtio'/></interface>";
    await sandbox.writeFile('/var/run/kubevirt/disk.img', testDisk());
    await sandbox.writeFile('/var/run/kubevirt/vm.xml', testDomain('ns_vm', '/var/run/kubevirt/disk.img', nic));
    const virsh = ['virsh', '-q', '-c', 'qemu+unix:///session?socket=/var/run/libvirt/libvirt-sock'];
    await waitFor('libvirt answers', () =>
      text([...virsh, 'list']).then(
        () => true,
        () => undefined,
      ),
    );
    await text([...virsh, 'create', '/var/run/kubevirt/vm.xml']);
  });

  it('opens low ports to QEMU, and forwards each port once, however often it was killed', async () => {
    await expect(user.forward.apply(contextOf(sandbox), forwards)).rejects.toThrow('tcp port 80 cannot be forwarded');
    await throughKills(user.lowPorts, {}, async () => undefined);
    await throughKills(user.forward, forwards, async () => {
      expect((await listening()).sort()).toEqual(['tcp 80', 'udp 5353']);
    });
  }, 60_000);

  it('names the port that another program has', async () => {
    const net = [`--net=/proc/${sandbox.pid}/ns/net`, '--', process.execPath, '-e', LISTEN, '8081'];
    const other = spawn('nsenter', net, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve) => other.stdout.once('data', resolve));
      const taken = { ...forwards, forwards: [{ port: 8081, guestPort: 80, protocol: 'tcp' }] };
      await expect(user.forward.apply(contextOf(sandbox), taken)).rejects.toThrow(
        'tcp port 8081 cannot be forwarded to the guest: ',
      );
    } finally {
      other.kill('SIGKILL');
    }
  });
});

const LISTEN = `require('node:net').createServer().listen(Number(process.argv[1]), '0.0.0.0', () => console.log('ready'));`;

/** Files in ranges; /whole/ without ranges, /private/ for `me`, /elsewhere leads to no web server. */
const SERVE = `
const { createReadStream, existsSync, statSync } = require('node:fs');
const [, folder, port] = process.argv;
const allowed = 'Basic ' + Buffer.from('me:se,cr=et').toString('base64');
require('node:http').createServer((request, response) => {
  const [, where = '', file] = /^\\/((?:whole|private)\\/)?(.*)$/.exec(request.url);
  if (file === 'elsewhere') return response.writeHead(302, { location: 'ftp://127.0.0.1:1/disk.raw' }).end();
  if (where === 'private/' && request.headers.authorization !== allowed)
    return response.writeHead(401, { 'www-authenticate': 'Basic' }).end();
  const path = folder + '/' + file;
  if (!existsSync(path)) return response.writeHead(404).end();
  const size = statSync(path).size;
  const range = where === 'whole/' ? null : /^bytes=(\\d+)-(\\d*)$/.exec(request.headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const end = range && range[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
  const headers = { 'content-length': end - start + 1 };
  if (where !== 'whole/') headers['accept-ranges'] = 'bytes';
  if (range) headers['content-range'] = 'bytes ' + start + '-' + end + '/' + size;
  response.writeHead(range ? 206 : 200, headers);
  if (request.method === 'HEAD' || size === 0) return response.end();
  createReadStream(path, { start, end }).pipe(response);
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
`;
