// Whatever happens to the connection, the cache ends up as the server is, and the events told the same story.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { KubeClient } from './client.ts';
import { Informer } from './informer.ts';
import { PODS } from './objects.ts';
import type { KubeObject } from './objects.ts';
import { TestApiServer, eventually, fail } from './testing/api-server.ts';

const server = new TestApiServer();
let client: KubeClient;
beforeAll(async () => {
  await server.start();
  client = server.client();
});
afterAll(async () => {
  client.close();
  await server.stop();
});

const NAMES = ['a', 'b', 'c', 'd', 'e'];
type Change = { put: string; value: number } | { remove: string };
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ put: fc.constantFrom(...NAMES), value: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ remove: fc.constantFrom(...NAMES) }) },
);
/** `missed`: changes that the watch does not see and cannot be resumed from. */
type Step = string | Change | { missed: Change[] };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: change },
  { weight: 2, arbitrary: fc.record({ missed: fc.array(change, { maxLength: 4 }) }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom('cut', 'compact', 'bookmark', 'end', 'garbage', 'refuse', 'restart', 'settle'),
  },
);

function apply(one: Change): void {
  const path = (name: string) => `/api/v1/namespaces/x/pods/${name}`;
  if ('put' in one) server.put(path(one.put), { kind: 'Pod', apiVersion: 'v1', spec: { value: one.value } });
  else server.remove(path(one.remove));
}

async function act(one: Step, settled: () => Promise<void>): Promise<void> {
  if (typeof one === 'object') {
    if ('missed' in one) {
      server.cut();
      for (const each of one.missed) apply(each);
      server.compact();
    } else apply(one);
  } else if (one === 'cut') server.cut();
  else if (one === 'compact') server.compact();
  else if (one === 'bookmark') server.bookmark();
  else if (one === 'end') server.endWatches();
  else if (one === 'garbage') server.inject('{"type":"ADD');
  else if (one === 'refuse') refuseOnce();
  else if (one === 'restart') {
    await server.stop();
    await server.start();
  } else await settled();
  await new Promise((resolve) => setImmediate(resolve));
}

function refuseOnce(): void {
  server.intercept = (_, response) => {
    server.intercept = undefined;
    fail(response, 500, 'InternalError', 'not now');
    return true;
  };
}

it('the cache converges and its events replay to the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      server.objects.clear();
      server.compact();
      const informer = new Informer<KubeObject>(client, PODS);
      informer.addIndex('value', (pod) => [String((pod.spec as { value: number }).value)]);
      const replayed = new Map<string, KubeObject>();
      const wrong: string[] = [];
      informer.on(({ type, object, old }) => {
        const name = object.metadata.name ?? '';
        const had = replayed.get(name);
        if ((type === 'added') !== (had === undefined))
          wrong.push(`${type} ${name}, which was ${had ? '' : 'not '}there`);
        if (old !== undefined && old !== had) wrong.push(`${name}: old is not what was there`);
        if (type === 'deleted') replayed.delete(name);
        else replayed.set(name, object);
      });
      informer.start();
      await informer.synced();
      try {
        const wanted = () => [...server.objects.values()].map(versionOf).sort();
        const same = (objects: Iterable<KubeObject>) => [...objects].map(versionOf).sort().join() === wanted().join();
        const settled = () => eventually(() => same(informer.list()), 'the cache is as the server is', 4_000);
        for (const one of steps) await act(one, settled);
        await settled();
        expect(same(replayed.values())).toBe(true);
        expect(wrong).toEqual([]);
        const indexed = Array.from({ length: 10 }, (_, value) => informer.byIndex('value', String(value))).flat();
        expect(same(indexed)).toBe(true);
      } finally {
        server.intercept = undefined;
        await informer.stop();
      }
    }),
    { numRuns: 25, endOnFailure: true },
  );
});

function versionOf(object: KubeObject): string {
  return `${object.metadata.name ?? ''}@${object.metadata.resourceVersion ?? ''}`;
}
