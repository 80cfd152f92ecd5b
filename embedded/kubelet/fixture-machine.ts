// Test fixture: makes a network namespace and a state directory, runs fixture-node in them, and counts what is left.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostImage } from '../images/image.ts';
import { removeCgroup } from './cgroup.ts';
import { mountPoints, unmountBelow } from './namespaces.ts';
import type { Pod, PodSpec, PodStatus } from './pod-types.ts';
import { run } from './process.ts';
import type { Order, Report } from './fixture-node.ts';

export const SHELL = 'virtloom.test/shell:1';

export class TestMachine {
  readonly netns: string;
  readonly dir: string;
  readonly bridgeName: string;
  readonly podCIDR: string;
  readonly reports: Report[] = [];
  private child: ChildProcess | undefined;
  private exited: Promise<unknown> = Promise.resolve();
  private readonly listeners = new Set<() => void>();

  private constructor(netns: string, dir: string, podCIDR: string) {
    this.netns = netns;
    this.dir = dir;
    this.podCIDR = podCIDR;
    this.bridgeName = `vl${netns.slice(-4)}`;
  }

  static async create(podCIDR = '10.99.0.0/24'): Promise<TestMachine> {
    const netns = `vl-kubelet-${randomBytes(3).toString('hex')}`;
    await run(['ip', 'netns', 'add', netns]);
    await run(['ip', '-n', netns, 'link', 'set', 'lo', 'up']);
    const dir = await mkdtemp('/tmp/vl-kubelet-');
    await mkdir(path.join(dir, 'files/etc'), { recursive: true });
    await writeFile(path.join(dir, 'files/etc/passwd'), 'root:x:0:0::/root:/bin/sh\nqemu:x:107:107::/tmp:/bin/sh\n');
    await writeFile(path.join(dir, 'files/etc/group'), 'root:x:0:\nqemu:x:107:\nkvm:x:109:qemu\n');
    return new TestMachine(netns, dir, podCIDR);
  }

  get stateDir(): string {
    return path.join(this.dir, 'state');
  }

  /** Starts the node; `pods` is what the API has. */
  async start(pods: Pod[] = [], moreImages: Record<string, HostImage> = {}): Promise<void> {
    const child = fork(path.join(import.meta.dirname, 'fixture-node.ts'), {
      execPath: '/usr/bin/nsenter',
      execArgv: [`--net=/run/netns/${this.netns}`, process.execPath],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child = child;
    this.exited = new Promise((resolve) => child.once('exit', resolve));
    child.on('message', (report: Report) => {
      this.reports.push(report);
      for (const listener of this.listeners) listener();
    });
    const shell: HostImage = { files: path.join(this.dir, 'files'), config: { entrypoint: ['/bin/sh', '-c'] } };
    this.send({
      op: 'start',
      stateDir: this.stateDir,
      bridgeName: this.bridgeName,
      podCIDR: this.podCIDR,
      hostImages: { [SHELL]: shell, ...moreImages },
      pods,
    });
    const before = this.reports.length;
    await this.until(() => this.reports.slice(before).find((report) => report.kind === 'started'), 'the node to start');
  }

  send(order: Order): void {
    this.child?.send(order);
  }

  async stop(): Promise<void> {
    this.send({ op: 'stop' });
    await this.exited;
    this.child = undefined;
  }

  async crash(): Promise<void> {
    this.child?.kill('SIGKILL');
    await this.exited;
    this.child = undefined;
  }

  status(pod: Pod): PodStatus | undefined {
    return this.statuses(pod).at(-1);
  }

  statuses(pod: Pod): PodStatus[] {
    return this.reports.flatMap((r) => (r.kind === 'status' && r.uid === pod.metadata.uid ? [r.status] : []));
  }

  events(pod: Pod): string[] {
    return this.reports.flatMap((r) =>
      r.kind === 'event' && r.uid === pod.metadata.uid ? [`${r.reason}: ${r.message}`] : [],
    );
  }

  async statusWhere(pod: Pod, what: string, test: (status: PodStatus) => boolean, ms?: number): Promise<PodStatus> {
    return await this.until(
      () => {
        const status = this.status(pod);
        return status && test(status) ? status : undefined;
      },
      `${pod.metadata.name ?? ''} to be ${what}`,
      ms,
    );
  }

  async running(pod: Pod): Promise<PodStatus> {
    return await this.statusWhere(
      pod,
      'ready',
      (s) => s.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false,
    );
  }

  /** Deletes a pod as the API does and waits until the node says that nothing is left. */
  async remove(pod: Pod, graceSeconds = 5): Promise<void> {
    this.send({ op: 'apply', pod: deleted(pod, graceSeconds) });
    await this.until(
      () => this.reports.find((report) => report.kind === 'deleted' && report.uid === pod.metadata.uid),
      `${pod.metadata.name ?? ''} to be gone`,
      (graceSeconds + 10) * 1000,
    );
  }

  async until<T>(look: () => T | undefined, what: string, ms = 5_000): Promise<T> {
    const deadline = Date.now() + ms;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (Date.now() > deadline) {
        throw new Error(
          `waited ${ms} ms for ${what}; last reports: ${JSON.stringify(this.reports.slice(-12), null, 1)}`,
        );
      }
      await new Promise<void>((resolve) => {
        const done = () => {
          this.listeners.delete(done);
          resolve();
        };
        this.listeners.add(done);
        setTimeout(done, 50);
      });
    }
  }

  deleted(pod: Pod, graceSeconds: number): Pod {
    return deleted(pod, graceSeconds);
  }

  /** Waits until nothing is left of any pod. */
  async clean(): Promise<void> {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const remains = await this.remains();
      if (remains.length === 0) return;
      if (Date.now() > deadline) throw new Error(`left behind: ${remains.join('; ')}`);
      await sleep(30);
    }
  }

  /** Everything a pod could leave behind, as text lines; empty when all is clean. */
  async remains(): Promise<string[]> {
    const links = await run(['ip', '-n', this.netns, '-o', 'link']);
    const leases = await readdir(path.join(this.stateDir, 'cni/ipam', this.bridgeName)).catch(() => []);
    return [
      ...(await mountPoints()).filter((point) => point.startsWith(this.dir)).map((point) => `mount ${point}`),
      ...links.stdout
        .split('\n')
        .filter((line) => line.includes('veth'))
        .map((line) => `link ${line}`),
      ...leases.filter((name) => /^[0-9.]+$/.test(name)).map((name) => `lease ${name}`),
      ...(await readdir(path.join(this.stateDir, 'pods')).catch(() => [])).map((name) => `pod ${name}`),
      ...(await readdir(path.join(this.stateDir, 'runc')).catch(() => [])).map((name) => `runc ${name}`),
      ...(await readdir(path.join(this.stateDir, 'exits')).catch(() => [])).map((name) => `exit ${name}`),
      ...(await this.cgroups()).map((name) => `cgroup ${name}`),
      ...(await this.processes()).map((line) => `process ${line}`),
    ];
  }

  async destroy(): Promise<void> {
    await this.crash();
    for (const pid of await this.processes()) process.kill(Number(pid.split(' ')[0]), 'SIGKILL');
    await sleep(50);
    for (const id of await readdir(path.join(this.stateDir, 'runc')).catch(() => [])) {
      await run(['runc', '--root', path.join(this.stateDir, 'runc'), 'delete', '--force', id]).catch(() => {});
    }
    await unmountBelow(this.dir);
    await removeCgroup(`virtloom-${this.bridgeName}`);
    await run(['ip', 'netns', 'del', this.netns]).catch(() => {});
    await rm(this.dir, { recursive: true, force: true });
  }

  private async cgroups(): Promise<string[]> {
    const found = await readdir(`/sys/fs/cgroup/memory/virtloom-${this.bridgeName}`, { withFileTypes: true }).catch(
      () => [],
    );
    return found.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  }

  private async processes(): Promise<string[]> {
    const { stdout } = await run(['ps', '-eo', 'pid,args']);
    return stdout
      .split('\n')
      .filter((line) => line.includes('conmon') && line.includes(this.stateDir))
      .map((l) => l.trim());
  }
}

let count = 0;

export function podOf(spec: Partial<PodSpec>, name = `pod-${++count}`): Pod {
  const uid = `${randomBytes(4).toString('hex')}-0000-4000-8000-${randomBytes(6).toString('hex')}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid, labels: { app: 'test' } },
    spec: { containers: [], nodeName: 'n1', terminationGracePeriodSeconds: 5, ...spec },
  };
}

export function shell(script: string, more: Partial<PodSpec['containers'][0]> = {}): PodSpec['containers'][0] {
  return { name: 'main', image: SHELL, imagePullPolicy: 'IfNotPresent', args: [script], ...more };
}

export function deleted(pod: Pod, graceSeconds: number): Pod {
  const deletionTimestamp = new Date(Date.now() + graceSeconds * 1000).toISOString();
  return { ...pod, metadata: { ...pod.metadata, deletionTimestamp, deletionGracePeriodSeconds: graceSeconds } };
}
