// A platform in a process of its own (`virtloom up`), as a user has it.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../cli/paths.ts';
import { KubeClient } from '../core/kube/client.ts';
import { removeEverything } from '../embedded/kubelet/index.ts';
import { buildTiny, TINY_IMAGE } from '../examples/images/tiny/build.ts';

const DEADLINE_MS = 60_000;

export interface ChildPlatform {
  readonly client: KubeClient;
  readonly kubeconfig: string;
  readonly pid: number;
  /** Resident memory, MiB. */
  resident(): number;
  /** Process id of a container's PID 1. */
  pidOf(containerId: string): Promise<number>;
  /** Stops the process where it is, and lets it go on. */
  hold(): void;
  release(): void;
  dispose(): Promise<void>;
}

export async function childPlatform(): Promise<ChildPlatform> {
  const stateDir = mkdtempSync(join(tmpdir(), 'virtloom-bench-'));
  const args = ['up', '--state-dir', stateDir, '--port', '0', '--bridge', 'vlbench1'];
  const image = `${TINY_IMAGE}=${buildTiny().layout}`;
  const child = spawn(process.execPath, [join(ROOT, 'cli/main.ts'), ...args, '--load-image', image], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const pid = child.pid ?? 0;
  await ready(join(stateDir, 'ready'), child);
  const kubeconfig = join(stateDir, 'kubeconfig');
  const client = KubeClient.fromKubeconfig(kubeconfig);
  return {
    client,
    kubeconfig,
    pid,
    resident: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? NaN) / 1024,
    async pidOf(containerId) {
      const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
      for (const id of ids) {
        try {
          if (!readFileSync(`/proc/${id}/cgroup`, 'utf8').includes(containerId)) continue;
          if (/NSpid:.*\s1$/m.test(readFileSync(`/proc/${id}/status`, 'utf8'))) return Number(id);
        } catch {
          // Ended while we looked.
        }
      }
      throw new Error(`container ${containerId} has no process`);
    },
    hold: () => void process.kill(pid, 'SIGSTOP'),
    release: () => void process.kill(pid, 'SIGCONT'),
    async dispose() {
      client.close();
      const ended = new Promise((resolve) => child.once('exit', resolve));
      process.kill(pid, 'SIGCONT');
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await ended;
      }
      await removeEverything(join(stateDir, 'kubelet'));
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

async function ready(file: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!existsSync(file)) {
    if (child.exitCode !== null) throw new Error(`virtloom up ended with ${child.exitCode}`);
    if (Date.now() > deadline) throw new Error('virtloom up is not ready');
    await sleep(20);
  }
}
