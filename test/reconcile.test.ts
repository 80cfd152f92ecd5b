// The VMI reconciler against the real API server, with pods whose life the test plays.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { crdsOf } from '../core/crd.ts';
import type { Host } from '../core/host.ts';
import { isNotFound, KubeClient } from '../core/kube/client.ts';
import type { Controller } from '../core/kube/controller.ts';
import { EventRecorder } from '../core/kube/events.ts';
import { Informer } from '../core/kube/informer.ts';
import { CONFIGMAPS, CRDS, EVENTS, PODS, resourceName, type KubeObject, type Resource } from '../core/kube/objects.ts';
import type { Pod } from '../core/launcher-pod.ts';
import { definePlugin } from '../core/plugin.ts';
import { recordOf } from '../core/record.ts';
import { vmiController } from '../core/reconcile.ts';
import { TEST_FACTS, testHost } from '../core/testing.ts';
import type { Vmi } from '../core/types.ts';
import { VMI_FINALIZER, VMIS } from '../core/vmi-kind.ts';
import { startApiServer, type ApiServer } from '../embedded/apiserver/index.ts';

const log = pino({ level: 'silent' });
const LAUNCHERS = { labelSelector: 'kubevirt.io=virt-launcher' };

const launcher = definePlugin({
  name: 'launcher',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'the least a pod needs',
  writes: { pod: [''], domain: [''] },
  setup: () => ({
    prepareDomain: ({ vmi }, plan) => {
      if (vmi.metadata.name === 'broken') throw new Error('no such thing');
      plan.pod.merge({
        metadata: { labels: { 'kubevirt.io': 'virt-launcher', 'kubevirt.io/created-by': vmi.metadata.uid } },
        spec: { containers: [{ name: 'compute', image: 'x' }] },
      });
    },
  }),
});

let tries = 0;
/** Reads a ConfigMap of the VMI's name; VMIs called reader need it. */
const reader = definePlugin({
  name: 'reader',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'what is in a ConfigMap',
  writes: { pod: ['metadata.annotations'] },
  setup: () => ({
    reads: [
      { resource: CONFIGMAPS, of: ({ metadata }) => [{ name: metadata.name ?? '' }] },
      { resource: ABSENT, of: () => 'all' },
    ],
    prepareDomain({ vmi, facts }, plan) {
      const found = facts.objects?.map(({ kind, metadata }) => `${kind}/${metadata.namespace}/${metadata.name}`);
      if (vmi.metadata.name === 'reader' && found?.length === 0) {
        tries++;
        throw new Error('no ConfigMap');
      }
      plan.pod.merge({ metadata: { annotations: { found: String(found) } } });
    },
  }),
});
/** A kind that the cluster does not have. */
const ABSENT: Resource = {
  ...{ group: 'example.com', version: 'v1', plural: 'absents', kind: 'Absent' },
  namespaced: false,
};

let directory: string;
let api: ApiServer;
let client: KubeClient;
const today: Host = testHost([launcher, reader]);
let stop: () => Promise<void>;
let writes: string[];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'virtloom-reconcile-'));
  api = await startApiServer({
    dataDir: directory,
    port: 0,
    log,
    resolveService: () => undefined,
    resolveKubelet: () => undefined,
  });
  client = KubeClient.fromKubeconfig(api.kubeconfig);
  for (const crd of crdsOf(today)) await client.create(CRDS, undefined, crd);
});
afterAll(async () => {
  client.close();
  await api.stop();
  rmSync(directory, { recursive: true });
});

async function run(host = today): Promise<() => Promise<void>> {
  const own = KubeClient.fromKubeconfig(api.kubeconfig);
  own.onRequest = (verb, resource) => {
    if (!['get', 'list', 'watch'].includes(verb) && resource !== 'events') writes.push(`${verb} ${resource}`);
  };
  const vmis = new Informer<Vmi>(own, VMIS);
  const pods = new Informer<Pod>(own, PODS, LAUNCHERS);
  const events = new EventRecorder(own, 'test');
  const cluster = TEST_FACTS.cluster;
  const read = new Map<string, Informer<KubeObject>>();
  const informer = (resource: Resource): Informer<KubeObject> => {
    const name = resourceName(resource);
    const found = read.get(name) ?? new Informer<KubeObject>(own, resource);
    read.set(name, found);
    return found;
  };
  const controller: Controller = vmiController({ client: own, host, vmis, pods, informer, events, cluster, log });
  await controller.start();
  return async () => {
    await controller.stop();
    await Promise.all([vmis, pods, ...read.values()].map((one) => one.stop()));
    own.close();
  };
}
beforeEach(async () => {
  writes = [];
  stop = await run();
});
afterEach(async () => {
  await stop();
  for (const vmi of (await client.list<Vmi>(VMIS, 'default')).items) {
    const { name = '' } = vmi.metadata;
    await client.patch(VMIS, 'default', name, { metadata: { finalizers: [] } }, { type: 'merge' });
    // Some were being deleted already and are gone with their finalizer.
    await client.delete(VMIS, 'default', name).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
});

async function until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
const make = (name: string): Promise<Vmi> =>
  client.create<Vmi>(VMIS, 'default', {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name, finalizers: [VMI_FINALIZER] },
    spec: { domain: {} },
    status: { phase: 'Pending' },
  });
const get = (name: string): Promise<Vmi> => client.get<Vmi>(VMIS, 'default', name);
const inPhase = (name: string, phase: string): Promise<Vmi> =>
  until(`${name} in ${phase}`, async () => {
    const vmi = await get(name);
    return vmi.status?.phase === phase && vmi;
  });
const podOf = (vmi: Vmi): Promise<Pod> =>
  until('its pod', async () =>
    (await client.list<Pod>(PODS, 'default', LAUNCHERS)).items.find((pod) =>
      pod.metadata.ownerReferences?.some((owner) => owner.uid === vmi.metadata.uid),
    ),
  );
const setPod = (pod: Pod, status: object): Promise<KubeObject> =>
  client.patch(PODS, 'default', pod.metadata.name ?? '', { status }, { type: 'merge', subresource: 'status' });
const bind = (pod: Pod): Promise<unknown> =>
  client.raw('POST', `/api/v1/namespaces/default/pods/${pod.metadata.name ?? ''}/binding`, {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: pod.metadata.name },
    target: { kind: 'Node', name: 'node1' },
  });
const UP = {
  phase: 'Running',
  qosClass: 'Burstable',
  containerStatuses: [
    { name: 'compute', ready: true, image: 'x', imageID: '', restartCount: 0, state: { running: {} } },
  ],
};

it('takes a VMI from Pending to its node in one pod and two writes', async () => {
  const vmi = await make('a');
  const pod = await podOf(vmi);
  await inPhase('a', 'Scheduling');
  await bind(pod);
  await setPod(pod, UP);
  const scheduled = await inPhase('a', 'Scheduled');
  expect(scheduled.metadata.labels).toMatchObject({ 'kubevirt.io/nodeName': 'node1' });
  expect(scheduled.metadata.annotations).toMatchObject({
    'virtloom.io/plugins': '{"launcher":"1.0.0","reader":"1.0.0"}',
  });
  expect(scheduled.status).toMatchObject({
    nodeName: 'node1',
    activePods: { [pod.metadata.uid ?? '']: 'node1' },
    launcherContainerImageVersion: 'x',
  });
  expect(scheduled.status?.phaseTransitionTimestamps?.map((one) => one.phase)).toEqual(['Scheduling', 'Scheduled']);
  await until('the last answer', async () => writes.length >= 3);
  expect(writes.sort()).toEqual(['create pods', 'patch virtualmachineinstances', 'patch virtualmachineinstances']);
});

it('keeps what a VMI is started with, also past its end, and tells it apart from what others would be started with', async () => {
  const vmi = await make('kept');
  const pod = await podOf(vmi);
  await inPhase('kept', 'Scheduling');
  const record = recordOf(await get('kept'));
  expect(record).toMatchObject({ plugins: { launcher: '1.0.0', reader: '1.0.0' }, cluster: TEST_FACTS.cluster });
  expect(record?.lines).toContainEqual({
    section: 'pod',
    path: 'metadata.labels.kubevirt.io/created-by',
    value: vmi.metadata.uid,
    by: { plugin: 'launcher', tap: 'prepareDomain.main', field: 'metadata.uid' },
  });
  const made = record?.lines.filter((line) => line.section === 'pod' && line.path.startsWith('spec')) ?? [];
  expect(made.map(({ path, value }) => `${path}=${value}`)).toEqual([
    'spec.containers[name=compute].name=compute',
    'spec.containers[name=compute].image=x',
  ]);
  await bind(pod);
  await setPod(pod, UP);
  await inPhase('kept', 'Scheduled');
  // As its agent would have it.
  await client.patch(VMIS, 'default', 'kept', { status: { phase: 'Running' } }, { type: 'merge' });

  const newer = definePlugin({
    ...launcher,
    version: '1.1.0',
    setup: () => ({
      prepareDomain: ({ vmi: { metadata } }, plan) =>
        plan.pod.merge({
          metadata: { labels: { 'kubevirt.io': 'virt-launcher', 'kubevirt.io/created-by': metadata.uid } },
          spec: { containers: [{ name: 'compute', image: 'y' }] },
        }),
    }),
  });
  const required = async () => (await get('kept')).status?.conditions?.find(({ type }) => type === 'RestartRequired');
  const withHost = async (host: Host): Promise<void> => {
    await stop();
    writes = [];
    stop = await run(host);
  };
  await withHost(testHost([newer]));
  expect(await until('RestartRequired', required)).toMatchObject({
    status: 'True',
    message:
      'a start today would change spec.containers[name=compute].image (launcher), metadata.annotations.found (reader); ' +
      'plugin launcher was 1.0.0 and is 1.1.0; plugin reader is not enabled any more',
  });
  // One write says it, and with the same plugins nothing is written again.
  await until('the answer', async () => writes.length > 0);
  expect(writes).toEqual(['patch virtualmachineinstances']);
  await withHost(testHost([newer]));
  await client.patch(VMIS, 'default', 'kept', { metadata: { labels: { my: 'own' } } }, { type: 'merge' });
  await until('my label', async () => (await get('kept')).metadata.labels?.['my'] === 'own');
  expect(writes).toEqual([]);

  const broken = definePlugin({
    ...launcher,
    setup: () => ({
      prepareDomain: () => {
        throw new Error('not today');
      },
    }),
  });
  await withHost(testHost([broken]));
  await until('the new message', async () => (await required())?.message?.includes('not today'));
  expect((await required())?.message).toMatch(
    /^it could not be started today: prepareDomain.main of plugin "launcher"/,
  );

  await withHost(today);
  await until('no RestartRequired', async () => (await required()) === undefined);
  // So does an object that a plugin reads for it, as soon as it is another.
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kept', namespace: 'default' } };
  await client.create(CONFIGMAPS, 'default', configMap);
  const { message } = await until('RestartRequired', required);
  expect(message).toBe('a start today would change metadata.annotations.found (reader)');
  await client.delete(CONFIGMAPS, 'default', 'kept');
  await until('no RestartRequired', async () => (await required()) === undefined);
  await setPod(pod, { phase: 'Failed', containerStatuses: [] });
  await client.patch(VMIS, 'default', 'kept', { status: { phase: 'Failed' } }, { type: 'merge' });
  expect(recordOf(await get('kept'))).toEqual(record);
});

it.each([
  ['no record', null],
  ['a broken record', 'not deflated'],
])('leaves a VMI alone that has %s', async (_, text) => {
  const pod = await podOf(await make('unkept'));
  await inPhase('unkept', 'Scheduling');
  await bind(pod);
  await setPod(pod, UP);
  await inPhase('unkept', 'Scheduled');
  await stop();
  const annotations = { 'virtloom.io/plan': text };
  await client.patch(VMIS, 'default', 'unkept', { metadata: { annotations } }, { type: 'merge' });
  await client.patch(VMIS, 'default', 'unkept', { status: { phase: 'Running' } }, { type: 'merge' });
  writes = [];
  stop = await run(testHost([{ ...launcher, version: '2.0.0' }]));
  await client.patch(VMIS, 'default', 'unkept', { metadata: { labels: { my: 'own' } } }, { type: 'merge' });
  // The next one is dealt with only after it.
  await make('after');
  await inPhase('after', 'Scheduling');
  await until('the answer', async () => writes.includes('patch virtualmachineinstances'));
  expect(writes.filter((write) => write.startsWith('patch'))).toHaveLength(1);
  expect((await get('unkept')).status?.conditions?.some(({ type }) => type === 'RestartRequired')).toBe(false);
});

it('records what it had no time to, when it finds the pod', async () => {
  const vmi = await make('late');
  await podOf(vmi);
  await inPhase('late', 'Scheduling');
  await stop();
  const lost = { metadata: { annotations: { 'virtloom.io/plan': null } }, status: { phase: 'Pending' } };
  await client.patch(VMIS, 'default', 'late', lost, { type: 'merge' });
  stop = await run();
  await inPhase('late', 'Scheduling');
  expect(recordOf(await get('late'))?.lines.length).toBeGreaterThan(3);
});

it('never makes a second pod, however often it is restarted', async () => {
  const vmi = await make('b');
  await podOf(vmi);
  for (let i = 0; i < 3; i++) {
    await stop();
    // As after a crash between the pod and the write that tells of it.
    const status = { phase: 'Pending' };
    await client.patch(VMIS, 'default', 'b', { status }, { type: 'merge' });
    stop = await run();
    await inPhase('b', 'Scheduling');
  }
  const pods = await client.list<Pod>(PODS, 'default', LAUNCHERS);
  expect(pods.items.filter((pod) => pod.metadata.ownerReferences?.[0]?.name === 'b')).toHaveLength(1);
});

it('passes on why the pod is not scheduled, and why its image does not come', async () => {
  const vmi = await make('c');
  const pod = await podOf(vmi);
  await inPhase('c', 'Scheduling');
  const message = '0/1 nodes are available: 1 Insufficient memory.';
  await setPod(pod, { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }] });
  await until('PodScheduled', async () =>
    (await get('c')).status?.conditions?.find((one) => one.reason === 'Unschedulable' && one.message === message),
  );
  const waiting = { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' };
  const container = { name: 'compute', ready: false, image: 'x', imageID: '', restartCount: 0, state: { waiting } };
  await setPod(pod, { conditions: [], containerStatuses: [container] });
  const hurt = await until('ImagePullBackOff', async () =>
    (await get('c')).status?.conditions?.find((one) => one.reason === 'ImagePullBackOff'),
  );
  expect(hurt).toMatchObject({ type: 'Synchronized', status: 'False' });
  expect((await get('c')).status?.conditions?.some((one) => one.type === 'PodScheduled')).toBe(false);
});

it('fails a VMI whose pod vanishes or ends before its node had it', async () => {
  const gone = await make('d');
  const first = await podOf(gone);
  await inPhase('d', 'Scheduling');
  await client.delete(PODS, 'default', first.metadata.name ?? '');
  expect((await inPhase('d', 'Failed')).status?.reason).toBe('PodNotExists');
  const ended = await make('e');
  const second = await podOf(ended);
  await inPhase('e', 'Scheduling');
  await setPod(second, { phase: 'Failed', message: 'evicted' });
  expect((await inPhase('e', 'Failed')).status?.reason).toBe('PodTerminating');
});

it('lets go of a deleted VMI that no node ever had, and of its pod', async () => {
  const vmi = await make('f');
  await podOf(vmi);
  await inPhase('f', 'Scheduling');
  await client.delete(VMIS, 'default', 'f');
  await until(
    'f is gone',
    async () => !(await client.list<Vmi>(VMIS, 'default')).items.some((one) => one.metadata.name === 'f'),
  );
  await until(
    'its pod is gone',
    async () =>
      !(await client.list<Pod>(PODS, 'default', LAUNCHERS)).items.some(
        (pod) => pod.metadata.ownerReferences?.[0]?.name === 'f',
      ),
  );
});

it('leaves a deleted VMI to the agent while its launcher runs', async () => {
  const vmi = await make('g');
  const pod = await podOf(vmi);
  await bind(pod);
  await setPod(pod, UP);
  await inPhase('g', 'Scheduled');
  await client.delete(VMIS, 'default', 'g');
  await make('h');
  // Another VMI went by meanwhile: the reconciler has had its turn with this one.
  await inPhase('h', 'Scheduling');
  expect((await get('g')).metadata.finalizers).toEqual([VMI_FINALIZER]);
});

it('says on the VMI, and by an event, which plugin failed and how, and goes on with others', async () => {
  await make('broken');
  await make('fine');
  await inPhase('fine', 'Scheduling');
  const condition = await until('its condition', async () =>
    (await get('broken')).status?.conditions?.find((one) => one.type === 'Synchronized'),
  );
  expect(condition).toMatchObject({
    status: 'False',
    reason: 'VL_TAP_FAILED',
    message: 'prepareDomain.main of plugin "launcher" failed: no such thing',
  });
  await until('its event', async () =>
    (await client.list(EVENTS, 'default')).items.find(
      (event) => event['reason'] === 'FailedCreate' && String(event['message']).includes('plugin "launcher" failed'),
    ),
  );
});

it('plans with what plugins read, and looks again when that appears; a kind that is not there holds nobody up', async () => {
  await make('reader');
  await until('the complaint', async () => {
    const conditions = (await get('reader')).status?.conditions;
    return conditions?.find((one) => one.type === 'Synchronized')?.message?.includes('no ConfigMap');
  });
  // Others of the name, or in other namespaces, are not its business.
  const configMap = (name: string, namespace: string): Promise<KubeObject> =>
    client.create(CONFIGMAPS, namespace, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });
  await configMap('other', 'default');
  await configMap('reader', 'kube-system');
  // By now the next try is seconds away.
  await until('ten tries', async () => tries >= 10);
  const begin = performance.now();
  await configMap('reader', 'default');
  const pod = await podOf(await inPhase('reader', 'Scheduling'));
  expect(pod.metadata.annotations?.['found']).toBe('ConfigMap/default/reader');
  // By the watch.
  expect(performance.now() - begin).toBeLessThan(1_000);
  await client.delete(CONFIGMAPS, 'default', 'reader');
});
