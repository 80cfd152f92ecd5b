// What VMs were started with, from admission to the command line: the real API server, webhooks and controllers; the
// kubelet and the agent are the test's.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG, ROOT } from '../cli/paths.ts';
import type { KubeClient } from '../core/kube/client.ts';
import type { Controller } from '../core/kube/controller.ts';
import { EventRecorder } from '../core/kube/events.ts';
import { Informer } from '../core/kube/informer.ts';
import { PODS, resourceName, type KubeObject, type Resource } from '../core/kube/objects.ts';
import type { Pod } from '../core/launcher-pod.ts';
import { recordOf } from '../core/record.ts';
import { vmiController } from '../core/reconcile.ts';
import { TEST_FACTS } from '../core/testing.ts';
import type { Condition, Facts, Vmi } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { VMS } from '../plugins/virtual-machine/kind.ts';
import { run, waitFor } from './support/command.ts';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';

const log = pino({ level: 'silent' });
const MAIN = join(ROOT, 'cli/main.ts');
const VMI_TINY = join(ROOT, 'examples/vmi-tiny.yaml');
const VM_TINY = join(ROOT, 'examples/vm-tiny.yaml');

let plane: ControlPlane;
let folder: string;
let kubeconfig: string;
let controller: KubeClient;
const informers = new Map<string, Informer<KubeObject>>();
let controllers: Controller[] = [];

function informer<T extends KubeObject>(resource: Resource): Informer<T> {
  const name = resourceName(resource);
  const found = informers.get(name) ?? new Informer<KubeObject>(controller, resource, { log });
  informers.set(name, found);
  return found as unknown as Informer<T>;
}

async function startControllers(cluster: Facts['cluster']): Promise<void> {
  const options = {
    client: controller,
    host: plane.host,
    events: new EventRecorder(controller, 'test'),
    informer,
    log,
  };
  controllers = [
    vmiController({ ...options, cluster, vmis: informer<Vmi>(VMIS), pods: informer<Pod>(PODS) }),
    ...plane.host.controllers.flatMap((make) => make(options)),
  ];
  await Promise.all(controllers.map((one) => one.start()));
}

async function stopControllers(): Promise<void> {
  await Promise.all(controllers.map((one) => one.stop()));
  await Promise.all([...informers.values()].map((one) => one.stop()));
  informers.clear();
}

beforeAll(async () => {
  plane = await startControlPlane();
  folder = mkdtempSync(join(tmpdir(), 'vl-provenance-'));
  kubeconfig = file('kubeconfig', plane.kubeconfig);
  controller = plane.as('controller');
  await startControllers(TEST_FACTS.cluster);
  await kubectl('apply', '-f', VMI_TINY);
  await kubectl(
    'apply',
    '-f',
    file('vm.yaml', readFileSync(VM_TINY, 'utf8').replace('running: false', 'running: true')),
  );
  for (const name of ['vmi-tiny', 'tiny']) await runs(name);
});
afterAll(async () => {
  await stopControllers();
  await plane.stop();
  rmSync(folder, { recursive: true });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const vmiOf = (name: string): Promise<Vmi> => plane.admin.get<Vmi>(VMIS, 'default', name);

/** Lets the VMI run, as its node would. */
async function runs(name: string): Promise<void> {
  await waitFor(`${name} is Scheduling`, async () =>
    vmiOf(name).then(
      ({ status }) => status?.phase === 'Scheduling',
      () => false,
    ),
  );
  await plane.as('agent').patch(VMIS, 'default', name, { status: { phase: 'Running' } }, { type: 'merge' });
}

async function kubectl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(['kubectl', '--kubeconfig', kubeconfig, ...args]);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

const virtloom = (...args: string[]) => run([process.execPath, MAIN, ...args, '--kubeconfig', kubeconfig]);

describe('the record', () => {
  it('tells of a VMI what it was started with, and stays small', async () => {
    const vmi = await vmiOf('tiny');
    const record = recordOf(vmi);
    expect(record?.plugins).toMatchObject({ compute: '1.0.0', disks: '1.0.0' });
    expect(record?.lines).toContainEqual({
      section: 'domain',
      path: 'devices/disk[rootdisk]/target/@bus',
      value: 'virtio',
      by: { plugin: 'disks', tap: 'prepareDomain.main', field: 'spec.domain.devices.disks[0].disk.bus' },
    });
    const size = (name: string) => vmi.metadata.annotations?.[`virtloom.io/${name}`]?.length;
    expect(size('defaults')).toBeLessThan(1024);
    expect(size('plugins')).toBeLessThan(512);
    expect(size('plan')).toBeLessThan(6 * 1024);
  });

  const forged = (name: string, kind: string, metadata: object, spec: object): string =>
    file(name, JSON.stringify({ apiVersion: 'kubevirt.io/v1', kind, metadata: { name, ...metadata }, spec }));
  const SPEC = { domain: { memory: { guest: '64Mi' } } };
  it.each([
    ['changed', ['annotate', '--overwrite', 'vmi', 'tiny', 'virtloom.io/plan=x'], 'virtloom.io/plan'],
    ['taken away', ['annotate', 'vmi', 'tiny', 'virtloom.io/plugins-'], 'virtloom.io/plugins'],
    ['added to', ['annotate', 'vmi', 'tiny', 'virtloom.io/more=x'], 'virtloom.io/more'],
  ])('is not %s by users', async (_, args, named) => {
    await expect(kubectl(...args)).rejects.toThrow(
      `modification of the following reserved annotation of a VMI is prohibited: ${named}`,
    );
  });

  it('is not forged by users, on a VMI or by a template', async () => {
    const refusal = 'modification of the following reserved annotation';
    const annotations = { 'virtloom.io/plan': 'x' };
    const own = forged('forged', 'VirtualMachineInstance', { annotations }, SPEC);
    await expect(kubectl('create', '-f', own)).rejects.toThrow(refusal);
    const template = { metadata: { annotations }, spec: SPEC };
    const vm = forged('forged-vm', 'VirtualMachine', {}, { running: false, template });
    await expect(kubectl('create', '-f', vm)).rejects.toThrow('spec.template.metadata.annotations');
    const noted = { annotations: { 'virtloom.io/defaults': 'forged' } };
    await kubectl('create', '-f', forged('noted', 'VirtualMachineInstance', noted, SPEC));
    expect((await vmiOf('noted')).metadata.annotations?.['virtloom.io/defaults']).toMatch(/^\{.*"compute":/);
    await kubectl('delete', 'vmi', 'noted', '--wait=false');
  });

  it('is in nobody’s way: apply again, with a change, by either side', async () => {
    await kubectl('apply', '-f', VMI_TINY);
    const labelled = file(
      'labelled.yaml',
      readFileSync(VMI_TINY, 'utf8').replace('metadata:', 'metadata:\n  labels: {my: own}'),
    );
    expect(await kubectl('apply', '-f', labelled)).toContain('configured');
    await kubectl('apply', '--server-side', '--force-conflicts', '-f', labelled);
    await kubectl('replace', '-f', file('got.yaml', await kubectl('get', 'vmi', 'vmi-tiny', '-o', 'yaml')));
    await kubectl('label', 'vmi', 'vmi-tiny', 'other=one');
    const { metadata } = await vmiOf('vmi-tiny');
    expect(metadata.labels).toMatchObject({ my: 'own', other: 'one' });
    expect(Object.keys(metadata.annotations ?? {})).toEqual(
      expect.arrayContaining(['virtloom.io/defaults', 'virtloom.io/plan', 'virtloom.io/plugins']),
    );
  });
});

describe('virtloom explain', () => {
  it.each(['vm/tiny', 'vmi/tiny', 'tiny', 'virtualmachines/tiny'])('tells what %s was started with', async (target) => {
    const { code, stdout, stderr } = await virtloom('explain', target);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^# VirtualMachineInstance default\/tiny: Running, started with .*compute 1\.0\.0/);
    expect(stdout).toMatch(/^devices\/interface\[default\]\/@type = ethernet +interfaces prepareDomain\.main/m);
    expect(stdout).toMatch(/^spec\.domain\.cpu\.model = host-model +compute defaultPreset, the default CPU model$/m);
    expect(stdout).toMatch(/^spec\.containers\[name=compute\]\.image = virtloom\/launcher:test +compute/m);
  });

  it('tells it of one that has ended, for whoever asks why', async () => {
    await kubectl(
      'create',
      '-f',
      file('ended.yaml', readFileSync(VMI_TINY, 'utf8').replace('name: vmi-tiny', 'name: ended')),
    );
    await runs('ended');
    const agent = plane.as('agent');
    await agent.patch(VMIS, 'default', 'ended', { status: { phase: 'Failed' } }, { type: 'merge' });
    const [pod] = (await plane.admin.list<Pod>(PODS, 'default')).items.filter((one) =>
      one.metadata.name?.startsWith('virt-launcher-ended-'),
    );
    await plane.admin.delete(PODS, 'default', pod?.metadata.name ?? '');
    const { code, stdout } = await virtloom('explain', 'vmi/ended', '--path', 'memory');
    expect(code).toBe(0);
    expect(stdout).toMatch(/default\/ended: Failed, started with/);
    expect((await virtloom('diff', 'vmi/ended')).stderr).toContain('default/ended does not run');
  });

  it('tells of a VM that does not run what it would be started with', async () => {
    const stopped = readFileSync(VM_TINY, 'utf8').replace(/^( {2}name:) .*$/m, '$1 stopped');
    await kubectl('create', '-f', file('stopped.yaml', stopped));
    const { code, stdout, stderr } = await virtloom('explain', 'vm/stopped', '--path', 'memory');
    expect(code).toBe(0);
    expect(stderr).toContain(`stopped does not run: this is what it would be started with by ${DEFAULT_CONFIG}`);
    expect(stdout).toMatch(/^memory\/text\(\) = \d+ +compute/m);
  });

  it.each([
    ['a VM that is not there', ['vm/none'], 1, 'there is no VirtualMachine "none" in namespace default'],
    ['a VMI that is not there', ['none'], 1, 'there is no VirtualMachineInstance "none" in namespace default'],
    ['another namespace', ['vmi/tiny', '-n', 'other'], 1, '"tiny" in namespace other'],
    ['a kind of no VM', ['pod/x'], 2, '"pod/x" is not vmi/NAME or vm/NAME'],
    ['no name', ['vm/'], 2, '"vm/" is not'],
    ['two names', ['vm/a/b'], 2, '"vm/a/b" is not'],
  ])('refuses %s', async (_, args, code, message) => {
    const ended = await virtloom('explain', ...args);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toContain(message);
  });
});

describe('virtloom diff', () => {
  const configured = (name: string, more: string): string =>
    file(name, `${more}\n${readFileSync(DEFAULT_CONFIG, 'utf8').replaceAll('./plugins/', join(ROOT, 'plugins/'))}`);

  it.each(['vm/tiny', 'vmi/tiny'])('finds nothing to change of %s', async (target) => {
    expect(await virtloom('diff', target)).toMatchObject({ code: 0, stdout: 'no changes\n' });
  });

  it('compares a changed manifest with what runs', async () => {
    const changed = readFileSync(VM_TINY, 'utf8')
      .replace(/guest: \S+/, 'guest: 160Mi')
      .replace('running: false', 'running: true');
    const { code, stdout } = await virtloom('diff', '-f', file('larger.yaml', changed));
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^- memory\/text\(\) = \d+ {2}\(compute prepareDomain\.first, spec\.domain\.memory\.guest\)$/m,
    );
    expect(stdout).toContain(
      `+ memory/text() = ${160 * 2 ** 20}  (compute prepareDomain.first, spec.domain.memory.guest)\n`,
    );
    expect(stdout).toMatch(/^restart needed: yes \(a start today would change memory\/text\(\) \(compute\), .*\)\n$/m);
  });

  it('tells what a configuration would change, of one VM and of all', async () => {
    const config = configured('launcher.yaml', 'launcherImage: example.org/launcher:2');
    const one = await virtloom('diff', 'vm/tiny', '--config', config);
    expect(one.code).toBe(1);
    expect(one.stdout.split('\n').slice(0, 3)).toEqual([
      '# default/tiny: pod',
      '- spec.containers[name=compute].image = virtloom/launcher:test  (compute prepareDomain.first)',
      '+ spec.containers[name=compute].image = example.org/launcher:2  (compute prepareDomain.first)',
    ]);
    const all = await virtloom('diff', '-A', '--config', config);
    expect(all.code).toBe(1);
    const image = 'restart needed: a start today would change spec.containers[name=compute].image (compute)';
    expect(all.stdout.trim().split('\n').sort()).toEqual([`default/tiny: ${image}`, `default/vmi-tiny: ${image}`]);
    expect(await virtloom('diff', '-n', 'other', '--config', config)).toMatchObject({ code: 0, stdout: '' });
  });

  it('says what could not be started any more, in its line and by itself', async () => {
    const without = configured('without.yaml', '');
    writeFileSync(without, readFileSync(without, 'utf8').replace(/.*network-masquerade.*\n/, ''));
    const all = await virtloom('diff', '--config', without);
    expect(all.code).toBe(1);
    expect(all.stdout).toMatch(/^default\/tiny: cannot be told: .*belongs to plugin "network-masquerade"/m);
    const one = await virtloom('diff', 'vm/tiny', '--config', without);
    expect(one.code).toBe(3);
    expect(one.stderr).toContain('belongs to plugin "network-masquerade", which is not enabled');
  });

  it.each([
    ['a VM that is not there', ['vm/none'], 3, 'there is no VirtualMachine "none"'],
    ['a VM that does not run', ['vm/stopped'], 3, 'default/stopped does not run'],
    ['a manifest of what does not run', ['-f', join(ROOT, 'examples/vmi-efi.yaml')], 3, 'does not run'],
    ['a kind of no VM', ['pod/x'], 2, '"pod/x" is not vmi/NAME or vm/NAME'],
  ])('refuses %s', async (_, args, code, message) => {
    const ended = await virtloom('diff', ...args);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toContain(message);
  });

  it.each([
    ['no record', null, 'has no record of what it was started with'],
    ['a broken record', 'broken', 'cannot be read from its annotation virtloom.io/plan'],
  ])('refuses a VMI with %s, as explain does, and tells of it among all', async (_, text, message) => {
    const agent: KubeClient = plane.as('agent');
    const plan = (await vmiOf('tiny')).metadata.annotations?.['virtloom.io/plan'];
    const set = (value: string | null | undefined) =>
      agent.patch(
        VMIS,
        'default',
        'tiny',
        { metadata: { annotations: { 'virtloom.io/plan': value } } },
        { type: 'merge' },
      );
    await set(text);
    for (const [command, code] of [
      ['diff', 3],
      ['explain', 1],
    ] as const) {
      const ended = await virtloom(command, 'vmi/tiny');
      expect(ended.code).toBe(code);
      expect(ended.stderr).toContain(message);
    }
    const all = await virtloom('diff');
    expect(all.stdout).toMatch(/^default\/tiny: cannot be told: /m);
    expect(all.stdout).toContain('default/vmi-tiny: no changes\n');
    await set(plan);
  });
});

it('says RestartRequired on the VM for what the platform would make other of its VMI today, until it would not', async () => {
  const restart = async (): Promise<Condition | undefined> =>
    (await plane.admin.get<Vmi>(VMS, 'default', 'tiny')).status?.conditions?.find(
      ({ type }) => type === 'RestartRequired',
    );
  expect(await restart()).toBeUndefined();
  await stopControllers();
  await startControllers({ ...TEST_FACTS.cluster, launcherImage: 'example.org/launcher:3' });
  await waitFor('RestartRequired', async () => (await restart()) !== undefined);
  expect(await restart()).toMatchObject({
    status: 'True',
    message:
      'the running VM keeps what it was started with until it is restarted; ' +
      'a start today would change spec.containers[name=compute].image (compute)',
  });
  await stopControllers();
  await startControllers(TEST_FACTS.cluster);
  await waitFor('no RestartRequired', async () => (await restart()) === undefined);
});
