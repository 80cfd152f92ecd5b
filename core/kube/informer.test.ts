import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KubeClient } from './client.ts';
import { Informer } from './informer.ts';
import type { InformerEvent } from './informer.ts';
import { PODS } from './objects.ts';
import type { KubeObject } from './objects.ts';
import { TestApiServer, eventually, fail } from './testing/api-server.ts';

const at = (name: string, namespace = 'default') => `/api/v1/namespaces/${namespace}/pods/${name}`;
const pod = (node = 'n1'): Partial<KubeObject> => ({ apiVersion: 'v1', kind: 'Pod', spec: { nodeName: node } });
const nodeOf = (object: KubeObject) => [(object.spec as { nodeName: string }).nodeName];

const server = new TestApiServer();
let client: KubeClient;
let informer: Informer<KubeObject>;
let events: string[];

beforeAll(async () => {
  await server.start();
  client = server.client();
});
afterAll(async () => {
  client.close();
  await server.stop();
});
beforeEach(() => {
  server.requests.length = 0;
  server.objects.clear();
  server.compact();
  informer = new Informer(client, PODS);
  events = [];
  informer.on(record);
});
afterEach(async () => {
  server.intercept = undefined;
  await informer.stop();
  await eventually(() => server.watches === 0, 'no watch is left');
});

function record({ type, object, old }: InformerEvent<KubeObject>): void {
  const node = `${old === undefined ? '' : `${nodeOf(old)[0] ?? ''}>`}${nodeOf(object)[0] ?? ''}`;
  events.push(`${type} ${object.metadata.name ?? ''} ${node}`);
}
async function watching(): Promise<void> {
  informer.start();
  await informer.synced();
  await eventually(() => server.watches === 1, 'the watch is open');
}
const lists = () => server.requests.filter((line) => !line.includes('watch=')).length;

describe('Informer', () => {
  it('lists page by page, then follows changes', async () => {
    for (let i = 0; i < 1200; i++) server.put(at(`p${i}`), pod());
    await watching();
    expect(informer.list()).toHaveLength(1200);
    expect(lists()).toBe(3);
    expect(informer.get('default', 'p7')?.metadata.name).toBe('p7');
    events.length = 0;
    server.put(at('p7'), pod('n2'));
    server.put(at('new'), pod());
    server.remove(at('p8'));
    await eventually(() => events.length === 3, 'three events');
    expect(events).toEqual(['updated p7 n1>n2', 'added new n1', 'deleted p8 n1']);
    expect(informer.get('default', 'p8')).toBeUndefined();
    expect(lists()).toBe(3);
  });

  it('keeps indexes, also those added late', async () => {
    informer.addIndex('node', nodeOf);
    server.put(at('a'), pod());
    server.put(at('b'), pod('n2'));
    await watching();
    expect(informer.byIndex('node', 'n1').map((o) => o.metadata.name)).toEqual(['a']);
    server.put(at('a'), pod('n2'));
    await eventually(() => informer.byIndex('node', 'n2').length === 2, 'a moved');
    expect(informer.byIndex('node', 'n1')).toEqual([]);
    server.remove(at('b'));
    await eventually(() => informer.byIndex('node', 'n2').length === 1, 'b is gone');
    informer.addIndex('late', (object) => [object.metadata.name ?? '', 'all']);
    expect(informer.byIndex('late', 'all')).toHaveLength(1);
    expect(() => informer.addIndex('late', nodeOf)).toThrow('already there');
    expect(() => informer.byIndex('nonsense', 'x')).toThrow('no index nonsense');
  });

  it('tells several handlers, a late one too, and one that throws harms nobody', async () => {
    server.put(at('a'), pod());
    informer.on(() => {
      throw new Error('bad handler');
    });
    await watching();
    const late: string[] = [];
    const off = informer.on(({ type, object }) => late.push(`${type} ${object.metadata.name ?? ''}`));
    expect(late).toEqual(['added a']);
    off();
    server.put(at('b'), pod());
    await eventually(() => events.length === 2, 'b is added');
    expect(late).toEqual(['added a']);
  });

  it('hands out objects nobody can change, without managedFields', async () => {
    server.put(at('a'), { ...pod(), metadata: { managedFields: [{ manager: 'x' }], labels: { l: '1' } } });
    await watching();
    const object = informer.get('default', 'a');
    expect(object?.metadata.managedFields).toBeUndefined();
    expect(object?.metadata.labels).toEqual({ l: '1' });
    expect(() => {
      if (object?.metadata.labels) object.metadata.labels['l'] = '2';
    }).toThrow(TypeError);
  });

  it('resumes after a cut from where it was, without listing again', async () => {
    server.put(at('a'), pod());
    await watching();
    server.cut();
    server.put(at('b'), pod());
    await eventually(() => informer.get('default', 'b') !== undefined, 'b seen');
    expect(lists()).toBe(1);
    expect(events).toEqual(['added a n1', 'added b n1']);
  });

  it('goes on from a bookmark, so that a version too old for changes is no reason to list', async () => {
    await watching();
    server.bumpVersion();
    server.bookmark();
    // A change after the bookmark on the same stream: when it is seen, so was the bookmark.
    server.put(at('a'), pod());
    await eventually(() => events.length === 1, 'a seen');
    server.bumpVersion();
    server.compact();
    server.bookmark();
    server.inject('\n');
    const before = server.requests.length;
    server.endWatches();
    await eventually(() => server.requests.length > before && server.watches === 1, 'watching again');
    expect(lists()).toBe(1);
  });

  it('finds what it missed when its version is too old', async () => {
    server.put(at('stays'), pod());
    server.put(at('changes'), pod());
    server.put(at('goes'), pod());
    server.put(at('reborn'), pod());
    await watching();
    events.length = 0;
    server.intercept = (_, response) => {
      fail(response, 500, 'InternalError', 'down for a moment');
      return true;
    };
    server.cut();
    server.put(at('changes'), pod('n2'));
    server.remove(at('goes'));
    server.remove(at('reborn'));
    server.put(at('reborn'), pod('n3'));
    server.put(at('comes'), pod());
    server.compact();
    server.intercept = undefined;
    await eventually(() => informer.get('default', 'comes') !== undefined, 'listed again');
    const wanted = [
      'added comes n1',
      'added reborn n3',
      'deleted goes n1',
      'deleted reborn n1',
      'updated changes n1>n2',
    ];
    expect([...events].sort()).toEqual(wanted);
    expect(lists()).toBe(2);
  });

  it('takes an ERROR event 410 in mid-stream as a reason to list again', async () => {
    await watching();
    server.put(at('a'), pod());
    await eventually(() => events.length === 1, 'a seen');
    server.inject('{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n');
    await eventually(() => lists() === 2 && server.watches === 1, 'listed and watching');
  });

  it('survives garbage, events cut in pieces, and many in one piece', async () => {
    await watching();
    server.inject('this is no json\n');
    await eventually(() => server.requests.filter((line) => line.includes('watch=')).length === 2, 'a second watch');
    await eventually(() => server.watches === 1, 'watching again');
    const object = { ...pod(), metadata: { name: 'ü', namespace: 'default', uid: 'u', resourceVersion: '9999999' } };
    const line = Buffer.from(`${JSON.stringify({ type: 'ADDED', object })}\n`).toString('latin1');
    for (const byte of line) server.inject(Buffer.from(byte, 'latin1') as unknown as string);
    await eventually(() => informer.get('default', 'ü') !== undefined, 'the event in pieces');
    for (let i = 0; i < 300; i++) server.put(at(`m${i}`), pod());
    await eventually(() => informer.list().length === 301, 'all of them');
  });

  it('survives a restart of the API server', async () => {
    server.put(at('a'), pod());
    await watching();
    await server.stop();
    server.put(at('b'), pod());
    server.remove(at('a'));
    const before = server.requests.length;
    await server.start();
    await eventually(() => server.requests.length > before && informer.get('default', 'b') !== undefined, 'b seen');
    await eventually(() => informer.get('default', 'a') === undefined, 'a gone');
    expect(events).toEqual(['added a n1', 'added b n1', 'deleted a n1']);
  });

  it('begins while the API server is still down', async () => {
    await server.stop();
    server.put(at('a'), pod());
    informer.start();
    informer.start();
    await eventually(() => true, 'a moment');
    expect(informer.isSynced).toBe(false);
    await server.start();
    await informer.synced();
    expect(informer.list()).toHaveLength(1);
  });

  it('backs off while the API server refuses', async () => {
    server.intercept = (_, response) => {
      fail(response, 500, 'InternalError', 'no');
      return true;
    };
    informer.start();
    const begin = performance.now();
    await eventually(() => server.requests.length >= 4, 'four tries');
    expect(performance.now() - begin).toBeGreaterThan(50 + 100 + 200 - 5);
  });

  it('stops in the middle of anything', async () => {
    const hanging = new Informer(client, PODS);
    server.intercept = () => true;
    hanging.start();
    await eventually(() => server.requests.length === 1, 'the list is asked for');
    const synced = hanging.synced();
    await hanging.stop();
    await expect(synced).rejects.toThrow('informer of pods was stopped before it had synced');
  });
});
