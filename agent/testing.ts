// For tests: a launcher pod as a node has it, in a real container by runc, without a kubelet.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from './libvirt/testing.ts';

export { testDisk, testDomain, until } from './libvirt/testing.ts';

const execute = promisify(execFile);
/** The launcher's image with what QEMU can do, kept between runs. */
const IMAGES = new URL('../.cache/agent-launcher/', import.meta.url).pathname;

/** What launcher/ offers to whoever runs its image. */
export interface LauncherModule<Image> {
  prepareLauncherImage(directory: string, options: { kvm: boolean }): Promise<Image>;
  writeBundle(directory: string, bundle: { id: string; image: Image; env?: string[] }): void;
}

export interface TestPod {
  /** As a pod's status has it. */
  readonly containerId: string;
  /** The pod's directories in /var/run, as the node sees them. */
  readonly volumes: string;
  /** True until PID 1 has ended. */
  readonly running: boolean;
  readonly exitCode: number | null;
  /** The container's PID 1 as the host counts. */
  pid(): Promise<number>;
  kill(): Promise<void>;
  /** Kills what is left and removes every trace. */
  remove(): Promise<void>;
}

/** Starts a launcher with `VMI_UID` set. Needs root and runc. */
export async function startPod<Image>(launcher: LauncherModule<Image>, vmiUid: string): Promise<TestPod> {
  const image = await launcher.prepareLauncherImage(IMAGES, { kvm: false });
  const base = mkdtempSync(join(tmpdir(), 'vl-agent-'));
  const id = `vl-agent-${randomBytes(8).toString('hex')}`;
  launcher.writeBundle(base, { id, image, env: [`VMI_UID=${vmiUid}`] });
  const runc = (...args: string[]) => execute('runc', ['--root', join(base, 'runc'), ...args]);
  const child = spawn('runc', ['--root', join(base, 'runc'), 'run', '-b', base, id], { stdio: 'ignore' });
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const state = async () => JSON.parse((await runc('state', id)).stdout) as { pid: number; status: string };
  await until('the container', async () => (await state().catch(() => undefined))?.status === 'running');
  return {
    containerId: `runc://${id}`,
    volumes: join(base, 'volumes'),
    pid: async () => (await state()).pid,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    get exitCode() {
      return child.exitCode;
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
