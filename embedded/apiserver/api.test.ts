// The API as programs use it: lists, watches, deletion, garbage, dry runs, and a restart after kill -9.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { KubeObject } from '../../core/kube/objects.ts';
import { asObject, at, type JsonObject } from './json.ts';
import { eventually, http, MACHINE_CRD, startTestServer, type TestServer } from './testing/server.ts';

let test: TestServer;
let count = 0;
/** The collection of config maps in a namespace of the test's own. */
let maps = '';

beforeAll(async () => {
  test = await startTestServer({ tokens: [{ token: 'secret-token', user: 'robot', groups: ['system:masters'] }] });
  await test.http('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', parse(MACHINE_CRD));
});
afterAll(() => test.close());
beforeEach(async () => {
  count += 1;
  const name = `n${String(count)}`;
  await test.http('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  maps = `/api/v1/namespaces/${name}/configmaps`;
});

async function create(path: string, body: JsonObject, query = ''): Promise<KubeObject> {
  const answer = await test.http('POST', path + query, body);
  expect(answer.code, JSON.stringify(answer.body)).toBe(201);
  return answer.body as unknown as KubeObject;
}

function map(metadata: JsonObject, data: JsonObject = {}): JsonObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
}

function owned(name: string, owner: KubeObject, blockOwnerDeletion = false): JsonObject {
  const reference = {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
  };
  return map({ name, ownerReferences: [{ ...reference, controller: true, blockOwnerDeletion }] });
}

interface Event {
  type: string;
  object: KubeObject & { code?: number };
}

async function watch(path: string): Promise<{ events: Event[]; code: number; stop: () => void }> {
  const admin = test.server.issueClientCert('watcher', ['system:masters']);
  const events: Event[] = [];
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      `${test.server.url}${path}`,
      { ca: test.server.ca, ...admin, agent: false },
      (response) => {
        let rest = '';
        response.on('data', (chunk: Buffer) => {
          const lines = (rest + chunk.toString()).split('\n');
          rest = lines.pop() ?? '';
          events.push(...lines.map((line) => JSON.parse(line) as Event));
        });
        response.on('error', () => undefined);
        resolve({ events, code: response.statusCode ?? 0, stop: () => request.destroy() });
      },
    );
    request.on('error', reject);
    request.end();
  });
}

describe('objects', () => {
  it('get an identity, generated names, and keep what clients may not change', async () => {
    const made = await create(maps, map({ generateName: 'x-', uid: 'mine' }));
    expect(made.metadata.name).toMatch(/^x-[a-z0-9]{5}$/);
    expect(made.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    const path = `${maps}/${made.metadata.name ?? ''}`;
    const changed = await test.http('PUT', path, {
      ...made,
      metadata: { ...made.metadata, creationTimestamp: '2000-01-01T00:00:00Z' },
      data: { a: '1' },
    });
    expect(at(changed.body, 'metadata.creationTimestamp')).toBe(made.metadata.creationTimestamp);
    const stale = await test.http('PUT', path, { ...made, data: { a: '2' } });
    expect([stale.code, stale.body['reason']]).toEqual([409, 'Conflict']);
    const other = { ...made, metadata: { name: made.metadata.name, uid: 'other' } };
    expect((await test.http('PUT', path, other)).body['message']).toContain('Precondition failed: UID');
  });

  it('are not written by dry runs, and not at all when nothing changes', async () => {
    await create(maps, map({ name: 'dry' }), '?dryRun=All');
    expect((await test.http('GET', `${maps}/dry`)).code).toBe(404);
    const made = await create(maps, map({ name: 'a' }, { x: '1' }));
    const same = await test.http(
      'PATCH',
      `${maps}/a`,
      { data: { x: '1' } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(at(same.body, 'metadata.resourceVersion')).toBe(made.metadata.resourceVersion);
  });

  it('answer concurrent patches with all of them', async () => {
    await create(maps, map({ name: 'a' }));
    const headers = { 'content-type': 'application/merge-patch+json' };
    const patches = Array.from({ length: 20 }, (_, index) =>
      test.http('PATCH', `${maps}/a`, { data: { [`k${String(index)}`]: '1' } }, headers),
    );
    expect((await Promise.all(patches)).map(({ code }) => code)).toEqual(Array(20).fill(200));
    const { body } = await test.http('GET', `${maps}/a`);
    expect(Object.keys(asObject(body['data']))).toHaveLength(20);
  });

  it('are refused without good credentials', async () => {
    const none = { cert: '', key: '' };
    const ask = (headers: Record<string, string>): ReturnType<typeof http> =>
      http(test.server, none, 'GET', maps, undefined, headers);
    expect((await ask({})).code).toBe(403);
    expect((await ask({ authorization: 'Bearer wrong' })).code).toBe(401);
    expect((await ask({ authorization: 'Bearer secret-token' })).code).toBe(200);
    expect((await http(test.server, none, 'GET', '/healthz')).code).toBe(200);
  });
});

describe('lists and watches', () => {
  it('list in pages under one revision', async () => {
    for (const name of ['a', 'b', 'c']) await create(maps, map({ name, labels: { keep: String(name !== 'b') } }));
    const first = await test.http('GET', `${maps}?limit=2`);
    expect(at(first.body, 'metadata.remainingItemCount')).toBe(1);
    await create(maps, map({ name: 'd' }));
    const token = String(at(first.body, 'metadata.continue'));
    const second = await test.http('GET', `${maps}?limit=9&continue=${token}`);
    expect((second.body['items'] as KubeObject[]).map((item) => item.metadata.name)).toEqual(['c', 'd']);
    expect(at(second.body, 'metadata.resourceVersion')).toBe(at(first.body, 'metadata.resourceVersion'));
    const kept = await test.http('GET', `${maps}?labelSelector=keep%3Dtrue`);
    expect(kept.body['items']).toHaveLength(2);
    expect((await test.http('GET', `${maps}?fieldSelector=data.x%3D1`)).body['message']).toBe(
      'field label not supported: data.x',
    );
  });

  it('tells changes as a selector sees them, from any revision it remembers', async () => {
    const { body } = await test.http('GET', maps);
    const revision = String(at(body, 'metadata.resourceVersion'));
    await create(maps, map({ name: 'a', labels: { in: 'no' } }));
    const stream = await watch(
      `${maps}?watch=1&labelSelector=in%3Dyes&resourceVersion=${revision}&allowWatchBookmarks=true`,
    );
    const label = (value: string): Promise<unknown> =>
      test.http(
        'PATCH',
        `${maps}/a`,
        { metadata: { labels: { in: value } } },
        { 'content-type': 'application/merge-patch+json' },
      );
    await label('yes');
    await test.http('PATCH', `${maps}/a`, { data: { x: '1' } }, { 'content-type': 'application/merge-patch+json' });
    await label('no');
    await eventually(() => (stream.events.length >= 3 ? true : undefined));
    expect(stream.events.map((event) => event.type)).toEqual(['ADDED', 'MODIFIED', 'DELETED']);
    stream.stop();

    const initial = await watch(
      `${maps}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    );
    await eventually(() => (initial.events.length === 2 ? true : undefined));
    expect(initial.events.map((event) => event.type)).toEqual(['ADDED', 'BOOKMARK']);
    expect(initial.events[1]?.object.metadata.annotations).toEqual({ 'k8s.io/initial-events-end': 'true' });
    initial.stop();
  });
});

describe('deletion', () => {
  it('waits for finalizers, and lets none be added meanwhile', async () => {
    await create(maps, map({ name: 'a', finalizers: ['x.io/keep'] }));
    await test.http('DELETE', `${maps}/a`);
    const { body } = await test.http('GET', `${maps}/a`);
    expect(at(body, 'metadata.deletionTimestamp')).toBeDefined();
    const headers = { 'content-type': 'application/merge-patch+json' };
    const more = await test.http(
      'PATCH',
      `${maps}/a`,
      { metadata: { finalizers: ['x.io/keep', 'x.io/more'] } },
      headers,
    );
    expect(more.code).toBe(422);
    await test.http('PATCH', `${maps}/a`, { metadata: { finalizers: null } }, headers);
    expect((await test.http('GET', `${maps}/a`)).code).toBe(404);
  });

  it('takes dependents along, before or after, or leaves them', async () => {
    const gone = (name: string): Promise<boolean> =>
      eventually(async () => ((await test.http('GET', `${maps}/${name}`)).code === 404 ? true : undefined));
    const a = await create(maps, map({ name: 'a' }));
    const b = await create(maps, owned('b', a));
    await create(maps, owned('c', b));
    await test.http('DELETE', `${maps}/a`);
    await gone('c');

    const d = await create(maps, map({ name: 'd' }));
    await create(maps, {
      ...owned('e', d, true),
      metadata: { ...asObject(owned('e', d, true)['metadata']), finalizers: ['x.io/keep'] },
    });
    await test.http('DELETE', `${maps}/d?propagationPolicy=Foreground`);
    await eventually(async () =>
      at((await test.http('GET', `${maps}/e`)).body, 'metadata.deletionTimestamp') === undefined ? undefined : true,
    );
    // Writes are answered in turn with the collector's: after a few of them it has had its chance to be too early.
    for (const name of ['t1', 't2', 't3']) await create(maps, map({ name }));
    expect(at((await test.http('GET', `${maps}/d`)).body, 'metadata.finalizers')).toEqual(['foregroundDeletion']);
    await test.http(
      'PATCH',
      `${maps}/e`,
      { metadata: { finalizers: null } },
      { 'content-type': 'application/merge-patch+json' },
    );
    await gone('d');

    const f = await create(maps, map({ name: 'f' }));
    await create(maps, owned('g', f));
    await test.http('DELETE', `${maps}/f?propagationPolicy=Orphan`);
    await gone('f');
    expect(at((await test.http('GET', `${maps}/g`)).body, 'metadata.ownerReferences')).toBeUndefined();
    await create(maps, owned('h', f));
    await gone('h');
  });

  it('deletes collections by selector, and keeps to preconditions', async () => {
    for (const name of ['a', 'b']) await create(maps, map({ name, labels: { which: name } }));
    await test.http('DELETE', `${maps}?labelSelector=which%3Da`);
    expect((await test.http('GET', maps)).body['items']).toHaveLength(1);
    const wrong = await test.http('DELETE', `${maps}/b`, {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      preconditions: { uid: 'other' },
    });
    expect(wrong.code).toBe(409);
  });
});

describe('events', () => {
  it('are one collection in two API groups', async () => {
    const namespace = maps.split('/')[4] ?? '';
    const reference = { kind: 'Pod', name: 'p', namespace };
    await create(`/api/v1/namespaces/${namespace}/events`, {
      ...{ apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' }, involvedObject: reference },
      ...{ reason: 'Started', message: 'it runs', type: 'Normal' },
    });
    const seen = await test.http('GET', `/apis/events.k8s.io/v1/namespaces/${namespace}/events/e`);
    expect(seen.body).toMatchObject({ apiVersion: 'events.k8s.io/v1', note: 'it runs', regarding: reference });
    const found = await test.http(
      'GET',
      `/api/v1/namespaces/${namespace}/events?fieldSelector=involvedObject.name%3Dp,reason%3DStarted`,
    );
    expect(found.body['items']).toHaveLength(1);
  });
});

describe('kill -9', () => {
  it('loses nothing that was answered', async () => {
    const dir = join(test.dir, 'killed');
    const script = `
      import { startApiServer } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))};
      import { renameSync, writeFileSync } from 'node:fs';
      const silent = { info() {}, warn() {}, error: console.error };
      const server = await startApiServer({ dataDir: ${JSON.stringify(dir)}, port: 0, log: silent, resolveService: () => undefined, resolveKubelet: () => undefined });
      const { cert, key } = server.issueClientCert('admin', ['system:masters']);
      writeFileSync(${JSON.stringify(`${dir}.new`)}, JSON.stringify({ url: server.url, ca: server.ca, cert, key, pid: process.pid }), { mode: 0o600 });
      renameSync(${JSON.stringify(`${dir}.new`)}, ${JSON.stringify(`${dir}.json`)});`;
    const acknowledged = new Map<string, string>();
    let started = 0;
    for (let round = 0; round < 3; round += 1) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const exited = new Promise((resolve) => child.once('close', resolve));
      const server = await eventually(() => {
        try {
          const found = JSON.parse(readFileSync(`${dir}.json`, 'utf8')) as typeof test.server & {
            cert: string;
            key: string;
            pid: number;
          };
          return found.pid === child.pid ? found : undefined;
        } catch {
          return undefined;
        }
      });
      const { body } = await http(server, server, 'GET', '/api/v1/namespaces/default/configmaps');
      const there = new Map(
        (body['items'] as KubeObject[]).map((item) => [item.metadata.name, item.metadata.resourceVersion]),
      );
      for (const [name, revision] of acknowledged) expect(there.get(name)).toBe(revision);
      if (round > 0) {
        const path = '/api/v1/configmaps?watch=1&resourceVersion=1';
        expect((await http(server, server, 'GET', path)).body).toMatchObject({ type: 'ERROR', object: { code: 410 } });
      }
      let writing = true;
      const writers = Array.from({ length: 4 }, async () => {
        while (writing) {
          started += 1;
          const name = `c${String(started)}`;
          const answer = await http(
            server,
            server,
            'POST',
            '/api/v1/namespaces/default/configmaps',
            map({ name }),
          ).catch(() => undefined);
          if (answer?.code !== 201) return;
          acknowledged.set(name, String(at(answer.body, 'metadata.resourceVersion')));
          if (acknowledged.size >= (round + 1) * 60) {
            writing = false;
            child.kill('SIGKILL');
          }
        }
      });
      await Promise.all(writers);
      await exited;
    }
    expect(acknowledged.size).toBeGreaterThanOrEqual(180);
  });
});
