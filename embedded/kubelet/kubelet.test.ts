// The kubelet with a real API server and scheduler, used by real kubectl.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterReport } from './fixture-cluster.ts';
import { SHELL, TestMachine } from './fixture-machine.ts';
import { ProcessError, run } from './process.ts';

let machine: TestMachine;
let child: ChildProcess;
let exited: Promise<unknown>;

async function ask(order: unknown, kind: ClusterReport['kind']): Promise<ClusterReport> {
  const answer = new Promise<ClusterReport>((resolve) => {
    const listen = (report: ClusterReport) => {
      if (report.kind !== kind) return;
      child.off('message', listen);
      resolve(report);
    };
    child.on('message', listen);
  });
  child.send(order as object);
  return await answer;
}

async function start(): Promise<void> {
  child = fork(path.join(import.meta.dirname, 'fixture-cluster.ts'), {
    execPath: '/usr/bin/nsenter',
    execArgv: [`--net=/run/netns/${machine.netns}`, process.execPath],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  exited = new Promise((resolve) => child.once('exit', resolve));
  const { dir, bridgeName, podCIDR } = machine;
  const files = path.join(dir, 'files');
  const hostImages = { [SHELL]: { files, config: { entrypoint: ['/bin/sh', '-c'] } } };
  await ask({ dir, bridgeName, podCIDR, hostImages }, 'started');
}

async function kubectl(args: string[], stdin = ''): Promise<string> {
  const argv = ['nsenter', `--net=/run/netns/${machine.netns}`, 'kubectl', '--kubeconfig', `${machine.dir}/kubeconfig`];
  const cache = ['--cache-dir', `${machine.dir}/cache`];
  return (await run([...argv, ...cache, ...args], { stdin, timeoutMs: 30_000 })).stdout;
}

const WAIT = 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done';

function manifest(name: string, script: string, more: object = {}, container: object = {}): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 2,
      containers: [{ name: 'main', image: SHELL, imagePullPolicy: 'IfNotPresent', args: [script], ...container }],
      ...more,
    },
  });
}

beforeAll(async () => {
  machine = await TestMachine.create('10.98.0.0/24');
  await start();
});
afterAll(async () => {
  child.kill('SIGKILL');
  await exited;
  await machine.destroy();
});

describe('a node', () => {
  test('is registered and ready', async () => {
    const node = JSON.parse(await kubectl(['get', 'node', 'n1', '-o', 'json'])) as {
      metadata: { labels: Record<string, string> };
      status: { allocatable: Record<string, string> };
    };
    expect(node.metadata.labels).toMatchObject({ 'kubernetes.io/hostname': 'n1', 'kubernetes.io/os': 'linux' });
    expect(node.status.allocatable).toMatchObject({ pods: '110', 'devices.kubevirt.io/tun': '1000' });
    expect(node.status.allocatable).not.toHaveProperty('devices.kubevirt.io/kvm');
    expect(await kubectl(['get', 'nodes'])).toMatch(/n1 +Ready .*v1\.32/);
    expect(await kubectl(['get', 'lease', '-n', 'kube-node-lease', 'n1', '-o', 'name'])).toContain('n1');
  });

  test('a pod from apply to gone, with few requests', async () => {
    const before = (await ask('requests', 'requests')).requests ?? {};
    await kubectl(['apply', '-f', '-'], manifest('one', `echo "hello $HOSTNAME"; ${WAIT}`));
    await kubectl(['wait', '--for=condition=Ready', 'pod/one', '--timeout=10s']);
    expect(await kubectl(['get', 'pod', 'one', '-o', 'wide'])).toMatch(/one +1\/1 +Running +0 .* 10\.98\.0\.\d+ +n1 /);
    await expect.poll(() => kubectl(['logs', 'one'])).toBe('hello one\n');
    await kubectl(['delete', 'pod', 'one']);
    const made = async () =>
      Object.entries((await ask('requests', 'requests')).requests ?? {})
        .filter(([key, count]) => count !== before[key] && !key.includes('events') && !key.includes('leases'))
        .map(([key, count]) => `${count - (before[key] ?? 0)} ${key}`)
        .sort();
    // A request counts when its answer is there, which kubectl may be ahead of.
    await expect.poll(made).toEqual(['1 create/binding pods', '1 delete pods', '1 patch pods/status']);
    await machine.clean();
    const reasons = ['get', 'events', '-o', 'custom-columns=R:.reason', '--no-headers'];
    await expect
      .poll(async () => (await kubectl(reasons)).split('\n').filter(Boolean).sort())
      .toEqual(['Created', 'Killing', 'Pulled', 'Scheduled', 'Started']);
  });

  test('a pod that fits nowhere says why, and starts when it can', async () => {
    await kubectl(['apply', '-f', '-'], manifest('picky', WAIT, { nodeSelector: { disk: 'ssd' } }));
    await expect
      .poll(() => kubectl(['get', 'pod', 'picky', '-o', 'jsonpath={.status.conditions[0].message}']))
      .toBe("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.");
    await kubectl(['label', 'node', 'n1', 'disk=ssd']);
    await kubectl(['wait', '--for=condition=Ready', 'pod/picky', '--timeout=10s']);
    const condition = '{.status.conditions[?(@.type=="PodScheduled")]}';
    const text = await kubectl(['get', 'pod', 'picky', '-o', `jsonpath=${condition}`]);
    expect(JSON.parse(text)).not.toHaveProperty('message');
    await kubectl(['delete', 'pod', 'picky']);
  });

  test('an image that is not to be had: the reason, then the same in events', async () => {
    await kubectl(['apply', '-f', '-'], manifest('noimage', '', {}, { image: '127.0.0.1:61001/none:1' }));
    await expect
      .poll(() => kubectl(['get', 'pod', 'noimage', '--no-headers']), { timeout: 5000 })
      .toMatch(/ErrImagePull|ImagePullBackOff/);
    await kubectl(['delete', 'pod', 'noimage']);
    await machine.clean();
  });
});

describe('logs and exec', () => {
  beforeAll(async () => {
    await kubectl(['apply', '-f', '-'], manifest('speaker', `for i in 1 2 3; do echo line $i; done; ${WAIT}`));
    await kubectl(['wait', '--for=condition=Ready', 'pod/speaker', '--timeout=10s']);
  });
  afterAll(async () => {
    await kubectl(['delete', 'pod', 'speaker', '--now']);
    await machine.clean();
  });

  test('tail, time stamps, bytes, follow to the end', async () => {
    await expect.poll(() => kubectl(['logs', 'speaker'])).toBe('line 1\nline 2\nline 3\n');
    expect(await kubectl(['logs', 'speaker', '--tail=1'])).toBe('line 3\n');
    expect(await kubectl(['logs', 'speaker', '--limit-bytes=6'])).toBe('line 1');
    expect(await kubectl(['logs', 'speaker', '--tail=1', '--timestamps'])).toMatch(/^20\d\d-\S+Z line 3\n$/);
    await kubectl(['apply', '-f', '-'], manifest('ends', 'sleep 0.3; echo last', { restartPolicy: 'Never' }));
    await kubectl(['wait', '--for=condition=PodReadyToStartContainers', 'pod/ends', '--timeout=10s']);
    await expect.poll(() => kubectl(['logs', '-f', 'ends']).catch(() => ''), { timeout: 5000 }).toBe('last\n');
    await kubectl(['delete', 'pod', 'ends']);
  });

  test('a command with its output, errors, input and exit code', async () => {
    expect(await kubectl(['exec', 'speaker', '--', 'hostname'])).toBe('speaker\n');
    expect(
      await kubectl(['exec', '-i', 'speaker', '--', 'sh', '-c', 'read x; echo "got $x"; cat | wc -c'], 'hey\n12345'),
    ).toBe('got hey\n5\n');
    const failure = await kubectl(['exec', 'speaker', '--', 'sh', '-c', 'echo no >&2; exit 42']).catch(
      (e: unknown) => e,
    );
    expect(failure).toBeInstanceOf(ProcessError);
    expect(failure).toMatchObject({ code: 42 });
    expect((failure as ProcessError).stderr).toContain('no\n');
    const big = await kubectl(['exec', 'speaker', '--', 'sh', '-c', 'head -c 3000000 /dev/zero | tr "\\0" x']);
    expect(big).toHaveLength(3_000_000);
  });

  test('a terminal', async () => {
    const text = await run([
      ...[
        'script',
        '-qec',
        `nsenter --net=/run/netns/${machine.netns} kubectl --kubeconfig ${machine.dir}/kubeconfig exec -it speaker -- sh -c 'tty; echo $TERM'`,
      ],
      '/dev/null',
    ]);
    expect(text.stdout).toMatch(/\/dev\/pts\/\d+\r\nxterm\r\n/);
  });

  test('nobody without the right certificate', async () => {
    const port = await kubectl(['get', 'node', 'n1', '-o', 'jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}']);
    const url = `https://127.0.0.1:${port}/containerLogs/default/speaker/main`;
    const get = run(['nsenter', `--net=/run/netns/${machine.netns}`, 'curl', '-sk', url]);
    await expect(get).rejects.toThrow(ProcessError);
  });
});

describe('down', () => {
  test('a stopped platform leaves its pods; down takes everything', async () => {
    await kubectl(['apply', '-f', '-'], manifest('stays', WAIT));
    await kubectl(['wait', '--for=condition=Ready', 'pod/stays', '--timeout=10s']);
    await ask('stop', 'stopped');
    expect((await machine.remains()).filter((line) => line.startsWith('process'))).toHaveLength(1);
    const down = `import { removeEverything } from '${import.meta.dirname}/index.ts'; await removeEverything('${machine.stateDir}');`;
    await run(['nsenter', `--net=/run/netns/${machine.netns}`, process.execPath, '--input-type=module', '-e', down]);
    expect(await machine.remains()).toEqual([]);
    const { stdout } = await run(['ip', '-n', machine.netns, '-o', 'link']);
    expect(stdout).not.toContain(machine.bridgeName);
    const rules = await run(['nsenter', `--net=/run/netns/${machine.netns}`, 'nft', 'list', 'ruleset']);
    expect(rules.stdout).toBe('');
  });
});
