// A pod sandbox: network, IPC and UTS namespaces kept alive by bind mounts, with no process inside.
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ensureDir } from './files.ts';
import type { PodLayout } from './layout.ts';
import { run } from './process.ts';

const KINDS = ['net', 'ipc', 'uts'] as const;

// $1 is the host name; the script is constant, so no manifest text is ever read as shell.
const SETUP = 'hostname -- "$1" && ip link set lo up && echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start';

/** Makes the three namespaces with one process; what a crash left half made is removed first. */
export async function createNamespaces(pod: PodLayout, hostname: string): Promise<void> {
  await removeNamespaces(pod);
  await ensureDir(pod.namespaces);
  await Promise.all(KINDS.map((kind) => writeFile(path.join(pod.namespaces, kind), '')));
  const files = KINDS.map((kind) => `--${kind}=${path.join(pod.namespaces, kind)}`);
  await run(['unshare', ...files, '--', 'sh', '-c', SETUP, 'sandbox', hostname]);
}

export async function removeNamespaces(pod: PodLayout): Promise<void> {
  await unmountBelow(pod.namespaces);
  await rm(pod.namespaces, { recursive: true, force: true });
}

/** True when the pod's network namespace is really mounted (it is not after a reboot). */
export async function namespacesExist(pod: PodLayout): Promise<boolean> {
  const mounts = await mountPoints();
  return KINDS.every((kind) => mounts.includes(path.join(pod.namespaces, kind)));
}

/** Unmounts everything mounted at or below `dir`, deepest first. */
export async function unmountBelow(dir: string): Promise<void> {
  const targets = (await mountPoints()).filter((point) => point === dir || point.startsWith(`${dir}/`)).reverse();
  if (targets.length === 0) return;
  // -l: a reader that still looks inside must not keep a dead pod's mounts on the host.
  await run(['umount', '-l', '--', ...targets]);
}

/** Mount points of this mount namespace, in mount order. */
export async function mountPoints(): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8))),
    );
}
