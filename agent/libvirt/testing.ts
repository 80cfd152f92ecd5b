// For tests: a real libvirtd of its own, in session mode as an ordinary user, and a guest of 52 bytes to run in it.
import { spawn } from 'node:child_process';
import { chown, copyFile, cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from './connection.ts';
import { procedures } from './procedures.ts';

const NOBODY = 65534;
const CAPABILITIES = 'cache/libvirt/qemu/cache/capabilities';
/** Probing QEMU takes seconds, so it happens once a machine. */
const SHARED_CAPABILITIES = new URL('../../.cache/libvirt-capabilities/', import.meta.url).pathname;

export interface TestDaemon {
  socket: string;
  uri: string;
  /** A directory that the daemon's user can write. */
  dir: string;
  pid: number;
  /** Kills the daemon, its guests included, and removes its directory. */
  stop(): Promise<void>;
  /** The same daemon, killed and started again; its guests go on. */
  restart(): Promise<void>;
}

/** Needs root (to become another user in namespaces of its own). */
export async function startLibvirtd(): Promise<TestDaemon> {
  const dir = await mkdtemp(join(tmpdir(), 'vl-libvirtd-'));
  for (const name of ['.', 'run', 'home', 'config', 'data', ...parents(CAPABILITIES)]) {
    await mkdir(join(dir, name), { recursive: true });
    await chown(join(dir, name), NOBODY, NOBODY);
  }
  // Without this the daemon starts a virtlogd of its own.
  await mkdir(join(dir, 'config/libvirt'));
  await chown(join(dir, 'config/libvirt'), NOBODY, NOBODY);
  await writeFile(join(dir, 'config/libvirt/qemu.conf'), 'stdio_handler = "file"\nsecurity_driver = "none"\n');
  if (existsSync(SHARED_CAPABILITIES)) await cp(SHARED_CAPABILITIES, join(dir, CAPABILITIES), { recursive: true });
  for (const name of await readdir(join(dir, CAPABILITIES))) {
    await chown(join(dir, CAPABILITIES, name), NOBODY, NOBODY);
  }
  const socket = join(dir, 'run/libvirt/libvirt-sock');
  let daemon = await launch(dir, socket);
  await keepCapabilities(dir);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    if (daemon.exitCode !== null || daemon.signalCode !== null) return;
    daemon.kill(signal);
    await ended;
  };
  return {
    socket,
    uri: 'qemu:///session',
    dir,
    get pid() {
      return daemon.pid ?? 0;
    },
    async stop() {
      await end('SIGKILL');
      await killGuests(dir);
      await rm(dir, { recursive: true, force: true });
    },
    async restart() {
      await end('SIGKILL');
      await rm(socket, { force: true });
      daemon = await launch(dir, socket);
    },
  };
}

async function launch(dir: string, socket: string) {
  const variables = {
    HOME: 'home',
    XDG_RUNTIME_DIR: 'run',
    XDG_CACHE_HOME: 'cache',
    XDG_CONFIG_HOME: 'config',
    XDG_DATA_HOME: 'data',
  };
  const env = Object.fromEntries(Object.entries(variables).map(([name, sub]) => [name, join(dir, sub)]));
  const asNobody = [
    'setpriv',
    `--reuid=${NOBODY}`,
    `--regid=${NOBODY}`,
    '--clear-groups',
    '--bounding-set=-all',
    '--inh-caps=-all',
    '--no-new-privs',
  ];
  const daemon = spawn('unshare', ['--mount', '--net', ...asNobody, 'libvirtd'], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...env },
    stdio: 'ignore',
  });
  try {
    await until(`libvirtd in ${dir}`, async () => {
      if (daemon.exitCode !== null) throw new Error(`libvirtd ended with ${daemon.exitCode}`);
      const connection = await Connection.open({ path: socket, uri: 'qemu:///session' }).catch(() => undefined);
      connection?.close();
      return connection !== undefined;
    });
  } catch (error) {
    daemon.kill('SIGKILL');
    throw error;
  }
  return daemon;
}

async function keepCapabilities(dir: string): Promise<void> {
  if (existsSync(SHARED_CAPABILITIES)) return;
  const connection = await Connection.open({ path: join(dir, 'run/libvirt/libvirt-sock'), uri: 'qemu:///session' });
  await connection.call(procedures.connectGetDomainCapabilities, { virtType: 'qemu', flags: 0 });
  connection.close();
  await mkdir(SHARED_CAPABILITIES, { recursive: true });
  for (const name of await readdir(join(dir, CAPABILITIES))) {
    await copyFile(join(dir, CAPABILITIES, name), join(SHARED_CAPABILITIES, name));
  }
}

async function killGuests(dir: string): Promise<void> {
  const run = join(dir, 'run/libvirt/qemu/run');
  if (!existsSync(run)) return;
  for (const name of await readdir(run)) {
    if (!name.endsWith('.pid')) continue;
    const pid = Number(await readFile(join(run, name), 'utf8').catch(() => '0'));
    if (pid > 0 && existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
  }
}

function parents(path: string): string[] {
  return path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'));
}

/** Waits until `condition` gives something true, and gives that. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 15_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/**
 * A boot sector. Says "R" on the first serial port, then echoes what comes in there; "q" there or the ACPI power button
 * powers the machine off. Sleeps between timer ticks.
 */
const BOOT_SECTOR =
  'fbba0206b80001efbaf803b052eef4ba0006edf6c4017513bafd03eca80174eebaf803ec3c717403eeebe4ba0406b80020efebfe';

/** A disk that boots the guest. */
export function testDisk(): Buffer {
  // SeaBIOS boots no disk of less than a cylinder.
  const disk = Buffer.alloc(1024 * 1024);
  disk.write(BOOT_SECTOR, 'hex');
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

/** The guest's domain: q35 under software emulation, `disk` the path of a testDisk(), `devices` XML for more of them. */
export function testDomain(name: string, disk: string, devices: string): string {
  return `<domain type='qemu'><name>${name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/><tcg><tb-cache unit='MiB'>16</tb-cache></tcg></features><on_crash>destroy</on_crash>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/><target dev='sda' bus='sata'/></disk>
    ${devices}
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <video><model type='vga'/></video><memballoon model='virtio'/>
  </devices></domain>`;
}

/** Writes the guest's disk into the daemon's directory and gives its domain, with a pty for its serial port. */
export async function testGuest(dir: string, name: string): Promise<string> {
  const file = join(dir, `${name}.raw`);
  await writeFile(file, testDisk());
  await chown(file, NOBODY, NOBODY);
  return testDomain(name, file, "<serial type='pty'/>");
}
