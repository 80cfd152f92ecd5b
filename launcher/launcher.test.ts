// The launcher's contract (README.md) on a real container: runc, libvirtd, QEMU, a tap.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { writeBundle } from './container.ts';
import { CAPABILITIES, type HostImage } from './image.ts';
import { prepareLauncherImage } from './prepare.ts';

const run = promisify(execFile);
const QEMU_USER = 107;
const VMI_UID = '0c5bb0c6-1a5e-4e0f-9d36-3f7e7b6f2d11';
const SERIAL = `/var/run/kubevirt-private/${VMI_UID}/virt-serial0`;
/** No disk: the BIOS finds nothing to boot and waits, which is guest enough here. */
const DOMAIN = `<domain type='qemu'><name>default_tiny</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<features><acpi/><tcg><tb-cache unit='MiB'>8</tb-cache></tcg></features>
<devices>
<interface type='ethernet'><target dev='tap0' managed='no'/><model type='virtio-non-transitional'/></interface>
<serial type='unix'><source mode='bind' path='${SERIAL}'/><target port='0'/></serial>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
</devices></domain>`;

const base = fs.mkdtempSync(join(tmpdir(), 'vl-launcher-'));
let image: HostImage;

async function until<T>(what: string, condition: () => Promise<T | undefined | false>, ms = 5000): Promise<T> {
  for (const deadline = Date.now() + ms; ;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(10);
  }
}

class Launcher {
  readonly id = `vl-launcher-${randomBytes(4).toString('hex')}`;
  readonly bundle = join(base, this.id);
  readonly exit: Promise<number | null>;
  log = '';
  private readonly child: ChildProcess;

  constructor(opts: { args?: string[]; spoil?: (bundle: string) => void } = {}) {
    writeBundle(this.bundle, { id: this.id, image, args: opts.args ?? [], env: [`VMI_UID=${VMI_UID}`] });
    opts.spoil?.(this.bundle);
    this.child = spawn('runc', ['--root', join(base, 'runc'), 'run', '-b', this.bundle, this.id], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr?.on('data', (chunk: Buffer) => (this.log += chunk.toString()));
    this.exit = new Promise((resolve) => this.child.once('exit', (code) => resolve(code)));
  }

  runc(...args: string[]) {
    return run('runc', ['--root', join(base, 'runc'), ...args]);
  }

  async exec(...args: string[]): Promise<string> {
    return (await this.runc('exec', this.id, ...args)).stdout;
  }

  sh(script: string): Promise<string> {
    return this.exec('sh', '-c', script);
  }

  term(): Promise<unknown> {
    return this.runc('kill', this.id, 'TERM');
  }

  ready(): Promise<string> {
    return until(`libvirtd answers; log: ${this.log}`, () => this.exec('virsh', '-q', 'uri').catch(() => undefined));
  }

  async pid(): Promise<string> {
    return String((JSON.parse((await this.runc('state', this.id)).stdout) as { pid: number }).pid);
  }

  async startGuest(): Promise<void> {
    const inPod = ['-t', await this.pid(), '-n', 'ip'];
    await run('nsenter', [...inPod, 'tuntap', 'add', 'tap0', 'mode', 'tap', 'user', String(QEMU_USER)]);
    await run('nsenter', [...inPod, 'link', 'set', 'tap0', 'up']);
    fs.writeFileSync(join(this.bundle, 'volumes/kubevirt/domain.xml'), DOMAIN);
    await this.exec('virsh', 'define', '/var/run/kubevirt/domain.xml');
    await this.exec('virsh', 'start', 'default_tiny');
  }

  async guestState(): Promise<string | undefined> {
    return (await this.exec('virsh', 'domstate', 'default_tiny').catch(() => undefined))?.trim();
  }

  guestPid(): Promise<string> {
    return this.sh('cat /var/run/libvirt/qemu/run/default_tiny.pid');
  }

  killDaemon(signal: string): Promise<string> {
    return this.sh(`kill -${signal} $(cat /var/run/libvirt/libvirtd.pid)`);
  }

  async remove(): Promise<void> {
    await this.runc('delete', '-f', this.id).catch(() => undefined);
    await this.exit;
  }
}

const started: Launcher[] = [];
const launch = (opts?: ConstructorParameters<typeof Launcher>[0]): Launcher => {
  const launcher = new Launcher(opts);
  started.push(launcher);
  return launcher;
};

beforeAll(async () => {
  image = await prepareLauncherImage(join(base, 'images'), { kvm: false });
});
afterEach(async () => {
  for (const launcher of started.splice(0)) await launcher.remove();
});
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

describe('image', () => {
  it('is made once, and again when the host has changed', async () => {
    const directory = join(base, 'images');
    expect(await prepareLauncherImage(directory, { kvm: false })).toEqual(image);
    const made = fs.statSync(image.files).ctimeMs;
    fs.mkdirSync(join(directory, 'older'));
    await prepareLauncherImage(directory, { kvm: false });
    expect(fs.readdirSync(directory)).toHaveLength(1);
    expect(fs.statSync(image.files).ctimeMs).toBe(made);
  });
});

describe('start', () => {
  it('answers as an unprivileged user, without asking QEMU again', async () => {
    const seeds = fs.readdirSync(join(image.files, CAPABILITIES));
    expect(seeds).toHaveLength(1);
    const launcher = launch();
    await launcher.ready();
    const copy = join(launcher.bundle, 'volumes/kubevirt-private/libvirt/qemu/cache/capabilities', seeds[0] ?? '');
    const before = fs.statSync(copy);
    await launcher.exec('virsh', '-q', 'domcapabilities');
    // libvirt writes the file anew when it does not believe it.
    expect(fs.statSync(copy)).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs });
    expect(fs.existsSync(join(launcher.bundle, 'volumes/kubevirt-private', VMI_UID))).toBe(true);

    const status = await launcher.sh('cat /proc/$(cat /var/run/libvirt/libvirtd.pid)/status');
    expect(status).toMatch(/^Uid:\s+107\s+107\s+107\s+107$/m);
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    expect(status).toMatch(/^CapBnd:\s+0+$/m);
    expect(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1])).toBeLessThan(40_000);
  });

  it('gives every pod a host uuid of its own', async () => {
    const hosts = [launch(), launch()];
    const uuids = await Promise.all(
      hosts.map(async (host) => {
        await host.ready();
        return /<uuid>(.*)<\/uuid>/.exec(await host.exec('virsh', 'capabilities'))?.[1];
      }),
    );
    expect(new Set(uuids).size).toBe(2);
  });

  it('goes on without what the node found out', async () => {
    const spoil = (bundle: string) => fs.rmSync(join(bundle, 'rootfs', CAPABILITIES), { recursive: true });
    const launcher = launch({ spoil });
    await launcher.ready();
    expect(await launcher.exec('virsh', '-q', 'domcapabilities')).toContain('<arch>x86_64</arch>');
  });

  it('says why it cannot start', async () => {
    const readOnly = launch({ spoil: (bundle) => fs.chownSync(join(bundle, 'volumes/kubevirt-private'), 0, 0) });
    expect(await readOnly.exit).toBe(1);
    expect(readOnly.log).toContain('must be writable');
    const unknown = launch({ args: ['dance'] });
    expect(await unknown.exit).toBe(2);
    expect(unknown.log).toContain("unknown argument 'dance'");
  });
});

describe('end', () => {
  it('ends at once when no guest runs', async () => {
    const launcher = launch();
    await launcher.ready();
    await launcher.term();
    expect(await launcher.exit).toBe(0);
  });

  it('waits for a running guest, then ends', async () => {
    const launcher = launch();
    await launcher.ready();
    await launcher.startGuest();
    let ended = false;
    void launcher.exit.then(() => (ended = true));
    await launcher.term();
    await sleep(500); // nothing must happen: there is no condition to wait for
    expect(ended).toBe(false);
    expect(await launcher.guestState()).toBe('running');
    await launcher.exec('virsh', 'destroy', 'default_tiny');
    expect(await launcher.exit).toBe(0);
  });

  it('ends when the agent ends libvirtd, but never under a guest', async () => {
    const launcher = launch();
    await launcher.ready();
    await launcher.startGuest();
    const guest = await launcher.guestPid();
    await launcher.killDaemon('TERM');
    await until('libvirtd is back', async () => (await launcher.guestState()) === 'running');
    expect(await launcher.guestPid()).toBe(guest);
    await launcher.exec('virsh', 'destroy', 'default_tiny');
    await launcher.killDaemon('TERM');
    expect(await launcher.exit).toBe(0);
  });

  it('gives up when libvirtd cannot run', async () => {
    const launcher = launch({
      spoil: (bundle) => fs.appendFileSync(join(bundle, 'rootfs/etc/virtloom/libvirtd.conf'), 'nonsense\n'),
    });
    expect(await launcher.exit).toBe(1);
    expect(launcher.log).toContain('giving up');
  });
});

describe('life', () => {
  it('starts a guest on a tap made for it, and outlives a crash of libvirtd', async () => {
    const launcher = launch();
    await launcher.ready();
    await launcher.startGuest();
    const guest = await launcher.guestPid();
    const links = await run('nsenter', ['-t', await launcher.pid(), '-n', 'ip', '-o', 'link', 'show', 'tap0']);
    expect(links.stdout).toContain('LOWER_UP');
    expect(await launcher.sh(`test -S ${SERIAL} && echo socket`)).toBe('socket\n');
    await launcher.killDaemon('KILL');
    await until('libvirtd is back', async () => (await launcher.guestState()) === 'running');
    expect(await launcher.guestPid()).toBe(guest);
    await launcher.exec('virsh', 'destroy', 'default_tiny');
  });

  it('leaves no zombies', async () => {
    const launcher = launch();
    await launcher.ready();
    await launcher.sh('for i in 1 2 3 4 5; do (sleep 0.0$i &) ; done');
    // The container's own ps sees the container's processes only.
    await until('orphans are gone', async () => {
      const states = (await launcher.exec('ps', '-eo', 'stat,comm')).split('\n');
      return !states.some((line) => line.startsWith('Z') || line.includes('sleep'));
    });
  });
});
