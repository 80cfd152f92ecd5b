// The agent against real launchers: libvirt and QEMU in containers, a small API server beside them.
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { KubeObject, Vmi } from '../core/index.ts';
import { createHost } from '../core/host.ts';
import { TestApiServer } from '../core/kube/testing/api-server.ts';
import { writeBundle } from '../launcher/container.ts';
import { prepareLauncherImage } from '../launcher/prepare.ts';
import { startAgent } from './agent.ts';
import type { Agent } from './agent.ts';
import { TAKEN_OVER } from './bridge.ts';
import type { TestAgentOptions } from './testing-agent.ts';
import { testPlugin } from './testing-plugin.ts';
import { startPod, until } from './testing.ts';
import type { TestPod } from './testing.ts';

// Guests boot slowly on a machine with other things to do.
vi.setConfig({ testTimeout: 60_000 });
const execute = promisify(execFile);
const NODE = 'node-1';
const FINALIZER = 'kubevirt.io/foregroundDeleteVirtualMachine';
const log = pino({ level: process.env['LOG'] ?? 'silent' });

let dir: string;
let server: TestApiServer;
let agent: Agent;
let pods: TestPod[];
/** While it exists the step `mark` fails. */
let obstacle: string;

const vmiPath = (name: string) => `/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances/${name}`;
const podPath = (name: string) => `/api/v1/namespaces/default/pods/virt-launcher-${name}`;
const vmiOf = (name: string) => server.objects.get(vmiPath(name)) as Vmi | undefined;
const phase = (name: string, wanted: string) =>
  until(`${name} to be ${wanted}`, () => vmiOf(name)?.status?.phase === wanted, 30_000).catch((error: unknown) => {
    throw new Error(`${String(error)}; it is ${JSON.stringify(vmiOf(name)?.status)}`);
  });
const condition = (name: string, type: string) => vmiOf(name)?.status?.conditions?.find((each) => each.type === type);
const events = (name: string) =>
  [...server.objects.values()]
    .filter((each) => each.kind === 'Event' && (each['involvedObject'] as KubeObject['metadata']).name === name)
    .map((each) => [each['reason'], each['message']]);
/** What the plugin's later steps did, and the VMI's phase then. */
const notes = (name: string) =>
  readFileSync(join(dir, `notes-${name}`), 'utf8')
    .trim()
    .split('\n');
const writes = (name: string) => server.requests.filter((each) => each === `PATCH ${vmiPath(name)}`).length;

/** A VMI as the controller hands it over: its pod runs on this node. */
async function handOver(name: string, spec: object = {}): Promise<TestPod> {
  const uid = randomUUID();
  const pod = await startPod({ prepareLauncherImage, writeBundle }, uid);
  pods.push(pod);
  server.put(podPath(name), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      labels: { 'kubevirt.io': 'virt-launcher' },
      ownerReferences: [{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', name, uid, controller: true }],
    },
    spec: { nodeName: NODE },
    status: {
      phase: 'Running',
      podIP: '10.0.0.7',
      containerStatuses: [{ name: 'compute', ready: true, containerID: pod.containerId }],
    },
  });
  server.put(vmiPath(name), {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { uid, labels: { 'kubevirt.io/nodeName': NODE }, finalizers: [FINALIZER] },
    spec: { domain: {}, ...spec },
    status: { phase: 'Scheduled', nodeName: NODE },
  });
  return pod;
}

function change(path: string, metadata: object): void {
  const old = server.objects.get(path) as KubeObject;
  server.put(path, { ...old, metadata: { ...old.metadata, ...metadata } });
}
const deleteVmi = (name: string) => change(vmiPath(name), { deletionTimestamp: new Date().toISOString() });

const options = () => ({
  nodeName: NODE,
  cluster: { launcherImage: 'launcher', virtType: 'qemu', imageVolumes: false } as const,
  stateDir: join(dir, 'state'),
  tls: { ...server.authority.sign('agent', ['127.0.0.1']), ca: server.authority.cert },
  listen: { host: '127.0.0.1', port: 0 },
});
const start = (): Promise<Agent> =>
  startAgent({ ...options(), client: server.client(), host: createHost([{ plugin: testPlugin(dir) }], { log }), log });

let client: { cert: string; key: string };
const tls = () => ({ ...client, ca: server.authority.cert });
const url = (name: string, verb: string) =>
  `127.0.0.1:${agent.port}/v1/namespaces/default/virtualmachineinstances/${name}/${verb}`;
const call = (method: string, name: string, verb: string, options: object = tls()) =>
  new Promise<{ status: number; body: string }>((resolve, reject) => {
    const sent = request(`https://${url(name, verb)}`, { method, ...options }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on('error', reject).end();
  });
const stream = (name: string, verb: string) => new WebSocket(`wss://${url(name, verb)}`, 'plain.kubevirt.io', tls());

const qemuOf = async (pod: TestPod): Promise<number> => {
  const pids = (await execute('ps', ['-o', 'pid=,comm=', '-e', '--no-headers'])).stdout.split('\n');
  const space = (pid: string) => readlink(`/proc/${pid}/ns/pid`);
  const own = await space(String(await pod.pid()));
  for (const line of pids) {
    const [pid = '', name = ''] = line.trim().split(/\s+/);
    if (name.startsWith('qemu-system') && (await space(pid).catch(() => '')) === own) return Number(pid);
  }
  return 0;
};
const readlink = async (path: string) => (await execute('readlink', [path])).stdout.trim();

/** Nothing of the VMI is left on the node. */
const gone = async (name: string, pod: TestPod) => {
  await until('the launcher to end', () => !pod.running);
  await until('the journal to go', () => readdirSync(join(dir, 'state/journal')).length === 0);
  expect(existsSync(join(dir, `mark-${name}`))).toBe(false);
};

beforeAll(async () => {
  server = await new TestApiServer().start();
  client = server.authority.sign('subresources');
});
afterAll(() => server.stop());
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'vl-agent-test-'));
  obstacle = join(dir, 'obstacle');
  pods = [];
  server.objects.clear();
  server.compact();
  server.requests.length = 0;
  agent = await start();
});
afterEach(async () => {
  await agent.stop();
  for (const pod of pods) await pod.remove();
  rmSync(dir, { recursive: true });
});

describe('a VMI', () => {
  it('runs, speaks, pauses, and succeeds when the guest powers off', async () => {
    const pod = await handOver('life');
    await phase('life', 'Running');
    expect(vmiOf('life')?.status).toMatchObject({
      runtimeUser: 107,
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'LiveMigratable', status: 'False', reason: 'DisksNotLiveMigratable' },
      ],
      phaseTransitionTimestamps: [{ phase: 'Running' }],
    });
    expect(writes('life')).toBe(1);
    expect(existsSync(join(dir, 'mark-life'))).toBe(true);

    const console1 = stream('life', 'console');
    let heard = '';
    console1.on('message', (data: Buffer) => (heard += data.toString('latin1')));
    await until('the console', () => console1.readyState === WebSocket.OPEN);
    expect(console1.protocol).toBe('plain.kubevirt.io');
    const answers = (text: string) =>
      until('the guest to answer', () => {
        console1.send(Buffer.from(text));
        return heard.includes(text);
      });
    await answers('?');

    const screen = stream('life', 'vnc');
    const greeting = await new Promise<string>((resolve) =>
      screen.once('message', (data: Buffer) => resolve(data.toString())),
    );
    expect(greeting).toMatch(/^RFB /);
    screen.close();

    expect(await call('PUT', 'life', 'pause')).toMatchObject({ status: 202, body: '' });
    await until('the condition', () => condition('life', 'Paused')?.reason === 'PausedByUser');
    expect(condition('life', 'Ready')?.status).toBe('False');
    expect((await call('PUT', 'life', 'unpause')).status).toBe(202);
    await until('the condition to go', () => !condition('life', 'Paused'));
    expect(condition('life', 'Ready')?.status).toBe('True');

    const polite = new WebSocket(`wss://${url('life', 'console?preserveSession=true')}`, tls());
    const refusal = await new Promise<Error>((resolve) => polite.once('error', resolve));
    expect(refusal.message).toContain('409');

    const taken = new Promise<number>((resolve) => console1.once('close', resolve));
    const console2 = stream('life', 'console');
    expect(await taken).toBe(TAKEN_OVER);
    await until('the second session', () => console2.readyState === WebSocket.OPEN);
    const ended = new Promise<number>((resolve) => console2.once('close', resolve));
    console2.send(Buffer.from('q'));
    await phase('life', 'Succeeded');
    await ended;
    await gone('life', pod);
    expect(pod.exitCode).toBe(0);
    // Running, paused, unpaused, over.
    expect(writes('life')).toBe(4);
    expect(vmiOf('life')?.metadata.finalizers).toEqual([FINALIZER]);
    // Nobody told it to stop.
    expect(notes('life')).toEqual(['started Running']);
    await until('the events', () => events('life').length >= 4);
    expect(events('life')).toEqual([
      ['DomainRewritten', 'test: title added'],
      ['Created', 'VirtualMachineInstance defined.'],
      ['Started', 'VirtualMachineInstance started.'],
      ['Stopped', 'The VirtualMachineInstance was shut down.'],
    ]);
  });

  it('is shut down in good order when it is deleted, in two writes all in all', async () => {
    const pod = await handOver('deleted');
    await phase('deleted', 'Running');
    deleteVmi('deleted');
    await phase('deleted', 'Succeeded');
    await gone('deleted', pod);
    expect(vmiOf('deleted')?.metadata.finalizers).toEqual([]);
    expect(writes('deleted')).toBe(2);
    await until('the events', () => events('deleted').length >= 6);
    expect(events('deleted').slice(3)).toEqual([
      ['ShuttingDown', 'Signaled Graceful Shutdown'],
      ['Stopped', 'The VirtualMachineInstance was shut down.'],
      ['Deleted', 'Signaled Deletion'],
    ]);
  });

  it('is destroyed at once where it is given no time', async () => {
    const pod = await handOver('forced', { terminationGracePeriodSeconds: 0 });
    await phase('forced', 'Running');
    deleteVmi('forced');
    await phase('forced', 'Failed');
    await gone('forced', pod);
    expect(vmiOf('forced')?.metadata.finalizers).toEqual([]);
  });

  it('is shut down when its pod is deleted', async () => {
    const pod = await handOver('evicted');
    await phase('evicted', 'Running');
    const deletionTimestamp = new Date(Date.now() + 60_000).toISOString();
    change(podPath('evicted'), { deletionTimestamp, deletionGracePeriodSeconds: 60 });
    await phase('evicted', 'Succeeded');
    await gone('evicted', pod);
  });

  it('fails when QEMU dies, alone, with libvirtd, and with the whole pod', async () => {
    const first = await handOver('qemu-dies');
    await phase('qemu-dies', 'Running');
    process.kill(await qemuOf(first), 'SIGKILL');
    await phase('qemu-dies', 'Failed');
    await gone('qemu-dies', first);
    const both = await handOver('both-die');
    await phase('both-die', 'Running');
    const daemon = readFileSync(join(both.volumes, 'libvirt/libvirtd.pid'), 'utf8').trim();
    const inPod = ['nsenter', '-t', String(await both.pid()), '-p', '-m', '-r'] as const;
    await execute(inPod[0], [
      ...inPod.slice(1),
      '/bin/sh',
      '-c',
      'kill -9 $0 $(cat /var/run/libvirt/qemu/run/*both-die.pid)',
      daemon,
    ]);
    await phase('both-die', 'Failed');
    await gone('both-die', both);
    const second = await handOver('pod-dies');
    await phase('pod-dies', 'Running');
    await second.kill();
    await phase('pod-dies', 'Failed');
    await gone('pod-dies', second);
  });

  it('says what holds it up, and goes on when that is out of the way', async () => {
    writeFileSync(obstacle, '');
    await handOver('held-up');
    await until('the condition', () => condition('held-up', 'Synchronized')?.status === 'False');
    expect(condition('held-up', 'Synchronized')).toMatchObject({
      reason: 'VL_STEP_FAILED',
      message: 'step test/domain/mark of plugin "test" failed: an obstacle is in the way',
    });
    await until('the event', () => events('held-up').some(([reason]) => reason === 'SyncFailed'));
    rmSync(obstacle);
    await phase('held-up', 'Running');
    expect(condition('held-up', 'Synchronized')).toBeUndefined();
  });
});

describe('an agent that comes back', () => {
  it('adopts its guests, and ends them as its own', async () => {
    const pod = await handOver('adopted');
    await phase('adopted', 'Running');
    const qemu = await qemuOf(pod);
    await agent.stop();
    expect(await qemuOf(pod)).toBe(qemu);
    agent = await start();
    await until('the guest to be known', async () => (await call('PUT', 'adopted', 'pause')).status === 202);
    await until('the condition', () => condition('adopted', 'Paused') !== undefined);
    expect(await qemuOf(pod)).toBe(qemu);
    expect(events('adopted').filter(([reason]) => reason === 'Started')).toHaveLength(1);
    deleteVmi('adopted');
    await phase('adopted', 'Succeeded');
    await gone('adopted', pod);
  });

  it('tells how a guest ended while nobody watched', async () => {
    const pod = await handOver('unwatched');
    await phase('unwatched', 'Running');
    await agent.stop();
    process.kill(await qemuOf(pod), 'SIGKILL');
    agent = await start();
    await phase('unwatched', 'Failed');
    await gone('unwatched', pod);
  });

  it('cleans up after VMIs that went away meanwhile, with and without their pods', async () => {
    const [alive, dead] = [await handOver('orphan-alive'), await handOver('orphan-dead')];
    await phase('orphan-alive', 'Running');
    await phase('orphan-dead', 'Running');
    await agent.stop();
    await dead.kill();
    for (const name of ['orphan-alive', 'orphan-dead'])
      for (const path of [vmiPath(name), podPath(name)]) server.remove(path);
    agent = await start();
    await gone('orphan-alive', alive);
    await gone('orphan-dead', dead);
  });

  it('does what comes after a start and before an end once, and again what failed', async () => {
    writeFileSync(join(dir, 'obstacle-started'), '');
    const pod = await handOver('later');
    await until(
      'the complaint',
      () => condition('later', 'Synchronized')?.message?.includes('started is in the way') ?? false,
    );
    // The guest runs all the same.
    expect(vmiOf('later')?.status?.phase).toBe('Running');
    await agent.stop();
    rmSync(join(dir, 'obstacle-started'));
    agent = await start();
    await until('the step', () => existsSync(join(dir, 'notes-later')));
    await until('the complaint to go', () => !condition('later', 'Synchronized'));
    await agent.stop();
    agent = await start();
    deleteVmi('later');
    await phase('later', 'Succeeded');
    await gone('later', pod);
    expect(notes('later')).toEqual(['started Running', 'stopping Running']);
  });

  it('ends in its grace period whatever a step before the end does', async () => {
    writeFileSync(join(dir, 'obstacle-stopping'), '');
    const pod = await handOver('held', { terminationGracePeriodSeconds: 2 });
    await phase('held', 'Running');
    deleteVmi('held');
    await until(
      'the complaint',
      () => condition('held', 'Synchronized')?.message?.includes('stopping is in the way') ?? false,
    );
    expect(vmiOf('held')?.status?.phase).toBe('Running');
    await until('the end', () => ['Succeeded', 'Failed'].includes(vmiOf('held')?.status?.phase ?? ''));
    await gone('held', pod);
    expect(notes('held')).toEqual(['started Running']);
  });

  it('was killed at any moment of a start, a life or an end: all converges, and no guest stops', async () => {
    await agent.stop();
    const argument = JSON.stringify({ ...options(), kubeconfig: server.kubeconfig(), dir } satisfies TestAgentOptions);
    const script = new URL('./testing-agent.ts', import.meta.url).pathname;
    let victim: ChildProcess | undefined;
    const launch = () =>
      (victim = spawn(process.execPath, [script, argument], { stdio: ['ignore', 'inherit', 'inherit'] }));
    const kill = async () => {
      // An agent that ended by itself is a bug of its own.
      expect([victim?.exitCode, victim?.signalCode]).toEqual([null, null]);
      const end = victim && new Promise((resolve) => victim?.once('exit', resolve));
      victim?.kill('SIGKILL');
      await end;
    };
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    try {
      for (const [index, ms] of [0, 90, 200, 400].entries()) {
        const name = `killed-${index}`;
        const pod = await handOver(name);
        launch();
        // The moment that the agent is at it: its journal is there, or the VMI goes on without one.
        await until('the agent to begin', () => existsSync(join(dir, `mark-${name}`)));
        await pause(ms);
        await kill();
        launch();
        await phase(name, 'Running');
        const qemu = await qemuOf(pod);
        expect(qemu).toBeGreaterThan(0);
        await kill();
        launch();
        deleteVmi(name);
        await pause(ms);
        await kill();
        // Whether it was still running or had been told to end: it was not killed by this.
        expect(events(name).filter(([reason]) => reason === 'Started').length).toBeLessThanOrEqual(1);
        launch();
        await phase(name, 'Succeeded');
        expect(vmiOf(name)?.metadata.finalizers).toEqual([]);
        await gone(name, pod);
        // Done at least once each, and in order: twice where it was cut off between the doing and the writing down.
        expect(new Set(notes(name).map((line) => line.split(' ')[0]))).toEqual(new Set(['started', 'stopping']));
        expect(notes(name).at(-1)).toMatch(/^stopping/);
        await kill();
      }
    } finally {
      victim?.kill('SIGKILL');
    }
    agent = await start();
  }, 120_000);
});

describe('the server', () => {
  it('is announced on the node', async () => {
    const path = `/api/v1/nodes/${NODE}`;
    server.put(path, { apiVersion: 'v1', kind: 'Node' });
    await until('the annotation', () => {
      const annotations = server.objects.get(path)?.metadata.annotations;
      return annotations?.['virtloom.io/agent-port'] === String(agent.port);
    });
  });

  it('speaks only with who has a certificate of its authority', async () => {
    await expect(call('PUT', 'x', 'pause', { ca: server.authority.cert })).rejects.toThrow();
    await expect(call('PUT', 'x', 'pause', { ...tls(), cert: undefined, key: undefined })).rejects.toThrow();
  });

  it('answers in Kubernetes terms where there is nothing to do', async () => {
    const missing = await call('PUT', 'missing', 'pause');
    expect(missing.status).toBe(404);
    expect(JSON.parse(missing.body)).toMatchObject({
      kind: 'Status',
      status: 'Failure',
      reason: 'NotFound',
      code: 404,
    });
    expect((await call('GET', 'missing', 'dance')).status).toBe(404);
    const refused = stream('missing', 'console');
    const body = await new Promise<string>((resolve) => {
      refused.on('error', () => undefined);
      refused.once('unexpected-response', (_request, response) =>
        response.on('data', (chunk) => resolve(String(chunk))),
      );
    });
    expect(JSON.parse(body)).toMatchObject({ kind: 'Status', reason: 'NotFound', code: 404 });
  });

  it('refuses what the guest cannot do', async () => {
    await handOver('no-agent');
    await phase('no-agent', 'Running');
    const info = await call('GET', 'no-agent', 'guestosinfo');
    expect(info).toMatchObject({ status: 409, body: expect.stringContaining('does not have guest agent connected') });
    expect((await call('PUT', 'no-agent', 'unpause')).status).toBe(409);
    expect((await call('PUT', 'no-agent', 'reset')).status).toBe(202);
  });
});
