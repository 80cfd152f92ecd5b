// Entering a real container: what a step can do there, and what a hostile container cannot do to us.
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeBundle } from '../launcher/container.ts';
import { prepareLauncherImage } from '../launcher/prepare.ts';
import { connectIn, openPlace } from './container-path.ts';
import { findContainer, isAlive } from './container.ts';
import type { ContainerProcess } from './container.ts';
import { PodSandbox } from './sandbox.ts';
import { startPod, until } from './testing.ts';
import type { TestPod } from './testing.ts';

let pod: TestPod;
let container: ContainerProcess;
let sandbox: PodSandbox;
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'vl-sandbox-'));
  pod = await startPod({ prepareLauncherImage, writeBundle }, '0c5bb0c6-0000-4000-8000-000000000001');
  container = (await findContainer(pod.containerId)) as ContainerProcess;
  sandbox = new PodSandbox(container, join(dir, 'scratch'), new AbortController().signal);
});
afterAll(async () => {
  await pod.remove();
  rmSync(dir, { recursive: true });
});

const text = async (argv: string[], where: 'pod' | 'net' | 'agent') =>
  (await sandbox.exec(argv, { in: where })).stdout.toString();

describe('a container', () => {
  it('is found by its id', async () => {
    expect(container).toMatchObject({ pid: await pod.pid(), uid: 107, gid: 107 });
    expect(await isAlive(container)).toBe(true);
    expect(await isAlive({ ...container, startTime: '1' })).toBe(false);
    expect(await findContainer('runc://0123456789abcdef')).toBeUndefined();
    expect(await findContainer('')).toBeUndefined();
  });
});

describe('exec', () => {
  it('runs in the pod as its user, with no capability and no way to any', async () => {
    const status = await text(['/bin/cat', '/proc/self/status'], 'pod');
    expect(status).toMatch(/^Uid:\s+107\s+107\s+107\s+107$/m);
    expect(status).toMatch(/^Gid:\s+107\s+107\s+107\s+107$/m);
    expect(status).toMatch(/^Groups:\s*$/m);
    for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect(status).toMatch(new RegExp(`^${set}:\\s+0+$`, 'm'));
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(await text(['/bin/cat', '/proc/1/cmdline'], 'pod')).toContain('/opt/virtloom/launcher');
    expect(await text(['/usr/bin/env'], 'pod')).not.toContain('HOME');
    // No handle on anything of the host comes along.
    expect(await text(['/bin/ls', '-l', '/proc/self/fd'], 'pod')).not.toMatch(/-> \/(?!proc\/\d+\/fd)/);
  });

  it('runs as root in the network namespace only', async () => {
    expect(await text(['readlink', '/proc/self/ns/net'], 'net')).not.toBe(
      await text(['readlink', '/proc/self/ns/net'], 'agent'),
    );
    expect(await text(['readlink', '/proc/self/ns/mnt'], 'net')).toBe(
      await text(['readlink', '/proc/self/ns/mnt'], 'agent'),
    );
    await sandbox.exec(['ip', 'tuntap', 'add', 'tap7', 'mode', 'tap', 'user', '107'], { in: 'net' });
    expect(await text(['ip', '-o', 'link', 'show', 'tap7'], 'net')).toContain('tap7');
    await sandbox.exec(['ip', 'link', 'del', 'tap7'], { in: 'net' });
  });

  it('tells how a program failed, and shows none of its arguments', async () => {
    const failing = sandbox.exec(['/bin/sh', '-c', 'echo no luck >&2; exit 3', 'sh', 'secret'], { in: 'pod' });
    await expect(failing).rejects.toMatchObject({ exitCode: 3, message: '/bin/sh: exit code 3: no luck' });
    await expect(sandbox.exec(['/no/such'], { in: 'pod' })).rejects.toThrow('/no/such');
    await expect(sandbox.exec(['sleep', '60'], { in: 'agent', deadlineMs: 50 })).rejects.toThrow('within 50 ms');
  });

  it('leaves a daemon behind that ends with the pod', async () => {
    const victim = await startPod({ prepareLauncherImage, writeBundle }, '0c5bb0c6-0000-4000-8000-000000000002');
    try {
      const found = (await findContainer(victim.containerId)) as ContainerProcess;
      const other = new PodSandbox(found, join(dir, 'scratch'), new AbortController().signal);
      const pidFile = join(dir, 'daemon');
      // The shell prints its pid as the host counts it, and goes into the background.
      const script = 'sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > "$1"';
      await other.exec(['/bin/sh', '-c', script, 'sh', pidFile], { in: 'daemon' });
      await other.dispose();
      const inner = readFileSync(pidFile, 'utf8').trim();
      const alive = async () =>
        (await sandbox.exec(['pgrep', '-f', 'sleep 1000'], { in: 'agent' }).catch(() => undefined)) !== undefined;
      expect(Number(inner)).toBeGreaterThan(1);
      expect(await alive()).toBe(true);
      await victim.kill();
      await until('the daemon to end', async () => !(await alive()));
      await expect(other.exec(['true'], { in: 'pod' })).rejects.toThrow('the launcher pod is gone');
    } finally {
      await victim.remove();
    }
  });
});

describe('files', () => {
  it('are written and read as the pod user, folders and all, and removed', async () => {
    const path = '/var/run/kubevirt/a/b/file';
    await sandbox.writeFile(path, Buffer.from([0, 1, 255]), 0o640);
    expect(await sandbox.readFile(path)).toEqual(Buffer.from([0, 1, 255]));
    expect(await text(['/usr/bin/stat', '-c', '%u:%g %a', path], 'pod')).toBe('107:107 640\n');
    await sandbox.remove('/var/run/kubevirt/a');
    await sandbox.remove('/var/run/kubevirt/a');
    await expect(sandbox.readFile(path)).rejects.toThrow('No such file');
  });

  it('never lead out of the container by a symbolic link', async () => {
    const secret = join(dir, 'secret');
    writeFileSync(secret, 'of the host');
    symlinkSync(secret, join(pod.volumes, 'kubevirt/absolute'));
    symlinkSync(`../../../../../../../../..${secret}`, join(pod.volumes, 'kubevirt/relative'));
    symlinkSync('loop', join(pod.volumes, 'kubevirt/loop'));
    for (const name of ['absolute', 'relative', 'loop']) {
      const path = `/var/run/kubevirt/${name}`;
      await expect(sandbox.readFile(path)).rejects.toThrow(/No such file|Too many levels/);
      await expect(openPlace(container, path)).rejects.toThrow(/ENOENT|symbolic links/);
    }
    await expect(sandbox.writeFile('/var/run/kubevirt/absolute/x', 'y')).rejects.toThrow();
    expect(readFileSync(secret, 'utf8')).toBe('of the host');
  });

  it('of a socket connect to the container, and to nothing else', async () => {
    const server = createServer().listen(join(dir, 'host.sock'));
    symlinkSync(join(dir, 'host.sock'), join(pod.volumes, 'kubevirt/sock'));
    await expect(connectIn(container, '/var/run/kubevirt/sock')).rejects.toThrow('ENOENT');
    await expect(connectIn(container, '/etc/passwd')).rejects.toThrow('not a socket');
    // A socket that somebody else put there.
    const foreign = createServer().listen(join(pod.volumes, 'kubevirt/foreign'));
    await expect(connectIn(container, '/var/run/kubevirt/foreign')).rejects.toThrow('belongs to user 0');
    server.close();
    foreign.close();
    const socket = await until('libvirtd', () =>
      connectIn(container, '/var/run/../run/libvirt/libvirt-sock').catch(() => undefined),
    );
    socket.destroy();
    // For who wants a path: it leads there until the step is over.
    const path = await sandbox.socket('/var/run/libvirt/libvirt-sock');
    const again = createConnection(path);
    await once(again, 'connect');
    again.destroy();
    await expect(sandbox.socket('/var/run/kubevirt/sock')).rejects.toMatchObject({ code: 'ENOENT' });
    await sandbox.dispose();
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });
});
