// Admission webhooks, aggregated API servers and kubelets: real HTTPS servers that the API server calls.
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { asObject, at, type JsonObject } from './json.ts';
import { eventually, http, MACHINE_CRD, startTestServer, type TestServer } from './testing/server.ts';
import { parse } from 'yaml';

let test: TestServer;
let backend: Server;
let port = 0;
/** What the webhook answers, per path. */
const answers = new Map<string, (request: JsonObject) => JsonObject>();
const seen: { url: string; headers: IncomingMessage['headers']; clientName: string }[] = [];
const machines = '/apis/example.io/v1/namespaces/default/machines';

function machine(name: string, spec: JsonObject = {}): JsonObject {
  return { apiVersion: 'example.io/v1', kind: 'Machine', metadata: { name }, spec };
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const url = request.url ?? '';
  const answer = answers.get(url);
  response.setHeader('content-type', url.startsWith('/containerLogs') ? 'text/plain' : 'application/json');
  if (answer === undefined) {
    const socket = request.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } };
    seen.push({ url, headers: request.headers, clientName: socket.getPeerCertificate().subject?.CN ?? '' });
    if (url.startsWith('/containerLogs')) response.end('line 1\nline 2\n');
    else if (url === '/apis/sub.example.io/v1') {
      const resources = [{ name: 'things', singularName: 'thing', namespaced: true, kind: 'Thing', verbs: ['get'] }];
      response.end(
        JSON.stringify({ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'sub.example.io/v1', resources }),
      );
    } else response.end(JSON.stringify({ kind: 'Thing', path: url }));
    return;
  }
  const { request: review } = JSON.parse(Buffer.concat(chunks).toString()) as { request: JsonObject };
  const made = { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1' };
  response.end(JSON.stringify({ ...made, response: { uid: review['uid'], ...answer(review) } }));
}

async function configure(kind: string, name: string, path: string, extra: JsonObject = {}): Promise<void> {
  const plural = `${kind.toLowerCase()}webhookconfigurations`;
  const root = `/apis/admissionregistration.k8s.io/v1/${plural}`;
  await test.http('DELETE', `${root}/${name}`);
  const { code } = await test.http('POST', root, {
    ...{ apiVersion: 'admissionregistration.k8s.io/v1', kind: `${kind}WebhookConfiguration`, metadata: { name } },
    webhooks: [
      {
        ...{ name: `${name}.example.io`, sideEffects: 'None', admissionReviewVersions: ['v1'], timeoutSeconds: 2 },
        clientConfig: {
          service: { namespace: 'default', name: 'hook', path },
          caBundle: Buffer.from(test.server.ca).toString('base64'),
        },
        rules: [
          {
            apiGroups: ['example.io'],
            apiVersions: ['v1'],
            resources: ['machines'],
            operations: ['CREATE', 'UPDATE', 'DELETE'],
          },
        ],
        ...extra,
      },
    ],
  });
  expect(code).toBe(201);
}

beforeAll(async () => {
  const here = (): { host: string; port: number } => ({ host: '127.0.0.1', port });
  test = await startTestServer({
    resolveService: (_, name) => (name === 'hook' ? here() : undefined),
    resolveKubelet: () => ({ url: `https://127.0.0.1:${String(port)}`, ca: test.server.ca, ...test.server.frontProxy }),
  });
  const pair = test.server.issueServerCert('hook', ['hook.default.svc', '127.0.0.1']);
  backend = createServer(
    { ...pair, ca: test.server.ca, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      void serve(request, response);
    },
  );
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (protocols) => [...protocols][0] ?? false });
  backend.on('upgrade', (request, socket, head) => {
    seen.push({ url: request.url ?? '', headers: request.headers, clientName: '' });
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.on('message', (data: Buffer) => {
        client.send(`echo ${data.toString()}`);
      });
    });
  });
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  port = (backend.address() as AddressInfo).port;
  const crd = await test.http('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', parse(MACHINE_CRD));
  expect(crd.code).toBe(201);
});
afterAll(async () => {
  await test.close();
  backend.closeAllConnections();
  backend.close();
});

describe('admission webhooks', () => {
  it('mutates, defaults again, and passes warnings on', async () => {
    answers.set('/mutate', (review) => {
      expect(review['operation']).toBe('CREATE');
      expect(at(review, 'object.spec.running')).toBe(false);
      const patch = [
        { op: 'add', path: '/spec/cpu', value: { cores: 4 } },
        { op: 'add', path: '/spec/unheard', value: 1 },
      ];
      return {
        allowed: true,
        patchType: 'JSONPatch',
        patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
        warnings: ['be careful'],
      };
    });
    await configure('Mutating', 'm', '/mutate');
    const made = await test.http('POST', machines, machine('a'));
    expect(made.code).toBe(201);
    expect(made.body['spec']).toEqual({ running: false, cpu: { cores: 4 } });
    expect(made.warnings).toContain('be careful');
    await test.http('DELETE', '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/m');
  });

  it('denies with the message, code and causes of the webhook', async () => {
    const causes = [{ reason: 'FieldValueInvalid', message: 'no', field: 'spec.cpu' }];
    answers.set('/deny', () => ({
      allowed: false,
      status: { code: 422, reason: 'Invalid', message: 'no such machine', details: { causes } },
    }));
    await configure('Validating', 'v', '/deny');
    const refused = await test.http('POST', machines, machine('b'));
    expect(refused.code).toBe(422);
    expect(refused.body['message']).toBe('admission webhook "v.example.io" denied the request: no such machine');
    expect(at(refused.body, 'details.causes')).toEqual(causes);
    expect((await test.http('DELETE', `${machines}/a`)).code).toBe(422);
    expect((await test.http('GET', `${machines}/b`)).code).toBe(404);
  });

  it('asks only those that the selectors name, also in an equivalent version', async () => {
    await configure('Validating', 'v', '/deny', { objectSelector: { matchLabels: { watched: 'yes' } } });
    expect((await test.http('POST', machines, machine('c'))).code).toBe(201);
    const watched = { ...machine('d'), metadata: { name: 'd', labels: { watched: 'yes' } } };
    expect((await test.http('POST', machines, watched)).code).toBe(422);
    const old = '/apis/example.io/v1alpha1/namespaces/default/machines';
    expect((await test.http('POST', old, { ...watched, apiVersion: 'example.io/v1alpha1' })).code).toBe(422);
    await configure('Validating', 'v', '/deny', {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'other' } },
    });
    expect((await test.http('POST', machines, watched)).code).toBe(201);
  });

  it('fails or goes on by policy when the webhook cannot be reached', async () => {
    const broken = { clientConfig: { service: { namespace: 'default', name: 'nobody', path: '/' } } };
    await configure('Validating', 'v', '/', broken);
    const refused = await test.http('POST', machines, machine('e'));
    expect(refused.code).toBe(500);
    expect(refused.body['message']).toContain('failed calling webhook "v.example.io"');
    await configure('Validating', 'v', '/', { ...broken, failurePolicy: 'Ignore' });
    expect((await test.http('POST', machines, machine('e'))).code).toBe(201);
    await test.http('DELETE', '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/v');
  });
});

describe('aggregated API servers', () => {
  it('passes requests and upgrades on, and says who asks', async () => {
    const made = await test.http('POST', '/apis/apiregistration.k8s.io/v1/apiservices', {
      ...{ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: 'v1.sub.example.io' } },
      spec: {
        ...{ group: 'sub.example.io', version: 'v1', groupPriorityMinimum: 1000, versionPriority: 15 },
        service: { namespace: 'default', name: 'hook', port: 443 },
        caBundle: Buffer.from(test.server.ca).toString('base64'),
      },
    });
    expect(made.code).toBe(201);
    expect(at(made.body, 'status.conditions')).toMatchObject([{ type: 'Available', status: 'True' }]);
    const path = '/apis/sub.example.io/v1/namespaces/default/things/x?a=b';
    const forged = { 'x-remote-user': 'mallory', authorization: 'Bearer nothing' };
    const jane = test.server.issueClientCert('jane', ['team']);
    expect((await http(test.server, jane, 'GET', path)).code).toBe(403);
    const { body } = await test.http('GET', path, undefined, forged);
    expect(body).toEqual({ kind: 'Thing', path });
    expect(seen.at(-1)).toMatchObject({
      clientName: 'front-proxy-client',
      headers: { 'x-remote-user': 'admin', 'x-remote-group': 'system:masters, system:authenticated' },
    });
    expect(seen.at(-1)?.headers.authorization).toBeUndefined();
    expect((await test.kubectl(['api-resources'])).stdout).toMatch(/things\s+sub.example.io\/v1\s+true\s+Thing/);

    const admin = test.server.issueClientCert('admin', ['system:masters']);
    const url = `${test.server.url.replace('https', 'wss')}${path}`;
    const client = new WebSocket(url, ['plain.kubevirt.io'], { ca: test.server.ca, ...admin });
    const echoed = await new Promise<string>((resolve, reject) => {
      client.once('error', reject);
      client.once('open', () => {
        client.send('hi');
      });
      client.once('message', (data: Buffer) => {
        resolve(data.toString());
      });
    });
    expect(echoed).toBe('echo hi');
    expect(client.protocol).toBe('plain.kubevirt.io');
    client.close();
  });
});

describe('kubelets', () => {
  it('passes logs and exec on to the node of the pod, and binds and evicts', async () => {
    const pods = '/api/v1/namespaces/default/pods';
    const spec = { containers: [{ name: 'c', image: 'x' }] };
    await test.http('POST', pods, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec });
    expect((await test.http('GET', `${pods}/p/log`)).body['message']).toContain('does not have a host assigned');
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name: 'p' },
      target: { kind: 'Node', name: 'n1' },
    };
    expect(await test.http('POST', `${pods}/p/binding`, binding)).toMatchObject({ code: 201 });
    expect((await test.http('POST', `${pods}/p/binding`, binding)).code).toBe(409);
    const bound = await test.http('GET', `${pods}?fieldSelector=spec.nodeName%3Dn1`);
    expect(bound.body['items']).toHaveLength(1);
    expect(at((bound.body['items'] as JsonObject[])[0], 'status.conditions')).toMatchObject([{ type: 'PodScheduled' }]);

    expect((await test.http('GET', `${pods}/p/log?follow=true&tailLines=2`)).body['text']).toBe('line 1\nline 2\n');
    expect(seen.at(-1)?.url).toBe('/containerLogs/default/p/c?follow=true&tailLines=2');
    const admin = test.server.issueClientCert('admin', ['system:masters']);
    const url = `${test.server.url.replace('https', 'wss')}${pods}/p/exec?command=ls&command=-l&container=c&stdout=true`;
    const client = new WebSocket(url, ['v5.channel.k8s.io'], { ca: test.server.ca, ...admin });
    await new Promise<void>((resolve, reject) => {
      client.once('open', () => {
        resolve();
      });
      client.once('error', reject);
    });
    expect(client.protocol).toBe('v5.channel.k8s.io');
    expect(seen.at(-1)?.url).toBe('/exec/default/p/c?command=ls&command=-l&stdout=true');
    // Left open: stopping the server ends it.
    client.on('error', () => undefined);

    const deleted = await test.http('DELETE', `${pods}/p`);
    expect(asObject(deleted.body['metadata'])['deletionGracePeriodSeconds']).toBe(30);
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } };
    expect((await test.http('POST', `${pods}/p/eviction`, eviction)).code).toBe(201);
    await test.http('DELETE', `${pods}/p?gracePeriodSeconds=0`);
    await eventually(async () => ((await test.http('GET', `${pods}/p`)).code === 404 ? true : undefined));
  });
});
