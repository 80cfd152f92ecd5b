import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { KubeClient, KubeError, isConflict, isNotFound } from './client.ts';
import { CONFIGMAPS, NODES, PODS } from './objects.ts';
import type { KubeObject } from './objects.ts';
import { TestApiServer, eventually, fail } from './testing/api-server.ts';

const PATH = '/api/v1/namespaces/default/configmaps';
const server = new TestApiServer();
let client: KubeClient;
beforeAll(async () => {
  await server.start();
  client = server.client();
});
afterEach(() => {
  server.intercept = undefined;
  server.objects.clear();
});
afterAll(async () => {
  client.close();
  await server.stop();
});

const configMap = (name: string): KubeObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });

describe('KubeClient', () => {
  it('creates, reads, lists, patches, replaces and deletes', async () => {
    const made = await client.create(CONFIGMAPS, 'default', configMap('a'));
    expect(made.metadata.uid).toBeTruthy();
    expect(await client.get(CONFIGMAPS, 'default', 'a')).toEqual(made);
    const patched = await client.patch(CONFIGMAPS, 'default', 'a', { data: { x: '1' } });
    expect(patched['data']).toEqual({ x: '1' });
    await client.replace(CONFIGMAPS, 'default', 'a', { ...patched, data: { x: '2' } });
    const list = await client.list(CONFIGMAPS, undefined);
    expect(list.items.map((item) => item['data'])).toEqual([{ x: '2' }]);
    expect(list.items[0]?.kind).toBe('ConfigMap');
    expect(Number(list.resourceVersion)).toBeGreaterThan(100);
    await client.delete(CONFIGMAPS, 'default', 'a');
    await expect(client.get(CONFIGMAPS, 'default', 'a')).rejects.toSatisfy(isNotFound);
  });

  it('gives Kubernetes reason, code and causes of a refusal', async () => {
    server.put(`${PATH}/a`, configMap('a'));
    const stale = { ...configMap('a'), metadata: { name: 'a', resourceVersion: '1' } };
    await expect(client.replace(CONFIGMAPS, 'default', 'a', stale)).rejects.toSatisfy(isConflict);
    const causes = [{ field: 'spec.x', reason: 'FieldValueInvalid', message: 'no' }];
    server.intercept = (_, response) => {
      fail(response, 422, 'Invalid', 'spec.x: no', { name: 'a', causes });
      return true;
    };
    const error = await client.create(CONFIGMAPS, 'default', configMap('a')).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(KubeError);
    expect(error).toMatchObject({
      code: 422,
      reason: 'Invalid',
      message: 'spec.x: no',
      details: { name: 'a', causes },
    });
  });

  it('understands an error page that is no Status', async () => {
    server.intercept = (_, response) => {
      response.writeHead(503);
      response.end('upstream is down');
      return true;
    };
    await expect(client.get(NODES, undefined, 'n')).rejects.toMatchObject({
      code: 503,
      reason: 'ServiceUnavailable',
      message: 'GET /api/v1/nodes/n: 503 upstream is down',
    });
  });

  it('sends a request again that the server put off', async () => {
    let refusals = 0;
    server.put(`${PATH}/a`, configMap('a'));
    server.intercept = (_, response) => {
      if (refusals++ > 1) return false;
      response.setHeader('retry-after', '0');
      fail(response, 429, 'TooManyRequests', 'later');
      return true;
    };
    await client.get(CONFIGMAPS, 'default', 'a');
    expect(refusals).toBe(3);
  });

  it('times out, aborts, and names what it asked for', async () => {
    server.intercept = () => true;
    await expect(client.get(PODS, 'x', 'p', { timeoutMs: 30 })).rejects.toMatchObject({
      code: 0,
      reason: 'Timeout',
      message: 'GET /api/v1/namespaces/x/pods/p: no answer in 30 ms',
    });
    const abort = new AbortController();
    const pending = client.get(PODS, 'x', 'p', { signal: abort.signal });
    await eventually(() => server.requests.filter((line) => line.endsWith('/pods/p')).length >= 2, 'request arrived');
    abort.abort();
    await expect(pending).rejects.toMatchObject({ name: 'AbortError' });
    await expect(client.get(PODS, 'x', 'p', { signal: abort.signal })).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('tells of a connection cut in mid-answer', async () => {
    server.intercept = (_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"half"');
      setImmediate(() => response.destroy());
      return true;
    };
    await expect(client.get(PODS, 'x', 'p')).rejects.toMatchObject({ code: 0, reason: 'Unreachable' });
  });

  it('reuses its connections, and a GET survives one that the server has just closed', async () => {
    server.put(`${PATH}/a`, configMap('a'));
    await client.get(CONFIGMAPS, 'default', 'a');
    const before = server.connections;
    for (let i = 0; i < 50; i++) await client.get(CONFIGMAPS, 'default', 'a');
    expect(server.connections).toBe(before);
    let cuts = 0;
    server.intercept = (request) => {
      if (cuts++ > 0) return false;
      request.socket.destroy();
      return true;
    };
    await client.get(CONFIGMAPS, 'default', 'a');
    expect(cuts).toBe(2);
    await Promise.all(Array.from({ length: 100 }, () => client.get(CONFIGMAPS, 'default', 'a')));
    expect(server.sockets.size).toBeLessThanOrEqual(8);
  });

  it('escapes names and refuses those that would ask for something else', async () => {
    await expect(client.get(CONFIGMAPS, 'default', '../../nodes?x=')).rejects.toSatisfy(isNotFound);
    expect(server.requests.at(-1)).toBe('GET /api/v1/namespaces/default/configmaps/..%2F..%2Fnodes%3Fx%3D');
    await expect(client.get(CONFIGMAPS, 'default', '')).rejects.toThrow('ConfigMap: empty name');
    await expect(client.get(CONFIGMAPS, undefined, 'a')).rejects.toThrow('ConfigMap a: give its namespace');
  });

  it('counts requests for those who want to know', async () => {
    const seen: string[] = [];
    client.onRequest = (verb, resource, status) => seen.push(`${verb} ${resource} ${status}`);
    await client.create(CONFIGMAPS, 'default', configMap('a'));
    await client.patch(CONFIGMAPS, 'default', 'a', {}, { subresource: 'status' });
    await client.get(CONFIGMAPS, 'default', 'b').catch(() => undefined);
    client.onRequest = undefined;
    expect(seen).toEqual(['create configmaps 201', 'patch configmaps/status 200', 'get configmaps 404']);
  });

  it('believes only the authority of the kubeconfig', async () => {
    const other = await new TestApiServer().start();
    const port = other.port;
    const wrong = KubeClient.fromKubeconfig(server.kubeconfig().replace(String(server.port), String(port)));
    await expect(wrong.get(NODES, undefined, 'n')).rejects.toMatchObject({ code: 0, reason: 'Unreachable' });
    await other.stop();
  });
});

describe('kubeconfig', () => {
  const bad = (text: string) => () => KubeClient.fromKubeconfig(`${text}\n`);
  it('says what is missing', () => {
    expect(bad('')).toThrow('kubeconfig: not a kubeconfig');
    expect(bad('current-context: x')).toThrow('current-context "x" is not among contexts');
    expect(bad(server.kubeconfig().replace('https:', 'http:'))).toThrow('only https:// is spoken');
    expect(() => KubeClient.fromKubeconfig('/nonexistent')).toThrow('ENOENT');
  });
  it('takes credentials from an exec plugin', async () => {
    const credential = JSON.stringify({ status: { token: 'test-token' } });
    const exec = { command: process.execPath, args: ['-e', `console.log(${JSON.stringify(credential)})`] };
    const text = server.kubeconfig().replace('"token": "test-token"', `"exec": ${JSON.stringify(exec)}`);
    const withPlugin = KubeClient.fromKubeconfig(text);
    expect((await withPlugin.list(PODS, undefined)).items).toEqual([]);
    withPlugin.close();
  });
});
