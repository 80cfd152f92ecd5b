// What a plugin may not do to the others: write outside of its paths, answer nonsense, change its input, leave half a write.
import { describe, expect, it } from 'vitest';
import { admit, applyDefaults } from './admission.ts';
import { el } from './domain/element.ts';
import { createHost } from './host.ts';
import type { KubeObject } from './kube/objects.ts';
import { plan } from './plan.ts';
import { definePlugin, type Contribution, type Plugin, type PrepareTap } from './plugin.ts';
import { admitFor, planFor, TEST_FACTS, testHost } from './testing.ts';
import type { Writes } from './scope.ts';
import type { Vmi } from './types.ts';

const vmi = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'vm', namespace: 'ns', uid: 'u1' },
  spec: { domain: { devices: { disks: [{ name: 'a' }] } }, volumes: [{ name: 'a', brick: {} }] },
} as unknown as Vmi;

const base = definePlugin({
  name: 'base',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'a pod and a disk',
  writes: { pod: ['spec.containers'], domain: ['devices', 'memory'] },
  setup: () => ({
    attachDisk: {
      brick: () => ({ disk: { type: 'file', source: el('source', { file: '/a' }), driver: {} } }),
    },
    prepareDomain: {
      first: (_, { domain, pod }) => {
        domain.at('devices');
        pod.compute({ image: 'x' });
      },
      main: ({ disks }, { domain }) => {
        for (const { disk } of disks) if (disk) domain.device(el('disk', { type: disk.type }, disk.source));
      },
    },
  }),
});

function guest(contribution: Contribution, writes: Writes = {}): Plugin {
  return definePlugin({
    name: 'guest',
    version: '1.0.0',
    core: '^1.0.0',
    summary: 'comes last',
    after: ['base'],
    writes,
    setup: () => contribution,
  });
}

function planned(contribution: Contribution, writes?: Writes) {
  return planFor({ plugins: [base, guest(contribution, writes)], vmi });
}

describe('what a plugin writes', () => {
  it.each<[string, Contribution, Writes, string]>([
    ['a device', { prepareDomain: (_, { domain }) => void domain.device(el('rng')) }, {}, 'domain devices/rng'],
    ['an attribute', { prepareDomain: (_, { domain }) => domain.set({ type: 'kvm' }) }, {}, 'domain /@type'],
    ['a text', { prepareDomain: (_, { domain }) => domain.merge(el('memory', {}, '1')) }, {}, 'domain memory'],
    [
      'an element beside the one that it declares',
      { prepareDomain: (_, { domain }) => void domain.device(el('disk', {}, el('iotune'), el('serial'))) },
      { domain: ['devices/disk/iotune'] },
      'domain devices/disk/serial',
    ],
    ['a label', { prepareDomain: (_, { pod }) => pod.merge({ metadata: { labels: { a: 'b' } } }) }, {}, 'pod metadata'],
    [
      'a field of the container beside the one that it declares',
      { prepareDomain: (_, { pod }) => pod.compute({ stdin: true }) },
      { pod: ['spec.containers[compute].env'] },
      'pod spec.containers[name=compute].stdin',
    ],
    [
      'another container',
      { prepareDomain: (_, { pod }) => pod.merge({ spec: { containers: [{ name: 'miner', image: 'x' }] } }) },
      { pod: ['spec.containers[compute]'] },
      'pod spec.containers[miner]',
    ],
    [
      'the pod from an attachment',
      { attachDisk: { brack: () => ({ pod: { spec: { hostNetwork: true } } }) } },
      { pod: ['spec.volumes'] },
      'pod spec.hostNetwork',
    ],
  ])('is refused outside of what it declares: %s', async (_, contribution, writes, where) => {
    const other = {
      ...vmi,
      spec: {
        ...vmi.spec,
        volumes: [
          { name: 'a', brick: {} },
          { name: 'b', brack: {} },
        ],
      },
    } as unknown as Vmi;
    const wanted = contribution.attachDisk ? other : vmi;
    await expect(planFor({ plugins: [base, guest(contribution, writes)], vmi: wanted })).rejects.toMatchObject({
      code: 'VL_WRITE_UNDECLARED',
      message: expect.stringContaining(`${where}: plugin "guest" writes it`) as string,
    });
  });

  it('may be what it declares, and all below it', async () => {
    const { xml, pod } = await planned(
      {
        prepareDomain: (_, { domain, pod }) => {
          domain.device(el('rng', { model: 'virtio' }, el('backend', { model: 'random' }, '/dev/urandom')));
          pod.compute({ env: [{ name: 'A', value: 'b' }] });
        },
      },
      { pod: ['spec.containers[compute].env'], domain: ['devices/rng'] },
    );
    expect(xml).toContain('<backend model="random">/dev/urandom</backend>');
    expect(pod.value).toMatchObject({ spec: { containers: [{ image: 'x', env: [{ name: 'A' }] }] } });
  });

  it('is not taken for another’s by a signature that the plugin wrote itself', async () => {
    const forged = { ...el('rng'), by: { plugin: 'base', tap: 'x' } };
    await expect(planned({ prepareDomain: (_, { domain }) => void domain.device(forged) })).rejects.toThrow(
      'domain devices/rng: plugin "guest"',
    );
  });

  it('by a tap that is ignored when it fails leaves nothing', async () => {
    const half = guest(
      {
        prepareDomain: (_, { domain, pod, overhead, step }) => {
          domain.merge(el('memory', {}, '1'));
          domain.device(el('rng'));
          pod.compute({ stdin: true });
          void overhead;
          void step;
          throw new Error('half-way');
        },
      },
      { pod: [''], domain: [''] },
    );
    const plain = await planFor({ plugins: [base], vmi });
    const { xml, pod } = await planFor({ plugins: [base, { plugin: half, failurePolicy: 'Ignore' }], vmi });
    expect(xml).toBe(plain.xml);
    expect(pod.value).toEqual(plain.pod.value);
    expect([...pod.owners.keys()]).toEqual([...plain.pod.owners.keys()]);
  });
});

describe('what a plugin is handed', () => {
  it.each<[string, Contribution]>([
    ['the VMI', { prepareDomain: ({ vmi: given }) => void (given.spec.domain.devices = {}) }],
    ['facts', { prepareDomain: ({ facts }) => void Object.assign(facts.cluster, { virtType: 'kvm' }) }],
  ])('it cannot change: %s', async (_, contribution) => {
    // As the platform does it: nothing is frozen before the plan.
    const host = testHost([base, guest(contribution)]);
    const given = structuredClone(vmi);
    await expect(plan(host, given, structuredClone(TEST_FACTS))).rejects.toMatchObject({ code: 'VL_TAP_FAILED' });
    expect(given).toEqual(vmi);
  });

  it.each<[string, PrepareTap]>([
    ['another’s disk', ({ disks }) => void Object.assign(disks[0]?.disk ?? {}, { type: 'block' })],
    ['another’s driver', ({ disks }) => void Object.assign(disks[0]?.disk?.driver ?? {}, { cache: 'unsafe' })],
    ['another’s XML', ({ disks }) => void disks[0]?.disk?.source.children.push(el('x'))],
    ['another’s attributes', ({ disks }) => void Object.assign(disks[0]?.disk?.source.attrs ?? {}, { file: '/etc' })],
    ['the list of disks', ({ disks }) => void (disks as unknown[]).pop()],
  ])('it has a copy of its own of what others attached: %s', async (_, first) => {
    const plain = await planFor({ plugins: [base], vmi });
    expect((await planned({ prepareDomain: { first } })).xml).toBe(plain.xml);
  });

  it('it cannot change: an object under admission', async () => {
    const run = { admit, defaultPreset: applyDefaults };
    const user = { username: 'test', groups: [] };
    const object = { ...structuredClone(vmi), spec: { domain: {} } };
    for (const hook of ['admit', 'defaultPreset'] as const) {
      const changing = guest({ [hook]: (input: { object: { kind: string } }) => void (input.object.kind = 'Pod') });
      const request = { operation: 'CREATE', object: structuredClone(object) as KubeObject, user } as const;
      await expect(run[hook](testHost([changing]), request)).rejects.toMatchObject({ code: 'VL_TAP_FAILED' });
    }
  });
});

describe('a malformed answer is told by hook and plugin', () => {
  const nic = {
    ...vmi,
    spec: { domain: { devices: { interfaces: [{ name: 'n', tube: {} }] } }, networks: [{ name: 'n', mast: {} }] },
  } as unknown as Vmi;
  const source = () => ({ podInterface: 'eth0' });
  it.each<[string, unknown, string]>([
    ['attachDisk', undefined, 'is no object'],
    ['attachDisk', 'disk', 'is no object'],
    ['attachDisk', { disk: { type: 'file', driver: {} } }, 'its disk its source is no element'],
    ['attachDisk', { disk: { type: 'file', source: { tag: 'source' }, driver: {} } }, 'is no element'],
    ['attachDisk', { pod: [] }, 'its pod is no object'],
    ['attachDisk', { steps: [{ action: 'x' }] }, 'its steps has an entry 0 that is wrong: its id is no text'],
    ['attachDisk', { overhead: [{ mebibytes: NaN, why: 'x' }] }, 'its mebibytes is no number from 0'],
    ['attachDisk', { migratable: false }, 'its migratable is no object'],
    ['source', {}, 'its podInterface is no text'],
    ['binding', { interface: { type: 'ethernet', children: [null] } }, 'is no element'],
    ['binding', { ips: '10.0.0.1' }, 'its ips is no list'],
    ['admit', { causes: [{ field: 'spec' }] }, 'its reason is no text'],
    ['admit', { warnings: 'careful' }, 'its warnings is no list'],
    ['defaultPreset', { patches: [{ path: 'spec.x', value: 1 }] }, 'its path is no list of keys'],
    ['defaultPreset', 7, 'is no object'],
  ])('%s: %j', async (hook, answer, problem) => {
    const tap = (() => answer) as never;
    const contributions: Record<string, Contribution> = {
      attachDisk: { attachDisk: { brick: tap } },
      source: { attachNetwork: { sources: { mast: tap }, bindings: { tube: () => ({}) } } },
      binding: { attachNetwork: { sources: { mast: source }, bindings: { tube: tap } } },
      admit: { admit: tap },
      defaultPreset: { defaultPreset: tap },
    };
    const plugins = [guest(contributions[hook] as Contribution)];
    const run = ['admit', 'defaultPreset'].includes(hook)
      ? admitFor({ plugins, object: vmi })
      : planFor({ plugins, vmi: hook === 'attachDisk' ? vmi : nic });
    await expect(run).rejects.toMatchObject({
      code: 'VL_TAP_ANSWER',
      message: expect.stringMatching(
        new RegExp(`of plugin "guest" gave a malformed answer, which .*${problem}`),
      ) as string,
    });
  });
});

describe('what a plugin says of itself', () => {
  it('is refused when it is made for another core', () => {
    expect(() => testHost([{ ...base, core: '^2.0.0' }])).toThrow(
      'plugin "base" 1.0.0 is made for core ^2.0.0; this core is 1.0.0.',
    );
  });

  it('keeps it from running beside one that it cannot run with', () => {
    expect(() => testHost([base, { ...guest({}), conflicts: ['base'] }])).toThrow(
      'plugin "guest" cannot run beside plugin "base".',
    );
  });

  it('names both plugins of one command', () => {
    const command = { name: 'dig', summary: 'digs', run: async () => undefined };
    expect(() =>
      testHost([{ ...base, setup: () => ({ commands: [command] }) }, guest({ commands: [command] })]),
    ).toThrow('command "dig" is claimed by plugin "base" and by plugin "guest"');
  });
});

it('every tap that runs is told of, with its time and how it failed', async () => {
  const seen: string[] = [];
  const failing = guest({
    prepareDomain: async () => {
      await Promise.resolve();
      throw new Error('no');
    },
  });
  const host = createHost([{ plugin: base }, { plugin: failing }], {
    log: testHost([]).log,
    onTap: ({ plugin, tap }, began, ended, weight, error) => {
      expect(weight).toBe(1);
      expect(ended).toBeGreaterThanOrEqual(began);
      seen.push(`${plugin} ${tap} ${error?.code ?? 'ok'}`);
    },
  });
  await plan(host, structuredClone(vmi), TEST_FACTS).catch(() => undefined);
  expect(seen).toEqual([
    'base attachDisk.brick ok',
    'base prepareDomain.first ok',
    'base prepareDomain.main ok',
    'guest prepareDomain.main VL_TAP_FAILED',
  ]);
});

it('of taps that run thousands of times some are timed, and stand for the rest; every failure is told', async () => {
  let calls = 0;
  let failures = 0;
  let timed = 0;
  let fails = false;
  const sometimes = guest({
    prepareDomain: () => {
      if (fails) throw new Error('no');
    },
  });
  const host = createHost([{ plugin: base }, { plugin: sometimes }], {
    log: testHost([]).log,
    onTap: ({ plugin }, _began, _ended, weight, error) => {
      if (plugin !== 'guest') return;
      timed++;
      calls += weight;
      if (error) failures++;
    },
  });
  for (let i = 0; i < 4096; i++) await plan(host, vmi, TEST_FACTS);
  expect(calls).toBe(4096);
  expect(timed).toBe(256 + (4096 - 256) / 16);
  fails = true;
  for (let i = 0; i < 7; i++) await plan(host, vmi, TEST_FACTS).catch(() => undefined);
  expect(failures).toBe(7);
});
