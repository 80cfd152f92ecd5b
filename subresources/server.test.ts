import { createServer, request as httpsRequest, Agent } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import type { KubeClient, Verb, VerbContext } from '../core/index.ts';
import { KubeError } from '../core/index.ts';
import { TestApiServer, eventually } from '../core/kube/testing/api-server.ts';
import { Authority } from '../core/kube/testing/certificate.ts';
import { startSubresources } from './server.ts';
import type { Subresources } from './server.ts';

const BASE = '/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances';
const VM = '/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines';
const VMI = '/apis/kubevirt.io/v1/namespaces/ns/virtualmachineinstances';

const api = new TestApiServer();
const requestHeaderCA = new Authority('front-proxy-ca');
const ours = new Authority('virtloom-ca');
const otherCA = new Authority('stranger');
const frontProxy = requestHeaderCA.sign('front-proxy-client');
const serverPair = ours.sign('subresources', ['127.0.0.1']);
const ALICE = { 'x-remote-user': 'alice', 'x-remote-group': ['devs', 'system:authenticated'] };

let client: KubeClient;
let server: Subresources;
let calls: VerbContext[];
let reviews: Record<string, unknown>[];
let allowed: boolean;
/** The node agent's side of each stream. */
let agents: WebSocket[];
let agentRequests: IncomingMessage[];
let agentRefusal: { code: number; body: string } | undefined;
let agent: ReturnType<typeof createServer>;

const verbs: Verb[] = [
  {
    resource: 'virtualmachines',
    name: 'start',
    method: 'PUT',
    handle: async (context) => {
      calls.push(context);
      if (context.name === 'running') throw new KubeError(409, 'Conflict', 'VM is already running');
      if (context.name === 'broken') throw new TypeError('secret detail');
      return { status: 202 };
    },
  },
  {
    resource: 'virtualmachineinstances',
    name: 'portforward/{port}/{protocol}',
    method: 'GET',
    handle: async (context) => {
      calls.push(context);
      return { status: 200, body: { query: context.query } };
    },
  },
];

beforeAll(async () => {
  await api.start();
  client = api.client();
  const agentPair = ours.sign('agent', ['node1']);
  agent = createServer({ ...agentPair, ca: ours.cert, requestCert: true, rejectUnauthorized: true });
  const upgrader = new WebSocketServer({ noServer: true });
  agent.on('upgrade', (request, socket, head) => {
    agentRequests.push(request);
    if (agentRefusal) {
      const { code, body } = agentRefusal;
      socket.end(
        `HTTP/1.1 ${code} No\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
    } else {
      upgrader.handleUpgrade(request, socket, head, (ws) => {
        agents.push(ws);
        ws.on('message', (data) => {
          ws.send(Buffer.concat([Buffer.from('echo:'), data as Buffer]));
        });
        ws.send(Buffer.from([0, 1, 255, 10]));
      });
    }
  });
  await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve));
  server = await startSubresources({
    client,
    tls: serverPair,
    requestHeaderCA: requestHeaderCA.cert,
    requestHeaderNames: ['front-proxy-client'],
    agentTls: { ca: ours.cert, ...ours.sign('subresources') },
    verbs,
    log: pino({ level: 'silent' }),
  });
});
afterAll(async () => {
  await server.stop();
  agent.close();
  agent.closeAllConnections();
  client.close();
  await api.stop();
});
beforeEach(() => {
  calls = [];
  reviews = [];
  agents = [];
  agentRequests = [];
  agentRefusal = undefined;
  allowed = true;
  api.objects.clear();
  api.intercept = answerReviews;
  putNode();
});
afterEach(async () => {
  for (const one of agents) one.terminate();
  await eventually(() => api.watches === 0, 'no session watches any more');
});

function putNode(port: string | undefined = String((agent.address() as AddressInfo).port)): void {
  api.put('/api/v1/nodes/node1', {
    kind: 'Node',
    metadata: { annotations: port === undefined ? {} : { 'virtloom.io/agent-port': port } },
    status: {
      addresses: [
        { type: 'Hostname', address: 'node1' },
        { type: 'InternalIP', address: '127.0.0.1' },
      ],
    },
  });
}
function putVmi(name: string, phase = 'Running', devices: Record<string, unknown> = {}): void {
  api.put(`${VMI}/${name}`, { spec: { domain: { devices } }, status: { phase, nodeName: 'node1' } });
}

function answerReviews(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.url === '/version') {
    response.end(JSON.stringify({ gitVersion: 'v1.32.0' }));
    return true;
  }
  if (request.url !== '/apis/authorization.k8s.io/v1/subjectaccessreviews') return false;
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const review = JSON.parse(Buffer.concat(chunks).toString()) as { spec: Record<string, unknown> };
    reviews.push(review.spec);
    response.writeHead(201, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ...review, status: { allowed, reason: allowed ? 'by rule' : 'RBAC: no rule' } }));
  });
  return true;
}

type Headers = Record<string, string | string[]>;
const trusted = { ...frontProxy, ca: ours.cert };

async function call(
  method: string,
  path: string,
  options: { headers?: Headers; body?: string; tls?: object; agent?: Agent } = {},
): Promise<{ code: number; body: Record<string, unknown>; text: string }> {
  const { headers = ALICE, body, tls = trusted, agent: httpAgent } = options;
  return await new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      {
        host: '127.0.0.1',
        port: server.port,
        method,
        path,
        headers,
        ...tls,
        ...(httpAgent ? { agent: httpAgent } : {}),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const parsed = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
          resolve({ code: response.statusCode ?? 0, body: parsed, text });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

interface Opened {
  socket: WebSocket;
  frames: { data: Buffer; isBinary: boolean }[];
  closed: Promise<{ code: number; reason: string }>;
}
/** As virtctl's gorilla client dials it. */
async function dial(
  path: string,
  protocols: string[] = ['plain.kubevirt.io'],
  headers: Headers = ALICE,
): Promise<Opened> {
  const socket = new WebSocket(`wss://127.0.0.1:${server.port}${path}`, protocols, {
    ...trusted,
    headers: headers as Record<string, string>,
  });
  const frames: Opened['frames'] = [];
  socket.on('message', (data, isBinary) => frames.push({ data: data as Buffer, isBinary }));
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
    socket.on('unexpected-response', (_, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        reject(KubeError.fromBody(response.statusCode ?? 0, Buffer.concat(chunks).toString(), 'ws')),
      );
    });
  });
  return { socket, frames, closed };
}

describe('documents', () => {
  it('are open to everybody and name what is provided', async () => {
    const open = { headers: {}, tls: { ca: ours.cert } };
    const groups = await call('GET', '/apis', open);
    expect(groups.body).toMatchObject({
      kind: 'APIGroupList',
      groups: [
        {
          name: 'subresources.kubevirt.io',
          versions: [{ version: 'v1' }, { version: 'v1alpha3' }],
          preferredVersion: { groupVersion: 'subresources.kubevirt.io/v1' },
        },
      ],
    });
    for (const version of ['v1', 'v1alpha3']) {
      const list = await call('GET', `/apis/subresources.kubevirt.io/${version}`, open);
      expect(list.body).toEqual({
        kind: 'APIResourceList',
        apiVersion: 'v1',
        groupVersion: `subresources.kubevirt.io/${version}`,
        resources: [
          ['virtualmachineinstances/console', 'VirtualMachineInstance', 'get'],
          ['virtualmachineinstances/portforward', 'VirtualMachineInstance', 'get'],
          ['virtualmachineinstances/vnc', 'VirtualMachineInstance', 'get'],
          ['virtualmachines/start', 'VirtualMachine', 'update'],
        ].map(([name, kind, verb]) => ({ name, singularName: '', namespaced: true, kind, verbs: [verb] })),
      });
    }
    expect((await call('GET', '/apis/subresources.kubevirt.io', open)).body['kind']).toBe('APIGroup');
    expect((await call('GET', '/openapi/v2', open)).body).toMatchObject({ swagger: '2.0', paths: {} });
    expect((await call('GET', '/openapi/v3', open)).body).toEqual({ paths: {} });
    const version = await call('GET', '/apis/subresources.kubevirt.io/v1/version', open);
    expect(version.body['gitVersion']).toMatch(/^v1\.9\.0\+virtloom\./);
    const health = await call('GET', '/apis/subresources.kubevirt.io/v1alpha3/healthz', open);
    expect(health.body).toMatchObject({ apiserver: { connectivity: 'ok', version: { gitVersion: 'v1.32.0' } } });
    expect((await call('GET', '/healthz', open)).text).toBe('ok');
    expect((await call('GET', '/apis/subresources.kubevirt.io/v2', open)).body).toMatchObject({
      kind: 'Status',
      code: 404,
      reason: 'NotFound',
    });
  });
});

describe('authentication', () => {
  const start = `${VM}/tiny/start`;
  it.each([
    ['without a client certificate', { tls: { ca: ours.cert } }, 'request is not authenticated'],
    [
      'with a stranger’s certificate',
      { tls: { ca: ours.cert, ...otherCA.sign('front-proxy-client') } },
      'request is not authenticated',
    ],
    [
      'with the right authority’s wrong name',
      { tls: { ca: ours.cert, ...requestHeaderCA.sign('alice') } },
      'certificate "alice" is not the front proxy\'s',
    ],
    ['without a user', { headers: {} }, 'a valid user header is required for authorization'],
  ])('refuses a request %s', async (_, options, message) => {
    const answer = await call('PUT', start, options);
    expect(answer.body).toMatchObject({
      kind: 'Status',
      status: 'Failure',
      code: 401,
      reason: 'Unauthorized',
      message,
    });
    expect(answer.code).toBe(401);
    expect(calls).toEqual([]);
    expect(reviews).toEqual([]);
  });

  it('believes a resumed TLS session as it did the first', async () => {
    const agentWithSessions = new Agent({ ...trusted, keepAlive: false });
    for (let i = 0; i < 3; i++) {
      expect((await call('PUT', start, { agent: agentWithSessions })).code).toBe(202);
    }
    agentWithSessions.destroy();
  });

  it('asks the API server about the user, groups and extras it was told', async () => {
    const headers = {
      ...ALICE,
      'x-remote-user': 'älice',
      'x-remote-extra-scopes%2fa': ['x', 'y'],
      'x-remote-uid': '42',
    };
    const latin1 = { ...headers, 'x-remote-user': Buffer.from('älice').toString('latin1') };
    expect((await call('PUT', start, { headers: latin1 })).code).toBe(202);
    expect(reviews).toEqual([
      {
        user: 'älice',
        uid: '42',
        groups: ['devs', 'system:authenticated'],
        extra: { 'scopes/a': ['x', 'y'] },
        resourceAttributes: {
          namespace: 'ns',
          verb: 'update',
          group: 'subresources.kubevirt.io',
          version: 'v1',
          resource: 'virtualmachines',
          subresource: 'start',
          name: 'tiny',
        },
      },
    ]);
    expect(calls[0]?.user).toEqual({ username: 'älice', groups: ['devs', 'system:authenticated'] });
  });

  it('answers 403 where RBAC says no, for verbs and streams', async () => {
    allowed = false;
    putVmi('tiny');
    const answer = await call('PUT', start);
    expect(answer.body).toMatchObject({
      code: 403,
      reason: 'Forbidden',
      message:
        'virtualmachines.subresources.kubevirt.io "tiny" is forbidden: User "alice" cannot update resource ' +
        '"virtualmachines/start" in API group "subresources.kubevirt.io" in the namespace "ns": RBAC: no rule',
    });
    await expect(dial(`${BASE}/tiny/console`)).rejects.toMatchObject({ code: 403, reason: 'Forbidden' });
    expect(calls).toEqual([]);
    expect(agentRequests).toEqual([]);
  });
});

describe('verbs', () => {
  it('run as virtctl asks for them: with JSON of any content type, or no body', async () => {
    expect(await call('PUT', `${VM}/tiny/start`, { body: '{"paused":true}' })).toMatchObject({ code: 202, text: '' });
    const headers = { ...ALICE, 'content-type': 'application/json' };
    await call('PUT', `${VM.replace('/v1/', '/v1alpha3/')}/tiny/start?dryRun=All&x=1&x=2`, { headers, body: '{}' });
    await call('PUT', `${VM}/tiny/start`, { headers });
    expect(calls.map(({ namespace, name, body, query }) => ({ namespace, name, body, query }))).toEqual([
      { namespace: 'ns', name: 'tiny', body: { paused: true }, query: {} },
      { namespace: 'ns', name: 'tiny', body: {}, query: { dryRun: 'All', x: '2' } },
      { namespace: 'ns', name: 'tiny', body: undefined, query: {} },
    ]);
  });

  it('get the parts of their path', async () => {
    const answer = await call('GET', `${BASE}/tiny/portforward/22/tcp?a=b`);
    expect(answer.body).toEqual({ query: { a: 'b', port: '22', protocol: 'tcp' } });
    expect(reviews[0]?.['resourceAttributes']).toMatchObject({ verb: 'get', subresource: 'portforward' });
  });

  it.each([
    ['PUT', `${VM}/running/start`, '{}', 409, 'Conflict', 'VM is already running'],
    ['PUT', `${VM}/broken/start`, '{}', 500, 'InternalError', 'Internal error occurred'],
    ['PUT', `${VM}/tiny/start`, '{', 400, 'BadRequest', 'the body is not JSON'],
    ['PUT', `${VM}/tiny/start`, 'x'.repeat(4 << 20), 413, 'RequestEntityTooLarge', 'Request body is too large'],
    [
      'PUT',
      `${VM}/tiny/migrate`,
      '',
      501,
      'NotImplemented',
      'virtualmachines/migrate is not provided by any enabled plugin',
    ],
    [
      'PUT',
      `${BASE}/tiny/sev/setupsession`,
      '',
      501,
      'NotImplemented',
      'virtualmachineinstances/sev/setupsession is not',
    ],
    ['GET', `${BASE}/tiny/console`, undefined, 400, 'BadRequest', 'console is a WebSocket; connect with one'],
    ['GET', `${VM}/tiny/start`, undefined, 404, 'NotFound', 'the server could not find the requested resource'],
    ['PUT', `${VM}/tiny/nonsense`, '', 404, 'NotFound', 'the server could not find the requested resource'],
    ['PUT', `${VM}/..%2f..%2fpods/start`, '', 404, 'NotFound', 'the server could not find the requested resource'],
    ['PUT', `${VM}/Tiny/start`, '', 404, 'NotFound', 'the server could not find the requested resource'],
    ['PUT', `${VM}/tiny/`, '', 404, 'NotFound', 'the server could not find the requested resource'],
    ['DELETE', `${VM}/tiny/start`, undefined, 404, 'NotFound', 'the server could not find the requested resource'],
  ])('%s %s answers a Status', async (method, path, body, code, reason, message) => {
    const answer = await call(method, path, body === undefined ? {} : { body });
    expect(answer.body).toMatchObject({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason });
    expect(answer.body['message']).toContain(message);
    expect(answer.code).toBe(code);
    expect(answer.text).not.toContain('secret detail');
  });
});

describe('streams', () => {
  it('carry bytes both ways, as virtctl dials them', async () => {
    putVmi('tiny');
    const { socket, frames, closed } = await dial(`${BASE}/tiny/console`);
    expect(socket.protocol).toBe('plain.kubevirt.io');
    await eventually(() => frames.length === 1, 'the first bytes');
    expect(frames[0]).toEqual({ data: Buffer.from([0, 1, 255, 10]), isBinary: true });
    socket.send(Buffer.from('login\r'));
    await eventually(() => frames.length === 2, 'the echo');
    expect(frames[1]?.data.toString()).toBe('echo:login\r');
    expect(agentRequests[0]?.url).toBe('/v1/namespaces/ns/virtualmachineinstances/tiny/console');
    socket.close(1000);
    expect((await closed).code).toBe(1000);
    await eventually(() => agents[0]?.readyState === WebSocket.CLOSED, 'the agent is let go');
  });

  it.each([
    [['binary.k8s.io'], 'binary.k8s.io'],
    [['v9.unknown', 'plain.kubevirt.io', 'binary.k8s.io'], 'plain.kubevirt.io'],
    [['v9.unknown'], undefined],
    [[], ''],
  ])('offered %s speak %s', async (offered, chosen) => {
    putVmi('tiny');
    const opening = dial(`${BASE}/tiny/vnc?preserveSession=true`, offered);
    // ws, as browsers do, hangs up when none of its protocols is taken; gorilla goes on.
    if (chosen === undefined) await expect(opening).rejects.toThrow('subprotocol');
    else {
      const { socket, frames } = await opening;
      expect(socket.protocol).toBe(chosen);
      await eventually(() => frames[0]?.isBinary === true, 'binary frames');
      expect(agentRequests.at(-1)?.url).toMatch(/\/tiny\/vnc\?preserveSession=true$/);
      socket.close();
    }
  });

  it('speak base64 in text frames to who asks for it', async () => {
    putVmi('tiny');
    const { socket, frames } = await dial(`${BASE}/tiny/console`, ['base64.binary.k8s.io']);
    await eventually(() => frames.length === 1, 'the first bytes');
    expect(frames[0]).toEqual({ data: Buffer.from('AAH/Cg=='), isBinary: false });
    socket.send(Buffer.from([200, 201]).toString('base64'));
    await eventually(() => frames.length === 2, 'the echo');
    const echoed = Buffer.from(frames[1]?.data.toString() ?? '', 'base64');
    expect(echoed).toEqual(Buffer.concat([Buffer.from('echo:'), Buffer.from([200, 201])]));
    socket.close();
  });

  it.each([
    ['missing', 'console', 404, 'NotFound', 'virtualmachineinstance.kubevirt.io "missing" not found'],
    ['scheduling', 'console', 400, 'BadRequest', 'VMI is not running'],
    ['scheduling', 'vnc', 400, 'BadRequest', 'VMI is not running'],
    [
      'failed',
      'console',
      409,
      'Conflict',
      'Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "failed": VMI is in failed status',
    ],
    ['failed', 'vnc', 400, 'BadRequest', 'VMI is not running'],
    ['bare', 'console', 400, 'BadRequest', 'No serial consoles are present.'],
    ['bare', 'vnc', 400, 'BadRequest', 'No graphics devices are present.'],
    [
      'tiny',
      'usbredir',
      501,
      'NotImplemented',
      'virtualmachineinstances/usbredir is not provided by any enabled plugin',
    ],
    ['tiny', 'nonsense', 404, 'NotFound', 'the server could not find the requested resource'],
    ['tiny', 'portforward/22/tcp', 400, 'BadRequest', 'portforward/22/tcp is no WebSocket'],
  ])('of %s, %s: refused with %i before the upgrade', async (name, path, code, reason, message) => {
    putVmi('tiny');
    putVmi('scheduling', 'Scheduling');
    putVmi('failed', 'Failed');
    putVmi('bare', 'Running', { autoattachSerialConsole: false, autoattachGraphicsDevice: false });
    const error = await dial(`${BASE}/${name}/${path}`).catch((e: unknown) => e);
    expect(error).toMatchObject({ code, reason });
    expect((error as Error).message).toContain(message);
    expect(agentRequests).toEqual([]);
  });

  it('pass the agent’s refusal on', async () => {
    putVmi('tiny');
    agentRefusal = {
      code: 409,
      body: JSON.stringify({ kind: 'Status', code: 409, reason: 'Conflict', message: 'busy' }),
    };
    await expect(dial(`${BASE}/tiny/vnc`)).rejects.toMatchObject({ code: 409, reason: 'Conflict', message: 'busy' });
  });

  it.each([
    ['no port', undefined, 'has no annotation virtloom.io/agent-port'],
    ['a port nobody listens on', '1', 'cannot be reached'],
    ['a port that is none', '80/../../x', 'has no annotation'],
  ])('answer 503 where the agent has %s', async (_, port, message) => {
    putVmi('tiny');
    api.objects.delete('/api/v1/nodes/node1');
    putNode(port ?? '');
    const error = await dial(`${BASE}/tiny/console`).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 503, reason: 'ServiceUnavailable' });
    expect((error as Error).message).toContain(message);
  });

  it('trust only the agent of that very node', async () => {
    const stranger = createServer({ ...ours.sign('agent', ['node2']) });
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    putVmi('tiny');
    putNode(String((stranger.address() as AddressInfo).port));
    const error = await dial(`${BASE}/tiny/console`).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 503 });
    expect((error as Error).message).toContain('node1');
    expect((error as Error).message).toContain('node2');
    stranger.close();
  });

  it('end with the VMI', async () => {
    putVmi('tiny');
    const first = await dial(`${BASE}/tiny/console`);
    await eventually(() => api.watches === 1, 'the session watches');
    api.remove(`${VMI}/tiny`);
    expect(await first.closed).toEqual({ code: 1001, reason: 'VMI is gone' });
    putVmi('other');
    const second = await dial(`${BASE}/other/console`);
    await eventually(() => api.watches === 1, 'the session watches');
    putVmi('other', 'Succeeded');
    expect((await second.closed).code).toBe(1001);
  });

  it('end when the agent hangs up or vanishes, and the agent’s when the client vanishes', async () => {
    putVmi('tiny');
    const first = await dial(`${BASE}/tiny/console`);
    agents[0]?.close(1000, 'another user');
    expect(await first.closed).toEqual({ code: 1000, reason: 'another user' });
    const second = await dial(`${BASE}/tiny/console`);
    agents[1]?.terminate();
    expect((await second.closed).code).toBe(1000);
    const third = await dial(`${BASE}/tiny/console`);
    third.socket.terminate();
    await eventually(() => agents[2]?.readyState === WebSocket.CLOSED, 'the agent is let go');
  });

  it('go at the pace of the slower side, and lose nothing', async () => {
    putVmi('tiny');
    const { socket, frames } = await dial(`${BASE}/tiny/console`);
    socket.pause();
    const block = Buffer.alloc(64 * 1024, 'x');
    let sent = 0;
    const [side] = agents;
    // Until the agent's own buffer stays full: nobody takes the bytes.
    while ((side?.bufferedAmount ?? 0) < 4 << 20) {
      side?.send(block);
      sent++;
      await new Promise((resolve) => setImmediate(resolve));
      if (sent > 2000) throw new Error('no back-pressure: everything was taken');
    }
    socket.resume();
    const size = () => frames.reduce((sum, frame) => sum + frame.data.length, 0);
    await eventually(() => size() === 4 + sent * block.length, 'every byte');
    // Stuck again, then gone without a word: the agent's side must not stay open for ever.
    socket.pause();
    while ((side?.bufferedAmount ?? 0) < 4 << 20) {
      side?.send(block);
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.terminate();
    await eventually(() => side?.readyState === WebSocket.CLOSED, 'the agent is let go');
  });

  it('are limited in number', async () => {
    putVmi('tiny');
    const open: Opened[] = [];
    for (let i = 0; i < 16; i++) open.push(await dial(`${BASE}/tiny/vnc`));
    await expect(dial(`${BASE}/tiny/vnc`)).rejects.toMatchObject({ code: 429, reason: 'TooManyRequests' });
    open[0]?.socket.close();
    await open[0]?.closed;
    let again: Opened | undefined;
    await eventually(() => {
      if (again === undefined)
        void dial(`${BASE}/tiny/vnc`).then(
          (one) => (again ??= one),
          () => undefined,
        );
      return again !== undefined;
    }, 'room again');
    for (const { socket } of open) socket.terminate();
  });

  it('end with the server', async () => {
    putVmi('tiny');
    const second = await startSubresources({
      client,
      tls: serverPair,
      requestHeaderCA: requestHeaderCA.cert,
      agentTls: { ca: ours.cert, ...ours.sign('subresources') },
      verbs: [],
      log: pino({ level: 'silent' }),
    });
    const url = `wss://127.0.0.1:${second.port}${BASE}/tiny/console`;
    const socket = new WebSocket(url, { ...trusted, headers: { 'x-remote-user': 'alice' } });
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
    const closed = new Promise((resolve) => socket.on('close', resolve));
    await second.stop();
    expect(await closed).toBe(1001);
  });
});

it('refuses two plugins that give the same verb', async () => {
  const options = { client, tls: serverPair, requestHeaderCA: requestHeaderCA.cert, log: pino({ level: 'silent' }) };
  const twice = [...verbs, ...verbs];
  await expect(
    startSubresources({ ...options, agentTls: { ca: ours.cert, ...frontProxy }, verbs: twice }),
  ).rejects.toThrow('verb PUT virtualmachines/start is there twice');
});
