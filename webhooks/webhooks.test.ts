// The admission server over real TLS: what it answers to reviews, to what is no review, and to plugins that fail.
import { request } from 'node:https';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PluginEntry } from '../core/host.ts';
import type { KubeObject } from '../core/kube/objects.ts';
import { definePlugin, type AdmitTap, type DefaultTap } from '../core/plugin.ts';
import { testHost } from '../core/testing.ts';
import { PLATFORM_GROUP } from '../core/vmi-admission.ts';
import { Authority } from '../embedded/pki/authority.ts';
import type { ReviewResponse } from './review.ts';
import { startWebhooks } from './server.ts';

const authority = Authority.create('test');
const log = pino({ level: 'silent' });
const stops: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const stop of stops) await stop();
});

async function serve(...plugins: PluginEntry[]): Promise<number> {
  const tls = authority.issueServer('webhooks', ['127.0.0.1']);
  const server = await startWebhooks({ host: testHost(plugins), tls, port: 0, address: '127.0.0.1', log });
  stops.push(() => server.stop());
  return server.port;
}

interface Answer {
  readonly code: number;
  readonly text: string;
}

function post(
  port: number,
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method: 'POST',
        ca: authority.cert,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.once('end', () => resolve({ code: response.statusCode ?? 0, text }));
      },
    );
    sent.once('error', reject);
    sent.end(body);
  });
}

async function review(port: number, path: string, more: object): Promise<ReviewResponse> {
  const body = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u-1', ...more } };
  const { code, text } = await post(port, path, JSON.stringify(body));
  expect(code, text).toBe(200);
  const { response, kind } = JSON.parse(text) as { response: ReviewResponse; kind: string };
  expect(kind).toBe('AdmissionReview');
  expect(response.uid).toBe('u-1');
  return response;
}

const vmi = (more: Partial<KubeObject> = {}): KubeObject => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'a', namespace: 'default', finalizers: ['foregroundDeleteVirtualMachine'] },
  spec: { domain: {} },
  ...more,
});
const create = (object: unknown) => ({ operation: 'CREATE', namespace: 'default', object, userInfo: { groups: [] } });
const patchOf = (response: ReviewResponse): { op: string; path: string; value?: unknown }[] =>
  JSON.parse(Buffer.from(response.patch ?? 'W10=', 'base64').toString()) as { op: string; path: string }[];

describe('a review', () => {
  let port = 0;
  beforeAll(async () => {
    port = await serve();
  });

  it('of a new VMI is answered with defaults as a JSON patch', async () => {
    const response = await review(port, '/mutate', create(vmi({ metadata: { name: 'a' } })));
    expect(response).toMatchObject({ allowed: true, patchType: 'JSONPatch' });
    const paths = patchOf(response).map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(['/status', '/metadata/finalizers']));
  });

  it('of a good VMI passes, of a bad one is denied with every cause', async () => {
    expect(await review(port, '/validate', create(vmi()))).toEqual({ uid: 'u-1', allowed: true });
    const response = await review(port, '/validate', create(vmi({ spec: { domain: { x: 1 }, y: 2 } })));
    expect(response).toMatchObject({ allowed: false, status: { code: 422, reason: 'Invalid' } });
    expect(response.status?.details?.causes.map(({ field }) => field).sort()).toEqual(['spec.domain.x', 'spec.y']);
  });

  it.each([
    ['CREATE of a kind of nobody', create({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } })],
    ['DELETE', { operation: 'DELETE', object: null, oldObject: vmi({ spec: { nonsense: 1 } }) }],
    ['DELETE of what nobody has seen', { operation: 'DELETE', object: null, oldObject: null }],
    ['CONNECT', { operation: 'CONNECT', object: vmi({ spec: { nonsense: 1 } }) }],
    [
      'UPDATE of what is on its way out',
      {
        operation: 'UPDATE',
        object: vmi({ metadata: { name: 'a', deletionTimestamp: '2026-01-01T00:00:00Z' }, spec: { nonsense: 1 } }),
        oldObject: vmi(),
      },
    ],
    [
      'UPDATE by the platform itself',
      {
        operation: 'UPDATE',
        object: vmi({ status: { phase: 'Running' } }),
        oldObject: vmi(),
        userInfo: { username: 'system:serviceaccount:virtloom:agent', groups: [PLATFORM_GROUP] },
      },
    ],
  ])('of %s passes, and changes nothing', async (_, request) => {
    expect(await review(port, '/validate', request)).toMatchObject({ allowed: true });
    const mutated = await review(port, '/mutate', request);
    expect(mutated.allowed).toBe(true);
    expect(patchOf(mutated)).toEqual([]);
  });

  it('puts a status back that is not the platform’s', async () => {
    const request = {
      operation: 'UPDATE',
      object: vmi({ status: { phase: 'Running' } }),
      oldObject: vmi({ status: { phase: 'Pending' } }),
    };
    expect(patchOf(await review(port, '/mutate', request))).toEqual([
      { op: 'replace', path: '/status/phase', value: 'Pending' },
    ]);
  });

  it.each([
    ['null', null],
    ['text', 'x'],
    ['lists', []],
    ['null within', { domain: null, volumes: null }],
    ['lists of null', { domain: { devices: { disks: [null], interfaces: [1] } }, volumes: ['a'], networks: [[]] }],
    [
      'names of what every object has',
      JSON.parse('{"domain": {"__proto__": {"a": 1}, "constructor": {"prototype": 1}}}'),
    ],
  ])('of a spec of %s is judged and breaks nothing', async (_, spec) => {
    const request = create(vmi({ spec: spec as unknown }));
    const response = await review(port, '/validate', request);
    expect(response).toMatchObject({ allowed: false, status: { code: 422 } });
    expect((await review(port, '/mutate', request)).allowed).toBe(true);
  });
});

describe('what is no review', () => {
  let port = 0;
  beforeAll(async () => {
    port = await serve();
  });

  it.each([
    ['no JSON', '{', 400],
    ['nothing', '', 400],
    ['no object', '[]', 400],
    ['no request', '{}', 400],
    ['a request without an id', '{"request": {"operation": "CREATE"}}', 400],
    ['an unknown operation', '{"request": {"uid": "a", "operation": "BREAK"}}', 400],
    ['an object of text', '{"request": {"uid": "a", "operation": "CREATE", "object": "x"}}', 400],
    ['an object without metadata', '{"request": {"uid": "a", "operation": "CREATE", "object": {"kind": "x"}}}', 400],
    ['an old object of text', '{"request": {"uid": "a", "operation": "DELETE", "oldObject": "x"}}', 400],
    ['an old object without metadata', '{"request": {"uid": "a", "operation": "DELETE", "oldObject": {}}}', 400],
    ['another version', '{"apiVersion": "admission.k8s.io/v9", "request": {"uid": "a", "operation": "DELETE"}}', 400],
  ])('is refused: %s', async (_, body, code) => {
    for (const path of ['/validate', '/mutate']) expect((await post(port, path, body)).code).toBe(code);
  });

  it('is refused: another media type, another path, a body beyond the limit', async () => {
    expect((await post(port, '/validate', '{}', { 'content-type': 'text/xml' })).code).toBe(415);
    expect((await post(port, '/nowhere', '{}')).code).toBe(404);
    const huge = await post(port, '/validate', Buffer.alloc((8 << 20) + 1, 0x20)).catch((error: unknown) =>
      String(error),
    );
    // The server may hang up before it has read what it will not take.
    expect(typeof huge === 'string' || huge.code === 413).toBe(true);
    expect(await review(port, '/validate', create(vmi()))).toMatchObject({ allowed: true });
  });

  it('is refused: plain HTTP, and a client that trusts another authority', async () => {
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow();
    const other = Authority.create('other').cert;
    const refused = new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/healthz', ca: other }, resolve).once('error', reject).end();
    });
    await expect(refused).rejects.toThrow(/certificate/);
  });
});

describe('a plugin that fails', () => {
  const admitting = (admit: AdmitTap) =>
    definePlugin({ name: 'bad', version: '1.0.0', core: '^1.0.0', summary: 'fails', setup: () => ({ admit }) });
  const defaulting = (defaultPreset: DefaultTap) =>
    definePlugin({ name: 'bad', version: '1.0.0', core: '^1.0.0', summary: 'fails', setup: () => ({ defaultPreset }) });
  const throws = (): never => {
    throw new Error('no such thing');
  };
  const hangs = (): Promise<never> => new Promise(() => undefined);
  const rejects = (): Promise<never> => Promise.reject(new Error('no such thing'));
  const nonsense = (): never => 17 as never;
  const malformed = (): never => ({ causes: 5, patches: 5 }) as never;

  it.each([
    ['throws', throws, 'VL_TAP_FAILED', 'of plugin "bad" failed: no such thing'],
    ['rejects', rejects, 'VL_TAP_FAILED', 'of plugin "bad" failed: no such thing'],
    ['hangs', hangs, 'VL_TAP_TIMEOUT', 'of plugin "bad" gave no answer in 50 ms'],
    ['answers what is no verdict', malformed, 'VL_TAP_ANSWER', 'of plugin "bad" gave a malformed answer'],
    ['answers a number', nonsense, 'VL_TAP_ANSWER', 'of plugin "bad" gave a malformed answer, which is no object'],
  ] as const)(
    'and %s refuses the object, named, or is passed over, as its policy says',
    async (_, tap, reason, message) => {
      for (const [path, plugin] of [
        ['/validate', admitting(tap)],
        ['/mutate', defaulting(tap)],
      ] as const) {
        const strict = await serve({ plugin, timeoutMs: 50 });
        const response = await review(strict, path, create(vmi()));
        expect(response).toMatchObject({ allowed: false, status: { code: 500, reason } });
        expect(response.status?.message).toContain(message);
        const lax = await serve({ plugin, timeoutMs: 50, failurePolicy: 'Ignore' });
        expect(await review(lax, path, create(vmi()))).toMatchObject({ allowed: true });
      }
    },
  );
});
