// For tests: a launcher pod as a node has it, in a real container by runc, without a kubelet.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from './libvirt/testing.ts';

export { until } from './libvirt/testing.ts';

const execute = promisify(execFile);
const QEMU_USER = 107;
const VOLUMES = ['libvirt', 'kubevirt', 'kubevirt-private', 'kubevirt-ephemeral-disks'];
/** What libvirt asked QEMU, kept between runs. */
const CAPABILITIES = new URL('../.cache/launcher-capabilities/', import.meta.url).pathname;

/** As launcher/image.ts describes it. */
export interface TestImage {
  files: string;
  hostDirectories: string[];
  links: Record<string, string>;
  directories: string[];
  config: { entrypoint: string[]; env: string[] };
  probe: { args: string[]; directory: string };
}

export interface TestPod {
  readonly containerId: string;
  readonly uid: string;
  /** The pod's own /var/run directories, as the node sees them. */
  readonly volumes: string;
  /** The container's PID 1 as the host counts. */
  pid(): Promise<number>;
  /** True until PID 1 has ended. */
  readonly running: boolean;
  kill(): Promise<void>;
  /** Kills what is left and removes every trace. */
  remove(): Promise<void>;
}

/** Starts the image's entry point with `VMI_UID` set. Needs root and runc. */
export async function startPod(image: TestImage, vmiUid: string): Promise<TestPod> {
  if (!existsSync(CAPABILITIES)) {
    ownedDirectory(CAPABILITIES);
    const probe = await launch(image, vmiUid, true);
    await until('the probe to end', () => !probe.running);
    await probe.remove();
  }
  const pod = await launch(image, vmiUid, false);
  await until('the container', () => pod.pid().catch(() => 0));
  return pod;
}

async function launch(image: TestImage, vmiUid: string, probing: boolean): Promise<TestPod> {
  const base = mkdtempSync(join(tmpdir(), 'vl-agent-'));
  const id = `vl-agent-${randomBytes(8).toString('hex')}`;
  const volumes = join(base, 'volumes');
  writeBundle(image, base, id, vmiUid, probing);
  const runc = (...args: string[]) => execute('runc', ['--root', join(base, 'runc'), ...args]);
  const child = spawn('runc', ['--root', join(base, 'runc'), 'run', '-b', base, id], { stdio: 'ignore' });
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    containerId: `runc://${id}`,
    uid: vmiUid,
    volumes,
    pid: async () => (JSON.parse((await runc('state', id)).stdout) as { pid: number }).pid,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    kill: async () => {
      await runc('kill', id, 'KILL');
      await exit;
    },
    remove: async () => {
      await runc('delete', '-f', id).catch(() => undefined);
      await exit;
      rmSync(base, { recursive: true, force: true });
    },
  };
}

function ownedDirectory(path: string): string {
  mkdirSync(path, { recursive: true });
  chownSync(path, QEMU_USER, QEMU_USER);
  return path;
}

function writeBundle(image: TestImage, base: string, id: string, vmiUid: string, probing: boolean): void {
  const root = join(base, 'rootfs');
  cpSync(image.files, root, { recursive: true });
  const places = [...image.directories, ...image.hostDirectories, ...VOLUMES.map((volume) => `/var/run/${volume}`)];
  for (const dir of places) mkdirSync(join(root, dir), { recursive: true });
  for (const [path, target] of Object.entries(image.links)) symlinkSync(target, join(root, path));
  writeFileSync(join(root, 'etc/hosts'), `127.0.0.1 localhost ${id}\n`);
  const bind = (destination: string, source: string, mode: 'ro' | 'rw') => ({
    destination,
    source,
    type: 'bind',
    options: ['rbind', mode, 'nosuid'],
  });
  const none: string[] = [];
  const spec = {
    ociVersion: '1.0.2',
    hostname: id,
    root: { path: 'rootfs', readonly: true },
    process: {
      user: { uid: QEMU_USER, gid: QEMU_USER },
      args: probing ? image.probe.args : image.config.entrypoint,
      env: [...image.config.env, `VMI_UID=${vmiUid}`],
      cwd: '/',
      capabilities: { bounding: none, effective: none, inheritable: none, permitted: none, ambient: none },
      noNewPrivileges: true,
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=1777'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'ro'] },
      ...image.hostDirectories.map((dir) => bind(dir, dir, 'ro')),
      bind(image.probe.directory, CAPABILITIES, probing ? 'rw' : 'ro'),
      ...VOLUMES.map((volume) => bind(`/var/run/${volume}`, ownedDirectory(join(base, 'volumes', volume)), 'rw')),
    ],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
      devices: [{ path: '/dev/net/tun', type: 'c', major: 10, minor: 200, fileMode: 0o666 }],
    },
  };
  writeFileSync(join(base, 'config.json'), JSON.stringify(spec));
}
