import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KubeClient } from './client.ts';
import { Controller, TerminalError } from './controller.ts';
import type { ControllerOptions, Request } from './controller.ts';
import { Informer } from './informer.ts';
import { CONFIGMAPS, PODS, controllerOf } from './objects.ts';
import type { KubeObject } from './objects.ts';
import { TestApiServer, eventually } from './testing/api-server.ts';

const server = new TestApiServer();
let client: KubeClient;
let logged: Record<string, unknown>[];
let log: pino.Logger;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  await server.start();
  client = server.client();
});
afterAll(async () => {
  client.close();
  await server.stop();
});
beforeEach(() => {
  server.objects.clear();
  logged = [];
  log = pino({ level: 'debug' }, { write: (line: string) => logged.push(JSON.parse(line) as Record<string, unknown>) });
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function informerOf(resource = PODS): Informer<KubeObject> {
  const informer = new Informer(client, resource);
  stops.push(() => informer.stop());
  return informer;
}
function controllerWith(reconcile: ControllerOptions['reconcile'], more: Partial<ControllerOptions> = {}): Controller {
  const controller = new Controller({ name: 'test', reconcile, log, ...more });
  stops.push(() => controller.stop());
  return controller;
}
const put = (name: string, owner?: string) =>
  server.put(`/api/v1/namespaces/default/pods/${name}`, {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: owner
      ? { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: owner, uid: owner, controller: true }] }
      : {},
  });

describe('Controller', () => {
  it('reconciles each object once it has synced, and each change after', async () => {
    put('a');
    put('b');
    const seen: Request[] = [];
    const informer = informerOf();
    const controller = controllerWith(async (request) => {
      expect(informer.isSynced).toBe(true);
      seen.push(request);
    }).watch(informer);
    await controller.start();
    await eventually(() => seen.length === 2, 'both');
    put('b');
    await eventually(() => seen.length === 3, 'b again');
    expect(seen.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual(['default/a', 'default/b', 'default/b']);
  });

  it('wakes owners by map, the old one too when it changes', async () => {
    const seen: string[] = [];
    const pods = informerOf();
    const controller = controllerWith(async ({ name }) => void seen.push(name))
      .watch(pods, (pod) => {
        const owner = controllerOf(pod);
        return owner === undefined ? [] : [{ namespace: pod.metadata.namespace ?? '', name: owner.name }];
      })
      .watch(informerOf(CONFIGMAPS));
    await controller.start();
    put('p', 'x');
    put('orphan');
    await eventually(() => seen.includes('x'), 'x');
    seen.length = 0;
    put('p', 'y');
    await eventually(() => seen.length === 2, 'both owners');
    expect([...seen].sort()).toEqual(['x', 'y']);
  });

  it('retries a failure by back-off, with the key in the log, and forgets it when all is well', async () => {
    let tries = 0;
    const controller = controllerWith(async () => {
      if (++tries < 4) throw new Error('not yet');
    });
    await controller.start();
    const begin = performance.now();
    controller.enqueue({ namespace: 'ns', name: 'x' });
    await eventually(() => tries === 4, 'four tries');
    expect(performance.now() - begin).toBeGreaterThan(34);
    const failures = logged.filter((line) => line['msg'] === 'reconcile failed; will retry');
    expect(failures.map((line) => [line['key'], line['tries'], line['controller']])).toEqual([
      ['ns/x', 1, 'test'],
      ['ns/x', 2, 'test'],
      ['ns/x', 3, 'test'],
    ]);
  });

  it('does not retry a TerminalError', async () => {
    const seen: string[] = [];
    const controller = controllerWith(
      async ({ name }) => {
        seen.push(name);
        if (name === 'hopeless') throw new TerminalError('never');
        if (seen.length < 4) throw new Error('not yet');
      },
      { workers: 1 },
    );
    await controller.start();
    controller.enqueue({ namespace: '', name: 'hopeless' });
    controller.enqueue({ namespace: '', name: 'later' });
    await eventually(() => seen.length === 4, 'retries of the other');
    expect(seen).toEqual(['hopeless', 'later', 'later', 'later']);
  });

  it('looks again after the time a reconcile asks for', async () => {
    const times: number[] = [];
    const controller = controllerWith(async () => {
      times.push(performance.now());
      if (times.length < 3) return { afterMs: 40, why: 'testing' };
    });
    await controller.start();
    controller.enqueue({ namespace: '', name: 'x' });
    await eventually(() => times.length === 3, 'three looks');
    expect((times[2] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(78);
    expect(logged.some((line) => line['why'] === 'testing')).toBe(true);
  });

  it('works on several keys at once, never on one twice at once', async () => {
    const busy = new Map<string, number>();
    let most = 0;
    let runs = 0;
    const controller = controllerWith(
      async ({ name }) => {
        busy.set(name, (busy.get(name) ?? 0) + 1);
        expect(busy.get(name)).toBe(1);
        most = Math.max(
          most,
          [...busy.values()].reduce((a, b) => a + b),
        );
        await new Promise((resolve) => setTimeout(resolve, 2));
        busy.set(name, 0);
        runs++;
      },
      { workers: 3 },
    );
    await controller.start();
    for (let i = 0; i < 200; i++) {
      controller.enqueue({ namespace: '', name: `k${i % 5}` });
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await eventually(() => [...busy.values()].every((n) => n === 0) && runs >= 5, 'quiet');
    expect(most).toBe(3);
    expect(logged.filter((line) => line['err'] !== undefined)).toEqual([]);
  });

  it('tells of a worker that is stuck, and aborts it on stop', async () => {
    let aborted = false;
    const controller = controllerWith(
      (_, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            aborted = true;
            resolve();
          });
        }),
      { deadlineMs: 20 },
    );
    await controller.start();
    controller.enqueue({ namespace: 'ns', name: 'x' });
    await eventually(
      () => logged.some((line) => line['msg'] === 'reconcile is stuck' && line['key'] === 'ns/x'),
      'a log line',
    );
    await controller.stop();
    expect(aborted).toBe(true);
  });
});
