// The way virtctl and kubectl come: through an API server's aggregation, with its authentication and RBAC.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { APISERVICES, CRDS, NODES, VMIS } from '../core/index.ts';
import type { KubeObject, Resource, VerbContext } from '../core/index.ts';
import { KubeClient, KubeError } from '../core/kube/client.ts';
import { endpointFromKubeconfig } from '../core/kube/kubeconfig.ts';
import { eventually } from '../core/kube/testing/api-server.ts';
import { startApiServer } from '../embedded/apiserver/index.ts';
import type { ApiServer } from '../embedded/apiserver/index.ts';
import { startSubresources } from './server.ts';
import type { Subresources } from './server.ts';

const BASE = '/apis/subresources.kubevirt.io/v1/namespaces/default';
const ROLES: Resource = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural: 'clusterroles',
  kind: 'ClusterRole',
  namespaced: false,
};
const BINDINGS: Resource = { ...ROLES, plural: 'clusterrolebindings', kind: 'ClusterRoleBinding' };

const dataDir = mkdtempSync(join(tmpdir(), 'vl-aggregated-'));
const log = pino({ level: 'silent' });
const calls: VerbContext[] = [];
let api: ApiServer;
let admin: KubeClient;
let server: Subresources;
let agent: ReturnType<typeof createServer>;

async function kubectl(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const options = ['--kubeconfig', join(dataDir, 'kubeconfig'), '--cache-dir', join(dataDir, 'cache')];
  return await promisify(execFile)('kubectl', [...options, ...args], { timeout: 20_000 });
}

async function openConsole(kubeconfig: string, name: string): Promise<WebSocket> {
  const { server: url, tls } = endpointFromKubeconfig(kubeconfig);
  const path = `wss://${url.host}${BASE}/virtualmachineinstances/${name}/console`;
  const socket = new WebSocket(path, ['plain.kubevirt.io'], { ...tls });
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve).on('error', reject);
    socket.on('unexpected-response', (_, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => reject(KubeError.fromBody(response.statusCode ?? 0, body, 'console')));
    });
  });
  return socket;
}

beforeAll(async () => {
  api = await startApiServer({
    dataDir,
    port: 0,
    resolveService: () => Promise.resolve({ host: '127.0.0.1', port: server.port }),
    resolveKubelet: () => Promise.resolve(undefined),
    log,
  });
  writeFileSync(join(dataDir, 'kubeconfig'), api.kubeconfig, { mode: 0o600 });
  admin = KubeClient.fromKubeconfig(api.kubeconfig);

  const agentTls = await api.issueClientCert('subresources', []);
  const pair = await api.issueServerCert('agent', ['node1']);
  agent = createServer({ ...pair, ca: api.ca, requestCert: true });
  new WebSocketServer({ server: agent }).on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      socket.send(data);
    });
  });
  await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve));
  server = await startSubresources({
    client: admin,
    tls: await api.issueServerCert('virt-api', ['virt-api.kubevirt.svc']),
    requestHeaderCA: api.ca,
    requestHeaderNames: ['front-proxy-client'],
    agentTls: { ca: api.ca, ...agentTls },
    verbs: [
      {
        resource: 'virtualmachines',
        name: 'start',
        method: 'PUT',
        handle: async (context) => {
          calls.push(context);
          return { status: 202 };
        },
      },
    ],
    log,
  });
  await makeObjects();
});
afterAll(async () => {
  await server.stop();
  agent.close();
  agent.closeAllConnections();
  admin.close();
  await api.stop();
  rmSync(dataDir, { recursive: true });
});

async function makeObjects(): Promise<void> {
  const create = async (resource: Resource, body: Partial<KubeObject>, namespace?: string): Promise<unknown> =>
    await admin.create(resource, namespace, { kind: resource.kind, ...body } as KubeObject);
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const names = { plural: VMIS.plural, kind: VMIS.kind, singular: 'virtualmachineinstance' };
  await create(CRDS, {
    apiVersion: 'apiextensions.k8s.io/v1',
    metadata: { name: `${VMIS.plural}.${VMIS.group}` },
    spec: {
      group: VMIS.group,
      scope: 'Namespaced',
      names: { ...names, listKind: 'VirtualMachineInstanceList' },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  });
  for (const version of ['v1', 'v1alpha3']) {
    await create(APISERVICES, {
      apiVersion: 'apiregistration.k8s.io/v1',
      metadata: { name: `${version}.subresources.kubevirt.io` },
      spec: {
        group: 'subresources.kubevirt.io',
        version,
        groupPriorityMinimum: 1000,
        versionPriority: 15,
        service: { namespace: 'kubevirt', name: 'virt-api', port: 443 },
        caBundle: Buffer.from(api.ca).toString('base64'),
      },
    });
  }
  const annotations = { 'virtloom.io/agent-port': String((agent.address() as AddressInfo).port) };
  await create(NODES, { apiVersion: 'v1', metadata: { name: 'node1', annotations } });
  const status = { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] };
  await admin.patch(NODES, undefined, 'node1', { status }, { subresource: 'status' });
  const vmi = (name: string, phase: string): Partial<KubeObject> => ({
    apiVersion: 'kubevirt.io/v1',
    metadata: { name },
    spec: { domain: { devices: {} } },
    status: { phase, nodeName: 'node1' },
  });
  await create(VMIS, vmi('tiny', 'Running'), 'default');
  await create(VMIS, vmi('slow', 'Scheduling'), 'default');
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const rules = [
    { apiGroups: ['subresources.kubevirt.io'], resources: ['virtualmachineinstances/console'], verbs: ['get'] },
  ];
  await create(ROLES, { apiVersion, metadata: { name: 'consoles' }, rules });
  await create(BINDINGS, {
    apiVersion,
    metadata: { name: 'consoles' },
    roleRef: { apiGroup: ROLES.group, kind: 'ClusterRole', name: 'consoles' },
    subjects: [{ apiGroup: ROLES.group, kind: 'Group', name: 'operators' }],
  });
}

it('kubectl sees the group and stays quiet', async () => {
  const version = await kubectl('get', '--raw', '/apis/subresources.kubevirt.io/v1/version');
  expect(JSON.parse(version.stdout)).toMatchObject({ gitVersion: expect.stringMatching(/^v1\.9\.0/) as string });
  const resources = await kubectl('api-resources', '-o', 'name');
  expect(resources.stdout).toContain('virtualmachineinstances.kubevirt.io');
  expect(resources.stderr).toBe('');
  const versions = await kubectl('api-versions');
  expect(versions.stdout).toContain('subresources.kubevirt.io/v1alpha3');
});

it('a verb knows who asked', async () => {
  const answer = await admin.raw('PUT', `${BASE}/virtualmachines/tiny/start`, { paused: true });
  expect(answer).toEqual({ status: 202, body: '' });
  expect(calls[0]).toMatchObject({ namespace: 'default', name: 'tiny', body: { paused: true } });
  expect(calls[0]?.user.groups).toContain('system:masters');
});

it('a console goes through both servers to the agent and back', async () => {
  const socket = await openConsole(api.kubeconfig, 'tiny');
  expect(socket.protocol).toBe('plain.kubevirt.io');
  const received: Buffer[] = [];
  socket.on('message', (data: Buffer) => received.push(data));
  const sent = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 256));
  socket.send(sent);
  await eventually(() => Buffer.concat(received).length === sent.length, 'all of it back');
  expect(Buffer.concat(received).equals(sent)).toBe(true);
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  await admin.delete(VMIS, 'default', 'tiny');
  expect(await closed).toBe(1001);
});

it('KubeVirt’s refusals reach the client through the API server', async () => {
  await expect(openConsole(api.kubeconfig, 'slow')).rejects.toMatchObject({ code: 400, message: 'VMI is not running' });
  await expect(openConsole(api.kubeconfig, 'none')).rejects.toMatchObject({
    code: 404,
    message: 'virtualmachineinstance.kubevirt.io "none" not found',
  });
});

it('RBAC decides by subresource', async () => {
  const operator = await api.kubeconfigFor('olga', ['operators']);
  await expect(openConsole(operator, 'slow')).rejects.toMatchObject({ code: 400, message: 'VMI is not running' });
  const stranger = await api.kubeconfigFor('sam', ['others']);
  await expect(openConsole(stranger, 'slow')).rejects.toMatchObject({ code: 403 });
  const client = KubeClient.fromKubeconfig(operator);
  expect((await client.raw('PUT', `${BASE}/virtualmachines/tiny/start`)).status).toBe(403);
  client.close();
});

it('a user’s own certificate is not the front proxy’s, whoever signed it', async () => {
  const { tls } = endpointFromKubeconfig(await api.kubeconfigFor('mallory', ['others']));
  const url = `wss://127.0.0.1:${server.port}${BASE}/virtualmachineinstances/slow/console`;
  const headers = { 'x-remote-user': 'admin', 'x-remote-group': 'system:masters' };
  const socket = new WebSocket(url, {
    ...tls,
    servername: 'virt-api.kubevirt.svc',
    headers,
  } as WebSocket.ClientOptions);
  const code = await new Promise((resolve) => {
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (request, response) => {
      resolve(response.statusCode);
      request.destroy();
    });
  });
  expect(code).toBe(401);
});
