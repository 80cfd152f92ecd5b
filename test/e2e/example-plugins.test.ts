// The example plugins as third parties would ship them: packed, installed beside an installed Virtloom, at work on real guests.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { buildTiny } from '../../examples/images/tiny/build.ts';
import { inNetns, ok, run, waitFor } from '../support/command.ts';
import { type Installed, install, npm } from '../support/installed.ts';
import { Platform, ROOT } from '../support/platform.ts';

type Guest = Awaited<ReturnType<Platform['waitForGuest']>>;

const PLUGINS = ['io-limits', 'http-volume', 'user-nic'];
/** Bytes a second, of the limited disk and NIC. */
const DISK_LIMIT = 2 * 2 ** 20;
const NIC_LIMIT = 1 * 2 ** 20;
/** What goes through the limited NIC to see how long it takes. */
const BIG = 6 * 2 ** 20;
const SERVER_PORT = 8089;

let installed: Installed;
let platform: Platform;
let server: ChildProcess;
let serverUrl = '';

const tiny = { name: 'root', containerDisk: { image: 'localhost/virtloom/tiny:1' } };
const data = { name: 'data', cloudInitNoCloud: { userData: '#!/bin/sh\ntiny-http-shell\n' } };

const vmi = (name: string, volumes: object[], disks: object[], nic: object): string =>
  `${JSON.stringify({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      domain: { devices: { disks, interfaces: [{ name: 'default', ...nic }] }, memory: { guest: '96Mi' } },
      networks: [{ name: 'default', pod: {} }],
      volumes,
    },
  })}\n`;
const disk = (name: string, more: object = {}) => ({ name, disk: { bus: 'virtio' }, ...more });

/** A file over HTTP, in ranges, as any web server does it; below /private/ for `me` alone. Prints that it listens. */
const SERVE = `
  const { createReadStream, statSync } = require('node:fs');
  const file = process.argv[1];
  const size = statSync(file).size;
  require('node:http').createServer((request, response) => {
    if (request.url === '/big') return response.end(Buffer.alloc(${BIG}));
    if (!/^\\/(private\\/)?disk\\.qcow2$/.test(request.url)) return response.writeHead(404).end();
    const allowed = 'Basic ' + Buffer.from('me:secret').toString('base64');
    if (request.url !== '/disk.qcow2' && request.headers.authorization !== allowed)
      return response.writeHead(401, { 'www-authenticate': 'Basic' }).end();
    const range = /^bytes=(\\d+)-(\\d*)$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) : 0;
    const end = range && range[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
    const headers = { 'accept-ranges': 'bytes', 'content-length': end - start + 1 };
    if (range) headers['content-range'] = 'bytes ' + start + '-' + end + '/' + size;
    response.writeHead(range ? 206 : 200, headers);
    if (request.method === 'HEAD') return response.end();
    createReadStream(file, { start, end }).pipe(response);
  }).listen(${SERVER_PORT}, '0.0.0.0', () => console.log('listening'));
`;

function serve(): Promise<void> {
  const [program = '', ...args] = inNetns([process.execPath, '-e', SERVE, buildTiny().qcow2], platform.netns);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  server = child;
  return new Promise((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the web server ended: ${code}`)));
  });
}

beforeAll(async () => {
  installed = await install(PLUGINS.map((name) => join(ROOT, 'examples/plugins', name)));
  const own = parse(readFileSync(join(ROOT, 'virtloom.yaml'), 'utf8')) as { plugins: { name: string }[] };
  const config = {
    plugins: [
      ...own.plugins.map(({ name }) => ({ name })),
      { name: 'io-limits', module: 'virtloom-io-limits', options: { maxBytesPerSecond: '100Mi' } },
      { name: 'http-volume', module: 'virtloom-http-volume' },
      { name: 'user-nic', module: 'virtloom-user-nic' },
    ],
  };
  const file = join(installed.directory, 'virtloom.yaml');
  writeFileSync(file, stringify(config));
  platform = await Platform.start({ cli: installed.cli, config: file });
  await serve();
  const address = (
    await platform.exec(['ip', '-4', '-o', 'addr', 'show', 'dev', platform.bridge]).catch(() => '')
  ).match(/inet ([\d.]+)/)?.[1];
  serverUrl = `http://${address ?? '10.88.0.1'}:${SERVER_PORT}`;
  const limited = disk('root', { ioLimits: { bytesPerSecond: { total: DISK_LIMIT } } });
  const bandwidthLimits = { toGuest: { bytesPerSecond: NIC_LIMIT }, fromGuest: { bytesPerSecond: NIC_LIMIT } };
  await platform.apply(vmi('limited', [tiny, data], [limited, disk('data')], { masquerade: {}, bandwidthLimits }));
  await platform.apply(vmi('free', [tiny, data], [disk('root'), disk('data')], { masquerade: {} }));
  await platform.apply(
    vmi('user', [tiny, data], [disk('root'), disk('data')], {
      userNetwork: { forwards: [{ port: 80 }, { port: 8000, guestPort: 80 }] },
    }),
  );
}, 300_000);
afterAll(async () => {
  server?.kill('SIGKILL');
  await platform?.dispose();
  if (installed) rmSync(dirname(installed.directory), { recursive: true, force: true });
});

const inGuest = (guest: Guest, script: string): Promise<string> =>
  platform.exec([
    'curl',
    '-sS',
    '--fail',
    '--noproxy',
    '*',
    '--max-time',
    '60',
    '--data-binary',
    script,
    `http://${guest.ip}/cgi-bin/sh`,
  ]);

async function inPod(name: string, argv: readonly string[]): Promise<string> {
  const label = ['-l', `vm.kubevirt.io/name=${name}`];
  const pod = (await platform.kubectl(['get', 'pods', ...label, '-o', 'jsonpath={.items[0].metadata.name}'])).trim();
  return platform.kubectl(['exec', pod, '-c', 'compute', '--', ...argv]);
}
const domainOf = (name: string) => inPod(name, ['virsh', 'dumpxml', `default_${name}`]);

async function secondsFor(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

describe('virtloom plugin create', () => {
  const virtloom = (...args: string[]) =>
    run(['sh', '-c', 'cd "$1" && shift && exec "$@"', 'sh', installed.author, ...installed.cli, ...args]);

  it('makes a package that passes its tests, the conformance kit, and builds', async () => {
    const made = await virtloom('plugin', 'create', 'my-panic');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const folder = join(installed.author, 'my-panic');
    expect(await npm(['test'], folder)).toMatch(/3 passed/);
    const tried = await virtloom('plugin', 'test', 'my-panic', '--vmis', '200');
    expect(tried.stdout).not.toContain('FAIL');
    expect(tried.code).toBe(0);
    await npm(['pack'], folder);
    const packed = await ok(['tar', 'tzf', join(folder, 'virtloom-my-panic-0.1.0.tgz')]);
    expect(packed.trim().split('\n').sort()).toEqual(
      ['README.md', 'dist/index.d.ts', 'dist/index.js', 'package.json'].map((file) => `package/${file}`),
    );
  });

  it('refuses a name that is none, and one that is taken', async () => {
    expect(await virtloom('plugin', 'create', '../x')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"../x" is no name') as string,
    });
    expect(await virtloom('plugin', 'create', 'io-limits')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('io-limits: there is something of that name already') as string,
    });
  });
});

describe('io-limits', () => {
  let limited: Guest;
  let free: Guest;
  beforeAll(async () => {
    [limited, free] = await Promise.all([
      platform.waitForGuest('limited', 120_000),
      platform.waitForGuest('free', 120_000),
    ]);
  });

  it('tells libvirt, which tells what it does; who asks for nothing has the operator’s ceiling', async () => {
    const tuned = async (name: string) => {
      const virsh = ['virsh', 'blkdeviotune', `default_${name}`, 'vda'];
      return /total_bytes_sec: (\d+)/.exec(await inPod(name, virsh))?.[1];
    };
    expect(await tuned('limited')).toBe(String(DISK_LIMIT));
    expect(await tuned('free')).toBe(String(100 * 2 ** 20));
    const shown = await platform.get<{ spec: { domain: { devices: { disks: object[] } } } }>('vmi', 'free');
    expect(shown?.spec.domain.devices.disks[0]).toMatchObject({ ioLimits: { bytesPerSecond: { total: '100Mi' } } });
  });

  it('holds the disk of a guest to its rate, and leaves others theirs', async () => {
    // Past the page cache of the guest: 8 MiB at 2 MiB/s.
    const read = 'dd if=/dev/vda of=/dev/null bs=1M count=8 iflag=direct 2>/dev/null; echo done';
    const slow = await secondsFor(() => inGuest(limited, read));
    const quick = await secondsFor(() => inGuest(free, read));
    expect(slow).toBeGreaterThan(2);
    expect(quick).toBeLessThan(slow / 2);
  });

  it('holds the NIC to its rate both ways, and leaves others theirs', async () => {
    for (const guest of [limited, free]) await inGuest(guest, `head -c ${BIG} /dev/zero >/www/big`);
    const get = (guest: Guest) =>
      platform.exec(['curl', '-sS', '--fail', '--noproxy', '*', '-o', '/dev/null', `http://${guest.ip}/big`]);
    const load = (guest: Guest) => inGuest(guest, `wget -q -O /dev/null ${serverUrl}/big && echo done`);
    for (const transfer of [get, load]) {
      const slow = await secondsFor(() => transfer(limited));
      const quick = await secondsFor(() => transfer(free));
      expect(slow).toBeGreaterThan(3);
      expect(quick).toBeLessThan(slow / 2);
    }
  });

  it('refuses more than the operator allows, and amounts that are none', async () => {
    const asking = (total: string) =>
      vmi('greedy', [tiny], [disk('root', { ioLimits: { bytesPerSecond: { total } } })], { masquerade: {} });
    const greedy = await platform.tryKubectl(['apply', '-f', '-'], { input: asking('200Mi') });
    expect(greedy.stderr).toContain(
      "spec.domain.devices.disks[0].ioLimits.bytesPerSecond.total '200Mi' is more than '100Mi', which is the most that the operator allows",
    );
    const odd = await platform.tryKubectl(['apply', '-f', '-'], { input: asking('much') });
    expect(odd.stderr).toContain("'much' must be an amount from 1");
  });

  it('leaves nothing of its own in the pod when the VM is gone', async () => {
    await platform.kubectl(['delete', 'vmi', 'limited', '--timeout=60s']);
    expect(await platform.get('vmi', 'limited')).toBeUndefined();
  });
});

describe('user-nic', () => {
  it('brings the forwarded ports to the guest, and no others', async () => {
    const guest = await platform.waitForGuest('user', 120_000);
    expect(await domainOf('user')).toContain("<interface type='user'>");
    expect(await platform.http(`http://${guest.ip}:8000/index.html`)).toContain('tiny');
    expect(await inGuest(guest, 'ip -4 -o addr show dev eth0')).toContain('10.0.2.15');
    await expect(platform.http(`http://${guest.ip}:9999/`, 2)).rejects.toThrow();
  });

  it('lets the guest out', async () => {
    const guest = await platform.waitForGuest('user', 120_000);
    const head = await inGuest(guest, `wget -q -O - ${serverUrl}/disk.qcow2 | head -c 3`);
    expect(head).toBe('QFI');
  });
});

describe('http-volume', () => {
  const web = (name: string, url: string, more: object = {}): string =>
    vmi(name, [{ name: 'root', httpDisk: { url, ...more } }, data], [disk('root'), disk('data')], { masquerade: {} });

  it('boots a guest from a web server that asks who it is; the guest keeps what it writes', async () => {
    const login = [
      'create',
      'secret',
      'generic',
      'login',
      '--from-literal=username=me',
      '--from-literal=password=secret',
    ];
    await platform.kubectl(login);
    const sha256 = createHash('sha256').update(readFileSync(buildTiny().qcow2)).digest('hex');
    await platform.apply(web('web', `${serverUrl}/private/disk.qcow2`, { sha256, secretRef: { name: 'login' } }));
    const guest = await platform.waitForGuest('web', 120_000);
    const domain = await domainOf('web');
    expect(domain).toContain("<source protocol='nbd'");
    expect(domain).toMatch(/<backingStore type='network'[^>]*>\s*<format type='qcow2'/);
    const written =
      'echo kept | dd of=/dev/vda bs=512 seek=40000 conv=notrunc,fsync 2>/dev/null; dd if=/dev/vda bs=512 skip=40000 count=1 iflag=direct 2>/dev/null | head -c 4';
    expect(await inGuest(guest, written)).toBe('kept');
    await platform.kubectl(['delete', 'vmi', 'web', '--timeout=60s']);
    const left = await ok(['pgrep', '-fa', `nbdkit.*${serverUrl}/`]).catch(() => '');
    expect(left).toBe('');
  });

  it('says why when there is no such file', async () => {
    await platform.apply(web('lost', `${serverUrl}/lost.qcow2`));
    const condition = await waitFor('the VMI says why', async () => {
      const found = await platform.get<{
        status?: { conditions?: { type: string; status: string; message?: string }[] };
      }>('vmi', 'lost');
      return found?.status?.conditions?.find(({ type, status }) => type === 'Synchronized' && status === 'False');
    });
    expect(condition.message).toContain(`${serverUrl}/lost.qcow2 cannot be used as a disk:`);
    expect(condition.message).toContain('404');
    const events = await platform.kubectl(['get', 'events', '--field-selector', 'involvedObject.name=lost']);
    expect(events).toContain(`${serverUrl}/lost.qcow2 cannot be used as a disk:`);
    await platform.kubectl(['delete', 'vmi', 'lost', '--timeout=60s']);
  });

  it.each([
    ['file:///etc/shadow', 'must be an http or https URL'],
    ['http://root:secret@web/disk', 'must not hold a user name or password'],
  ])('refuses %s', async (url, why) => {
    const { stderr } = await platform.tryKubectl(['apply', '-f', '-'], { input: web('odd', url) });
    expect(stderr).toContain(`spec.volumes[0].httpDisk.url ${why}`);
  });
});
