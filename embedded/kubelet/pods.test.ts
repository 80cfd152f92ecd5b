// Pods on a real machine: runc, conmon, namespaces, CNI; no API server.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { podOf, shell, TestMachine } from './fixture-machine.ts';
import { LogLines } from './log-lines.ts';
import type { Pod, PodSpec } from './pod-types.ts';
import { run } from './process.ts';

let machine: TestMachine;

beforeAll(async () => {
  machine = await TestMachine.create();
  await machine.start();
});
afterAll(async () => {
  await machine.destroy();
});

/** Ends at once on SIGTERM. */
const WAIT = 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done';

async function log(pod: Pod, container = 'main', attempt = 0): Promise<string> {
  const file = path.join(machine.stateDir, 'pods', pod.metadata.uid ?? '', 'logs', container, `${attempt}.log`);
  const lines = new LogLines({ timestamps: false, since: undefined, tail: undefined, limitBytes: undefined });
  return lines.take(await readFile(file));
}

function apply(spec: Partial<PodSpec>): Pod {
  const pod = podOf(spec);
  machine.send({ op: 'apply', pod });
  return pod;
}

/** Runs a script to its end in a pod of its own and gives its output. */
async function output(
  script: string,
  spec: Partial<PodSpec> = {},
  more: Parameters<typeof shell>[1] = {},
): Promise<string> {
  const pod = apply({ restartPolicy: 'Never', containers: [shell(script, more)], ...spec });
  await machine.statusWhere(pod, 'ended', (s) => s.phase === 'Succeeded' || s.phase === 'Failed');
  const text = await log(pod);
  await machine.remove(pod);
  return text;
}

describe('life of a pod', () => {
  test('runs, has an address, is reported once, and leaves nothing', async () => {
    const pod = apply({ containers: [shell(`echo up; ${WAIT}`)] });
    const status = await machine.running(pod);
    expect(machine.statuses(pod)).toHaveLength(1);
    expect(status).toMatchObject({ phase: 'Running', hostIP: '10.0.0.1', qosClass: 'BestEffort' });
    expect(status.podIP).toMatch(/^10\.99\.0\.\d+$/);
    expect(status.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'PodReadyToStartContainers=True',
      'Initialized=True',
      'Ready=True',
      'ContainersReady=True',
      'PodScheduled=True',
    ]);
    const [container] = status.containerStatuses ?? [];
    expect(container).toMatchObject({ name: 'main', ready: true, started: true, restartCount: 0 });
    const id = /^runc:\/\/([0-9a-f]{64})$/.exec(container?.containerID ?? '')?.[1] ?? '';
    const { stdout } = await run(['sh', '-c', `grep -l ${id} /proc/[0-9]*/cgroup | head -1 | xargs cat`]);
    expect(stdout).toContain(`pod${pod.metadata.uid ?? ''}/${id}`);
    expect(await log(pod)).toBe('up\n');
    await machine.remove(pod);
    expect(machine.events(pod).map((event) => event.split(':')[0])).toEqual([
      'Pulled',
      'Created',
      'Started',
      'Killing',
    ]);
    expect(await machine.remains()).toEqual([]);
  });

  test('a command that ends is Succeeded or Failed, with its last words', async () => {
    const good = apply({ restartPolicy: 'Never', containers: [shell('echo bye >/dev/termination-log')] });
    const bad = apply({
      restartPolicy: 'Never',
      containers: [shell('echo oops >&2; exit 3', { terminationMessagePolicy: 'FallbackToLogsOnError' })],
    });
    const ended = await machine.statusWhere(good, 'Succeeded', (s) => s.phase === 'Succeeded');
    expect(ended.containerStatuses?.[0]?.state.terminated).toMatchObject({
      exitCode: 0,
      reason: 'Completed',
      message: 'bye\n',
    });
    const failed = await machine.statusWhere(bad, 'Failed', (s) => s.phase === 'Failed');
    expect(failed.containerStatuses?.[0]?.state.terminated).toMatchObject({
      exitCode: 3,
      reason: 'Error',
      message: 'oops\n',
    });
    await machine.remove(good);
    await machine.remove(bad);
    expect(await machine.remains()).toEqual([]);
  });

  test('a crash is followed by a restart at once, then by CrashLoopBackOff', async () => {
    const pod = apply({ containers: [shell('exit 7')] });
    const status = await machine.statusWhere(
      pod,
      'in CrashLoopBackOff',
      (s) => s.containerStatuses?.[0]?.state.waiting?.reason === 'CrashLoopBackOff',
    );
    // What follows must not find it still there, whatever this finds.
    await machine.remove(pod);
    expect(status.containerStatuses?.[0]).toMatchObject({
      // At least: who looks late sees it wait for a further one.
      restartCount: expect.toSatisfy((count: number) => count >= 1 && count <= 3) as number,
      lastState: { terminated: { exitCode: 7 } },
      ready: false,
    });
    expect(status.phase).toBe('Running');
  });

  test('a program that is not there is a StartError', async () => {
    const pod = apply({ restartPolicy: 'Never', containers: [shell('', { command: ['/no/such'] })] });
    const status = await machine.statusWhere(pod, 'Failed', (s) => s.phase === 'Failed');
    expect(status.containerStatuses?.[0]?.state.terminated).toMatchObject({ exitCode: 128, reason: 'StartError' });
    expect(status.containerStatuses?.[0]?.state.terminated?.message).toContain('/no/such');
    await machine.remove(pod);
    expect(await machine.remains()).toEqual([]);
  });

  test('a container that ignores SIGTERM is killed when the grace period is over', async () => {
    const pod = apply({ containers: [shell('trap "" TERM; while :; do sleep 1; done')] });
    await machine.running(pod);
    const begin = Date.now();
    await machine.remove(pod, 1);
    expect(Date.now() - begin).toBeGreaterThan(900);
    expect(await machine.remains()).toEqual([]);
  });

  test('a pod that vanishes from the API is ended', async () => {
    const pod = apply({ containers: [shell(WAIT)] });
    await machine.running(pod);
    machine.send({ op: 'gone', uid: pod.metadata.uid ?? '' });
    await machine.clean();
  });

  test('a pod deleted while it starts leaves nothing', async () => {
    for (const delay of [0, 20, 40, 60, 80]) {
      const pod = apply({ containers: [shell(WAIT)] });
      await new Promise((resolve) => setTimeout(resolve, delay));
      await machine.remove(pod, 1);
      expect(await machine.remains()).toEqual([]);
    }
  });

  test('init containers run in order, a sidecar stays, and ends after the others', async () => {
    const share = { volumeMounts: [{ name: 'share', mountPath: '/share' }] };
    const pod = apply({
      volumes: [{ name: 'share', emptyDir: {} }],
      initContainers: [
        shell('echo first >>/share/log', { name: 'first', ...share }),
        shell(`echo sidecar >>/share/log; ${WAIT}`, { name: 'sidecar', restartPolicy: 'Always', ...share }),
        shell('while ! grep sidecar /share/log; do :; done; echo second >>/share/log', { name: 'second', ...share }),
      ],
      containers: [shell(`echo main >>/share/log; cat /share/log; ${WAIT}`, share)],
    });
    const status = await machine.running(pod);
    expect(status.initContainerStatuses?.map(({ ready }) => ready)).toEqual([true, true, true]);
    await expect.poll(() => log(pod)).toBe('first\nsidecar\nsecond\nmain\n');
    await machine.remove(pod);
    const killed = machine.events(pod).filter((event) => event.startsWith('Killing'));
    expect(killed).toEqual(['Killing: Stopping container main', 'Killing: Stopping container sidecar']);
  });

  test('an init container that fails fails the pod', async () => {
    const pod = apply({
      restartPolicy: 'Never',
      initContainers: [shell('exit 1', { name: 'init' })],
      containers: [shell('true')],
    });
    const status = await machine.statusWhere(pod, 'Failed', (s) => s.phase === 'Failed');
    expect(status.containerStatuses?.[0]?.state).toEqual({ waiting: { reason: 'PodInitializing' } });
    await machine.remove(pod);
  });
});

describe('what a container gets', () => {
  test('user, groups, capabilities, no new privileges, read-only root', async () => {
    const text = await output(
      'id -u; id -g; id -G; grep -E "CapBnd|CapEff|NoNewPrivs" /proc/self/status; touch /x 2>/dev/null || echo readonly',
      { securityContext: { runAsUser: 107, fsGroup: 2000 } },
      {
        securityContext: {
          capabilities: { drop: ['ALL'] },
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
        },
      },
    );
    expect(text.replaceAll('\t', ' ').split('\n').filter(Boolean)).toEqual([
      '107',
      '107',
      '107 109 2000',
      'CapEff: 0000000000000000',
      'CapBnd: 0000000000000000',
      'NoNewPrivs: 1',
      'readonly',
    ]);
  });

  test('environment, hostname and /etc files', async () => {
    machine.send({ op: 'secret', name: 'cred', data: { password: 's3cret' } });
    const text = await output(
      'echo "$A $B $C $IP $LIMIT"; hostname; cat /etc/hosts /etc/resolv.conf; pwd',
      {
        hostname: 'own-name',
        dnsPolicy: 'None',
        dnsConfig: { nameservers: ['192.0.2.53'], searches: ['example.org'] },
        hostAliases: [{ ip: '192.0.2.1', hostnames: ['alias'] }],
      },
      {
        workingDir: '/tmp',
        resources: { limits: { memory: '64Mi', cpu: '500m' } },
        env: [
          { name: 'A', value: 'a' },
          { name: 'B', value: '$(A)b$$' },
          { name: 'C', valueFrom: { secretKeyRef: { name: 'cred', key: 'password' } } },
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'LIMIT', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
        ],
      },
    );
    expect(text).toMatch(/^a ab\$ s3cret 10\.99\.0\.\d+ 64\nown-name\n/);
    expect(text).toMatch(/10\.99\.0\.\d+\town-name\n192\.0\.2\.1\talias\n/);
    expect(text).toContain('nameserver 192.0.2.53\nsearch example.org\n');
    expect(text).toMatch(/\/tmp\n$/);
  });

  test('nothing of the host but what is meant', async () => {
    const text = await output('ls /; ls /home /root /var; ls /usr | head -1; ls /usr/local 2>&1; cat /etc/shadow 2>&1');
    expect(text.split('\n').slice(0, 16)).not.toContain('work');
    expect(text).toContain('/etc/shadow: No such file');
  });

  test('its memory limit', async () => {
    const pod = apply({
      restartPolicy: 'Never',
      containers: [
        shell('x=$(head -c 60m /dev/zero | base64); echo survived', { resources: { limits: { memory: '20Mi' } } }),
      ],
    });
    const status = await machine.statusWhere(pod, 'ended', (s) => s.phase === 'Failed' || s.phase === 'Succeeded');
    expect(status.containerStatuses?.[0]?.state.terminated).toMatchObject({ reason: 'OOMKilled' });
    expect(status.qosClass).toBe('Burstable');
    await machine.remove(pod);
  });

  test('a missing secret keeps it waiting, and starts it when it comes', async () => {
    const pod = apply({
      volumes: [{ name: 'keys', secret: { secretName: 'later', defaultMode: 0o400 } }],
      securityContext: { runAsUser: 107, fsGroup: 107 },
      containers: [
        shell(`cat /keys/id; ls -lL /keys; ${WAIT}`, { volumeMounts: [{ name: 'keys', mountPath: '/keys' }] }),
      ],
    });
    await machine.until(
      () =>
        machine
          .events(pod)
          .find((e) => e === 'FailedMount: MountVolume.SetUp failed for volume "keys" : secret "later" not found'),
      'a FailedMount event',
    );
    machine.send({ op: 'secret', name: 'later', data: { id: 'key\n' } });
    await machine.running(pod);
    await expect.poll(() => log(pod)).toMatch(/^key\n.*\n-r--r----- 1 root qemu 4 /s);
    await machine.remove(pod);
    expect(await machine.remains()).toEqual([]);
  });

  test('volumes of every kind', async () => {
    machine.send({ op: 'secret', name: 'conf', data: { a: 'A', b: 'B' } });
    const text = await output(
      'for f in /conf/sub/x /proj/labels /proj/b; do echo "$(cat $f)"; done; stat -c "%a %g" /empty /mem; stat -f -c %T /mem; cat /host/passwd | head -1; (echo w >/conf/n) 2>/dev/null || echo ro',
      {
        securityContext: { fsGroup: 300 },
        volumes: [
          { name: 'conf', configMap: { name: 'conf', items: [{ key: 'a', path: 'sub/x' }] } },
          {
            name: 'proj',
            projected: {
              sources: [
                { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
                { secret: { name: 'conf', items: [{ key: 'b', path: 'b' }] } },
                { configMap: { name: 'none', optional: true } },
              ],
            },
          },
          { name: 'empty', emptyDir: {} },
          { name: 'mem', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
          { name: 'host', hostPath: { path: '/etc', type: 'Directory' } },
        ],
      },
      {
        volumeMounts: ['conf', 'proj', 'empty', 'mem', 'host'].map((name) => ({
          name,
          mountPath: `/${name}`,
          readOnly: name === 'host',
        })),
      },
    );
    expect(text).toBe('A\napp="test"\nB\n2777 300\n2777 300\ntmpfs\nroot:x:0:0:root:/root:/bin/bash\nro\n');
    expect(await machine.remains()).toEqual([]);
  });
});

describe('probes', () => {
  test('ready when the probe says so; killed and restarted when it is not alive', async () => {
    const pod = apply({
      containers: [
        shell(`sleep 0.5; touch /tmp/ok; ${WAIT}`, {
          readinessProbe: { exec: { command: ['test', '-e', '/tmp/ok'] }, periodSeconds: 1 },
          livenessProbe: {
            exec: { command: ['test', '!', '-e', '/tmp/sick'] },
            periodSeconds: 1,
            failureThreshold: 1,
          },
        }),
      ],
    });
    await machine.running(pod);
    const id = machine.status(pod)?.containerStatuses?.[0]?.containerID?.replace('runc://', '') ?? '';
    await run(['runc', '--root', path.join(machine.stateDir, 'runc'), 'exec', id, 'touch', '/tmp/sick']);
    await machine.statusWhere(pod, 'restarted', (s) => s.containerStatuses?.[0]?.restartCount === 1);
    expect(machine.events(pod)).toContain('Killing: Container main failed liveness probe, will be restarted');
    await machine.running(pod);
    await machine.remove(pod);
  });

  test('TCP and HTTP to the address of the pod', async () => {
    const answer = 'printf "HTTP/1.0 200 OK\\r\\n\\r\\n"';
    const pod = apply({
      containers: [
        shell(`trap "exit 0" TERM; while :; do busybox nc -l -p 8080 -e sh -c '${answer}'; done & ${WAIT}`, {
          ports: [{ name: 'http', containerPort: 8080 }],
          readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 1 },
        }),
      ],
    });
    await machine.running(pod);
    await machine.remove(pod, 1);
  });
});

describe('a kubelet that dies', () => {
  test('its pods run on and are adopted; ends in between are noticed', async () => {
    const stays = apply({ containers: [shell(`date +%s%N; ${WAIT}`)] });
    const ends = apply({
      restartPolicy: 'Never',
      containers: [
        shell('while ! test -e /v/end; do sleep 0.05; done; exit 4', {
          volumeMounts: [{ name: 'v', mountPath: '/v' }],
        }),
      ],
      volumes: [{ name: 'v', emptyDir: {} }],
    });
    const unwanted = apply({ containers: [shell(WAIT)] });
    const before = (await machine.running(stays)).containerStatuses?.[0]?.containerID;
    await machine.running(ends);
    await machine.running(unwanted);
    await machine.crash();
    await run(['touch', path.join(machine.stateDir, 'pods', ends.metadata.uid ?? '', 'volumes/v/end')]);
    const withStatus = (pod: Pod) => ({ ...pod, status: machine.status(pod) ?? {} });
    const [one, two] = [withStatus(stays), withStatus(ends)];
    const writes = machine.statuses(stays).length;
    await machine.start([one, two]);
    const ended = await machine.statusWhere(ends, 'Failed', (s) => s.phase === 'Failed');
    expect(ended.containerStatuses?.[0]?.state.terminated?.exitCode).toBe(4);
    expect(machine.statuses(stays)).toHaveLength(writes);
    expect(machine.status(stays)?.containerStatuses?.[0]?.containerID).toBe(before);
    await machine.remove(two);
    await machine.remove(one);
    await machine.clean();
  });

  test('killed at any moment of a start, it converges and leaves nothing', async () => {
    for (const delay of [0, 20, 40, 60, 90]) {
      const pod = apply({ containers: [shell(WAIT)] });
      await new Promise((resolve) => setTimeout(resolve, delay));
      await machine.crash();
      await machine.start([pod]);
      await machine.running(pod);
      await machine.remove(pod, 1);
      expect(await machine.remains()).toEqual([]);
    }
  }, 60_000);

  test('killed while it ends a pod, it ends it at the next start', async () => {
    for (const delay of [0, 20, 60]) {
      const pod = apply({ containers: [shell(WAIT)] });
      await machine.running(pod);
      machine.send({ op: 'apply', pod: machine.deleted(pod, 2) });
      await new Promise((resolve) => setTimeout(resolve, delay));
      await machine.crash();
      await machine.start([machine.deleted(pod, 2)]);
      await machine.clean();
    }
  }, 60_000);
});
