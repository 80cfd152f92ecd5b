// Pods on a real machine: runc, conmon, namespaces, CNI; no API server.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { podOf, shell, TestMachine } from './fixture-machine.ts';
import { run } from './process.ts';

let machine: TestMachine;

beforeAll(async () => {
  machine = await TestMachine.create();
  await machine.start();
});
afterAll(async () => {
  await machine.destroy();
});

const SLEEP = 'trap "exit 0" TERM; echo up; while :; do sleep 1 & wait $!; done';
const logOf = (uid: string | undefined, container = 'main', attempt = 0) =>
  readFile(path.join(machine.stateDir, 'pods', uid ?? '', 'logs', container, `${attempt}.log`), 'utf8');

describe('one pod', () => {
  test('runs, is reachable, reports once, and leaves nothing', async () => {
    const pod = podOf({ containers: [shell(SLEEP)] });
    machine.send({ op: 'apply', pod });
    const status = await machine.running(pod);
    expect(machine.statuses(pod)).toHaveLength(1);
    expect(status).toMatchObject({ phase: 'Running', hostIP: '10.0.0.1', qosClass: 'BestEffort' });
    expect(status.podIP).toMatch(/^10\.99\.0\.\d+$/);
    expect(status.containerStatuses?.[0]).toMatchObject({ name: 'main', ready: true, started: true, restartCount: 0 });
    expect(status.containerStatuses?.[0]?.containerID).toMatch(/^runc:\/\/[0-9a-f]{64}$/);
    expect(await logOf(pod.metadata.uid)).toMatch(/stdout F up/);
    await machine.remove(pod);
    expect(machine.events(pod).map((event) => event.split(':')[0])).toEqual([
      'Pulled',
      'Created',
      'Started',
      'Killing',
    ]);
    expect(await machine.remains()).toEqual([]);
  });

  test('a command that ends well is Succeeded, and its sandbox is given back', async () => {
    const pod = podOf({ restartPolicy: 'Never', containers: [shell('echo bye >/dev/termination-log; exit 0')] });
    machine.send({ op: 'apply', pod });
    const status = await machine.statusWhere(pod, 'Succeeded', (s) => s.phase === 'Succeeded');
    expect(status.containerStatuses?.[0]?.state.terminated).toMatchObject({
      exitCode: 0,
      reason: 'Completed',
      message: 'bye\n',
    });
    await machine.remove(pod);
    expect(await machine.remains()).toEqual([]);
  });

  test('start latency', async () => {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const pod = podOf({ containers: [shell(SLEEP)] });
      machine.send({ op: 'apply', pod });
      await machine.running(pod);
      const report = machine.reports.find((r) => r.kind === 'status' && r.uid === pod.metadata.uid);
      if (report?.kind === 'status') times.push(Math.round(report.ms));
      await machine.remove(pod);
    }
    console.log('bound to Running+Ready, ms:', times.join(' '));
    await run(['true']);
  });
});
