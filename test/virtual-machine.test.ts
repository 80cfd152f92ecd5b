// The VirtualMachine controller against the real API server, with VMIs whose life the test plays.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { crdsOf } from '../core/crd.ts';
import { KubeClient } from '../core/kube/client.ts';
import type { Controller } from '../core/kube/controller.ts';
import { EventRecorder } from '../core/kube/events.ts';
import { Informer } from '../core/kube/informer.ts';
import { CRDS, resourceName, type KubeObject, type Resource } from '../core/kube/objects.ts';
import { testHost } from '../core/testing.ts';
import type { Vmi, VmiPhase } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { startApiServer, type ApiServer } from '../embedded/apiserver/index.ts';
import plugin from '../plugins/virtual-machine/index.ts';
import { VMS, type RunStrategy, type VirtualMachine } from '../plugins/virtual-machine/kind.ts';

const log = pino({ level: 'silent' });
const host = testHost([plugin]);
const informers = new Map<string, Informer<KubeObject>>();
let directory: string;
let api: ApiServer;
let client: KubeClient;
let controllers: Controller[];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'virtloom-vm-'));
  const none = (): undefined => undefined;
  api = await startApiServer({ dataDir: directory, port: 0, log, resolveService: none, resolveKubelet: none });
  client = KubeClient.fromKubeconfig(api.kubeconfig);
  for (const crd of crdsOf(host)) await client.create(CRDS, undefined, crd);
  const informer = <T extends KubeObject>(resource: Resource): Informer<T> => {
    const name = resourceName(resource);
    const found = informers.get(name) ?? new Informer<KubeObject>(client, resource);
    informers.set(name, found);
    return found as unknown as Informer<T>;
  };
  const events = new EventRecorder(client, 'test');
  controllers = host.controllers.flatMap((make) => make({ client, events, log, informer }));
  await Promise.all(controllers.map((controller) => controller.start()));
});
afterAll(async () => {
  await Promise.all(controllers.map((controller) => controller.stop()));
  await Promise.all([...informers.values()].map((one) => one.stop()));
  client.close();
  await api.stop();
  rmSync(directory, { recursive: true });
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
const make = (name: string, runStrategy: RunStrategy): Promise<VirtualMachine> =>
  client.create<VirtualMachine>(VMS, 'default', {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name },
    spec: { runStrategy, template: { spec: { domain: {} } } },
  });
const vmiOf = async (name: string): Promise<Vmi | undefined> =>
  (await client.list<Vmi>(VMIS, 'default')).items.find((vmi) => vmi.metadata.name === name);
const vmiAfter = (name: string, old?: Vmi): Promise<Vmi> =>
  until(`a new VMI of ${name}`, async () => {
    const vmi = await vmiOf(name);
    return vmi && vmi.metadata.uid !== old?.metadata.uid && vmi;
  });
const play = (name: string, phase: VmiPhase): Promise<Vmi> => {
  const phaseTransitionTimestamps = [{ phase: 'Running', phaseTransitionTimestamp: '2026-01-01T00:00:00Z' }];
  return client.patch<Vmi>(VMIS, 'default', name, { status: { phase, phaseTransitionTimestamps } }, { type: 'merge' });
};
const shows = (name: string, printableStatus: string): Promise<VirtualMachine> =>
  until(`${name} ${printableStatus}`, async () => {
    const vm = await client.get<VirtualMachine>(VMS, 'default', name);
    return vm.status?.printableStatus === printableStatus && vm;
  });
const verb = async (name: string, action: string, body: object = {}): Promise<number> => {
  const found = host.verbs.find((one) => one.name === action);
  const user = { username: 'test', groups: [] };
  const answer = await found?.handle({ client, namespace: 'default', name, body, query: {}, user });
  return answer?.status ?? 0;
};

// Every round deletes and makes the VMI while its predecessor may still be on its way out.
it('RerunOnFailure starts again after every failure, and stays stopped after a shutdown', async () => {
  await make('rerun', 'RerunOnFailure');
  let vmi = await vmiAfter('rerun');
  for (let round = 0; round < 5; round++) {
    await play('rerun', 'Running');
    await play('rerun', 'Failed');
    vmi = await vmiAfter('rerun', vmi);
  }
  await play('rerun', 'Running');
  await shows('rerun', 'Running');
  await play('rerun', 'Succeeded');
  await shows('rerun', 'Stopped');
  expect(await vmiOf('rerun')).toBeUndefined();
});

it('Always starts again however its VMI ended', async () => {
  await make('always', 'Always');
  let vmi = await vmiAfter('always');
  for (const phase of ['Succeeded', 'Failed'] as const) {
    await play('always', 'Running');
    await play('always', phase);
    vmi = await vmiAfter('always', vmi);
  }
  expect(await verb('always', 'stop')).toBe(202);
  await shows('always', 'Stopped');
  expect(await verb('always', 'start')).toBe(202);
  await vmiAfter('always', vmi);
});

it('Manual does what it is told: start, restart, stop', async () => {
  await make('manual', 'Manual');
  await shows('manual', 'Stopped');
  expect(await verb('manual', 'start')).toBe(202);
  const vmi = await vmiAfter('manual');
  await play('manual', 'Running');
  await shows('manual', 'Running');
  expect(await verb('manual', 'restart')).toBe(202);
  await vmiAfter('manual', vmi);
  await play('manual', 'Running');
  await shows('manual', 'Running');
  await expect(verb('manual', 'start')).rejects.toMatchObject({ code: 409 });
  expect(await verb('manual', 'stop')).toBe(202);
  await shows('manual', 'Stopped');
  await expect(verb('manual', 'stop')).rejects.toThrow('VM is not running');
});

it('Once runs once', async () => {
  await make('once', 'Once');
  const vmi = await vmiAfter('once');
  await play('once', 'Running');
  await play('once', 'Succeeded');
  await shows('once', 'Stopped');
  expect((await vmiOf('once'))?.metadata.uid).toBe(vmi.metadata.uid);
});

it('a VM that is deleted takes its VMI with it', async () => {
  await make('gone', 'Always');
  await client.patch(
    VMS,
    'default',
    'gone',
    { metadata: { finalizers: ['kubevirt.io/virtualMachineControllerFinalize'] } },
    { type: 'merge' },
  );
  await vmiAfter('gone');
  await client.delete(VMS, 'default', 'gone');
  await until('both are gone', async () => {
    const vms = (await client.list(VMS, 'default')).items;
    return (await vmiOf('gone')) === undefined && !vms.some((one) => one.metadata.name === 'gone');
  });
});

it('leaves a VMI alone that it did not make', async () => {
  await client.create<Vmi>(VMIS, 'default', {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'foreign' },
    spec: { domain: {} },
  });
  await make('foreign', 'Halted');
  await make('after', 'Always');
  // By now the controller has had its turn with the first.
  await vmiAfter('after');
  expect(await vmiOf('foreign')).toBeDefined();
});

it('says that a restart is needed, and for what, until the VM is what its template says', async () => {
  await make('changed', 'Always');
  const vmi = await vmiAfter('changed');
  await play('changed', 'Running');
  const restart = async () => {
    const { status } = await client.get<VirtualMachine>(VMS, 'default', 'changed');
    return status?.conditions?.find(({ type }) => type === 'RestartRequired');
  };
  await shows('changed', 'Running');
  expect(await restart()).toBeUndefined();
  const set = (terminationGracePeriodSeconds: number | null) =>
    client.patch(
      VMS,
      'default',
      'changed',
      { spec: { template: { spec: { terminationGracePeriodSeconds } } } },
      { type: 'merge' },
    );
  await set(7);
  const condition = await until('RestartRequired', async () => restart());
  expect(condition).toMatchObject({
    status: 'True',
    message: expect.stringContaining('changed: spec.template.spec.terminationGracePeriodSeconds') as string,
  });
  await set(null);
  await until('no RestartRequired', async () => (await restart()) === undefined);

  // What today's plugins would make other of it is the VMI's own condition.
  const today = { type: 'RestartRequired', status: 'True', message: 'plugin moving was 1.0.0 and is 2.0.0' };
  const { status: played } = await client.get<Vmi>(VMIS, 'default', 'changed');
  const conditions = [...(played?.conditions ?? []), today];
  await client.patch<Vmi>(VMIS, 'default', 'changed', { status: { conditions } }, { type: 'merge' });
  const { message } = await until('RestartRequired', async () => restart());
  expect(message).toBe(`the running VM keeps what it was started with until it is restarted; ${today.message}`);

  expect(await verb('changed', 'restart')).toBe(202);
  await vmiAfter('changed', vmi);
  await play('changed', 'Running');
  await until('no RestartRequired after the restart', async () => (await restart()) === undefined);

  // Somebody's own writing in the record says nothing, and harms nothing.
  const broken = { 'virtloom.io/template': '7' };
  await client.patch<Vmi>(VMIS, 'default', 'changed', { metadata: { annotations: broken } }, { type: 'merge' });
  await set(9);
  await shows('changed', 'Running');
  expect(await restart()).toBeUndefined();
});
