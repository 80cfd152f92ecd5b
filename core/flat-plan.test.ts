// A plan as lines, and the fields of the manifest behind them.
import { describe, expect, it } from 'vitest';
import { el, keyed } from './domain/element.ts';
import { asGiven, driftFrom, driftOf, explained, restartRequired, startRecord } from './drift.ts';
import { compare, flatten, participants, type Line } from './flat-plan.ts';
import { plan } from './plan.ts';
import { definePlugin, type Contribution } from './plugin.ts';
import { fromObjects } from './reads.ts';
import { packRecord, withDefaults } from './record.ts';
import { TEST_FACTS, testHost } from './testing.ts';
import type { Vmi } from './types.ts';

const vmi = (spec: object = {}): Vmi => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'a', namespace: 'default', uid: 'u1', labels: { app: 'shop' } },
  spec: { domain: {}, ...spec },
});
const pluginOf = (name: string, contribution: Contribution, version = '1.0.0') =>
  definePlugin({
    name,
    version,
    core: '^1.0.0',
    summary: 'for tests',
    writes: { pod: [''], domain: [''] },
    setup: () => contribution,
  });
const shown = ({ path, value, by }: Line): string => `${path}=${value} ${by?.plugin}`;
const domainOf = (lines: Line[]): Line[] => lines.filter(({ section }) => section === 'domain');

describe('flatten', () => {
  it('names elements by alias, by what tells them apart, else by position; and attributes by who set them', async () => {
    const first = pluginOf('first', {
      prepareDomain: {
        first(_, plan) {
          plan.domain.set({ type: 'qemu' });
          plan.domain.merge(el('os', {}, el('type', { arch: 'x' }, 'hvm')));
          plan.domain.device(keyed('disk:r', el('disk', { type: 'file' }, el('alias', { name: 'ua-root' }))));
          plan.domain.device(el('disk', { type: 'file' }, el('alias', { name: 'ua-data' })));
          for (const index of [0, 1]) plan.domain.device(el('controller', { type: 'pci', index }));
          for (const name of ['mpx', 'vmx']) plan.domain.at('cpu').add(el('feature', { policy: 'require', name }));
          for (let i = 0; i < 2; i++) plan.domain.device(el('rng'));
        },
      },
    });
    const second = pluginOf('second', {
      prepareDomain: {
        last(_, plan) {
          plan.domain.find('disk:r')?.set({ model: 'virtio' });
          plan.domain.merge(el('os', {}, el('bootmenu', { enable: true })));
        },
      },
    });
    const lines = flatten(await plan(testHost([first, second]), vmi(), TEST_FACTS));
    expect(domainOf(lines).map(shown)).toEqual([
      '@type=qemu first',
      'os=present first',
      'os/type/@arch=x first',
      'os/type/text()=hvm first',
      'os/bootmenu/@enable=yes second',
      'devices=present first',
      'devices/disk[root]/@type=file first',
      'devices/disk[root]/@model=virtio second',
      'devices/disk[root]/alias/@name=ua-root first',
      'devices/disk[data]/@type=file first',
      'devices/disk[data]/alias/@name=ua-data first',
      'devices/controller[pci-0]/@type=pci first',
      'devices/controller[pci-0]/@index=0 first',
      'devices/controller[pci-1]/@type=pci first',
      'devices/controller[pci-1]/@index=1 first',
      'devices/rng[0]=present first',
      'devices/rng[1]=present first',
      'cpu=present first',
      'cpu/feature[mpx]/@policy=require first',
      'cpu/feature[mpx]/@name=mpx first',
      'cpu/feature[vmx]/@policy=require first',
      'cpu/feature[vmx]/@name=vmx first',
    ]);
    expect(participants(lines)).toEqual(['first', 'second']);
    expect(new Set(lines.map(({ section, path }) => `${section} ${path}`)).size).toBe(lines.length);
  });

  it('has steps with each argument, rewrites, and memory; two of one name are told apart', async () => {
    const plugin = pluginOf('p', {
      prepareDomain(_, plan) {
        plan.step({ id: 's', action: 'act', args: { list: [1], text: 'x' } });
        plan.rewrite({ id: 'r', action: 'cel', args: {}, field: 'Plugin/x spec' });
        plan.overhead({ mebibytes: 1, why: 'cache' });
        plan.overhead({ mebibytes: 2, why: 'cache' });
      },
    });
    const lines = flatten(await plan(testHost([plugin]), vmi(), TEST_FACTS));
    expect(lines.filter(({ section }) => !['domain', 'pod'].includes(section))).toEqual([
      { section: 'steps', path: 'domain/p/domain/s', value: 'act', by: { plugin: 'p', tap: 'step' } },
      { section: 'steps', path: 'domain/p/domain/s/list', value: '[1]', by: { plugin: 'p', tap: 'step' } },
      { section: 'steps', path: 'domain/p/domain/s/text', value: 'x', by: { plugin: 'p', tap: 'step' } },
      {
        section: 'rewrites',
        path: 'p/rewrite/r',
        value: '{}',
        by: { plugin: 'p', tap: 'prepareDomain.main', field: 'Plugin/x spec' },
      },
      { section: 'memory', path: 'cache', value: '1 MiB', by: { plugin: 'p', tap: 'prepareDomain.main' } },
      { section: 'memory', path: 'cache (2)', value: '2 MiB', by: { plugin: 'p', tap: 'prepareDomain.main' } },
    ]);
  });
});

describe('compare', () => {
  it('tells what is new, other and gone; not who set what stays', () => {
    const line = (path: string, value: string, plugin = 'p'): Line => ({
      section: 'pod',
      path,
      value,
      by: { plugin, tap: 't' },
    });
    const [same, old, other, gone, fresh] = [
      line('a', '1'),
      line('b', '1'),
      line('b', '2'),
      line('c', '1'),
      line('d', '1'),
    ];
    const also = { ...same, by: { plugin: 'q', tap: 't' } };
    expect(compare([same, old, gone], [also, other, fresh])).toEqual([
      { section: 'pod', path: 'b', before: old, after: other },
      { section: 'pod', path: 'd', after: fresh },
      { section: 'pod', path: 'c', before: gone },
    ]);
  });
});

describe('the field behind a line', () => {
  const spec = {
    domain: {
      cpu: { cores: 2, sockets: 2, model: 'host-model' },
      memory: { guest: '64Mi' },
      on: true,
      devices: {
        disks: [
          { name: 'root', bus: 'virtio' },
          { name: 'data', bus: 'virtio' },
        ],
      },
    },
  };
  type Spec = typeof spec;
  const fields = async (write: Contribution['prepareDomain']): Promise<Record<string, string | undefined>> => {
    const lines = await explained(testHost([pluginOf('p', { prepareDomain: write as never })]), vmi(spec), TEST_FACTS);
    return Object.fromEntries(lines.filter(({ by }) => by?.plugin === 'p').map(({ path, by }) => [path, by?.field]));
  };

  it('is the one of that name and value, that very text, or what was read just before', async () => {
    const found = await fields(({ vmi: { spec, metadata } }, plan) => {
      const domain = (spec as unknown as Spec).domain;
      const { cpu, memory } = domain;
      const mebibytes = String(parseInt(memory.guest, 10));
      plan.domain.merge(el('memory', { unit: 'MiB' }, mebibytes));
      plan.domain.merge(el('cpu', { mode: cpu.model }, el('topology', { sockets: cpu.sockets, cores: cpu.cores })));
      plan.domain.merge(el('title', {}, 'nothing read'));
      plan.pod.merge({ metadata: { labels: { ...metadata.labels } }, spec: { flag: domain.on, fixed: true } });
    });
    expect(found).toEqual({
      'memory/text()': 'spec.domain.memory.guest',
      'memory/@unit': 'spec.domain.memory.guest',
      'cpu/@mode': 'spec.domain.cpu.model',
      'cpu/topology/@sockets': 'spec.domain.cpu.sockets',
      'cpu/topology/@cores': 'spec.domain.cpu.cores',
      'title/text()': undefined,
      'metadata.labels.app': 'metadata.labels.app',
      'spec.flag': 'metadata.labels.app, spec.domain.on',
      'spec.fixed': 'metadata.labels.app, spec.domain.on',
    });
  });

  it('is the disk, of several that look alike', async () => {
    const found = await fields(({ vmi: { spec } }, plan) => {
      const devices = plan.domain.at('devices');
      for (const { name, bus } of (spec as unknown as Spec).domain.devices.disks) {
        devices.add(el('disk', { device: 'disk' }, el('target', { bus }), el('alias', { name: `ua-${name}` })));
      }
    });
    expect(found).toMatchObject({
      'devices/disk[root]/target/@bus': 'spec.domain.devices.disks[0].bus',
      'devices/disk[data]/target/@bus': 'spec.domain.devices.disks[1].bus',
      'devices/disk[data]/@device': 'spec.domain.devices.disks[1]',
    });
  });

  it('is for what was found and merged as well, and for a tap that copies its input', async () => {
    const found = await fields(({ vmi: watched }, plan) => {
      const copy = structuredClone(watched);
      plan.domain.device(keyed('disk:x', el('disk', { device: 'disk' })));
      const { guest } = (watched.spec as unknown as Spec).domain.memory;
      plan.domain.find('disk:x')?.merge(el('iotune', { bytes: guest.length }));
      expect(copy).toEqual(vmi(spec));
    });
    expect(found['devices/disk/iotune/@bytes']).toBe('spec.domain.memory.guest');
    // Whoever looks at everything says nothing by it.
    expect(found['devices/disk/@device']).toBeUndefined();
  });

  it('changes nothing of the plan', async () => {
    const prepareDomain: Contribution['prepareDomain'] = ({ vmi: { metadata, spec } }, plan) => {
      plan.pod.merge({ metadata: { labels: { ...metadata.labels } }, spec: { given: structuredClone(spec) } });
    };
    const host = testHost([pluginOf('p', { prepareDomain })]);
    const plain = flatten(await plan(host, vmi(spec), TEST_FACTS));
    expect(compare(plain, await explained(host, vmi(spec), TEST_FACTS))).toEqual([]);
    expect(plain.length).toBeGreaterThan(10);
  });
});

describe('drift', () => {
  const none = fromObjects([]);
  /** Fills in a disk and a model, and makes the domain of them. */
  const maker = (model: string, version = '1.0.0') =>
    pluginOf(
      'maker',
      {
        defaultPreset: ({ vmi: given }) => {
          const { cpu, devices } = given?.spec.domain as { cpu?: { model?: string }; devices?: { disks?: object[] } };
          const patches = [];
          if (!cpu?.model) patches.push({ path: ['spec', 'domain', 'cpu', 'model'], value: model, why: 'the model' });
          const disks = devices?.disks ?? [];
          for (const name of ['one', 'two'].slice(Math.max(0, disks.length - 1))) {
            const path = ['spec', 'domain', 'devices', 'disks', disks.length + (name === 'one' ? 0 : 1)];
            if (disks.length < 3) patches.push({ path, value: { name } });
          }
          return patches;
        },
        prepareDomain({ vmi: { spec, metadata } }, plan) {
          const { cpu, devices } = spec.domain as {
            cpu?: { model?: string };
            devices?: { disks?: { name: string }[] };
          };
          plan.domain.merge(el('cpu', {}, el('model', {}, cpu?.model)));
          for (const { name } of devices?.disks ?? []) plan.domain.device(el('disk', {}, el('alias', { name })));
          const { mine } = metadata.annotations ?? {};
          plan.pod.merge({ metadata: { labels: { ...metadata.labels }, annotations: { mine } } });
        },
      },
      version,
    );
  async function started(host: ReturnType<typeof testHost>, given: Vmi): Promise<Vmi> {
    const { applyDefaults } = await import('./admission.ts');
    const user = { username: 'u', groups: [] };
    const { object, record } = await applyDefaults(host, { operation: 'CREATE', object: given as never, user });
    const noted = withDefaults(object, record) as unknown as Vmi;
    const facts = { ...TEST_FACTS, objects: [] };
    const notes = packRecord(await startRecord(host, noted, facts, await plan(host, noted, facts)));
    const labels = { ...noted.metadata.labels, 'kubevirt.io/nodeName': 'n1' };
    const annotations = { ...noted.metadata.annotations, ...notes, mine: 'later' };
    return { ...noted, metadata: { ...noted.metadata, labels, annotations } };
  }

  it('is none where nothing changed, whatever became of labels and annotations since', async () => {
    const host = testHost([maker('m')]);
    const running = await started(host, vmi({ domain: { devices: { disks: [{ name: 'own' }] } } }));
    const drift = await driftOf(host, running, TEST_FACTS.cluster, none);
    expect(drift).toEqual({ changes: [], plugins: [] });
    expect(drift && restartRequired(drift)).toBeUndefined();
  });

  it('takes defaults off again, and leaves what was given', async () => {
    const running = await started(testHost([maker('m')]), vmi({ domain: { devices: { disks: [{ name: 'own' }] } } }));
    expect(running.spec.domain.devices?.disks).toHaveLength(3);
    expect(asGiven(running, { labels: {}, annotations: {} }).spec).toEqual({
      domain: { cpu: {}, devices: { disks: [{ name: 'own' }] } },
    });
  });

  it('sees a default that is another today, and versions', async () => {
    const running = await started(testHost([maker('m')]), vmi());
    const drift = await driftOf(testHost([maker('n', '1.0.1')]), running, TEST_FACTS.cluster, none);
    expect(drift?.changes.map(({ path, after }) => `${path}=${after?.value}`)).toEqual(['cpu/model/text()=n']);
    expect(drift && restartRequired(drift)?.message).toBe(
      'a start today would change cpu/model/text() (maker); plugin maker was 1.0.0 and is 1.0.1',
    );
  });

  it('names the first few of many changes, and counts the others', () => {
    const lines = ['a', 'b', 'c', 'd', 'e'].map((path): Line => ({ section: 'pod', path, value: '1', by: undefined }));
    const record = { plugins: {}, cluster: TEST_FACTS.cluster, labels: {}, annotations: {}, lines: [] };
    const drift = driftFrom(record, lines, { plugins: [] });
    expect(restartRequired(drift)?.message).toBe('a start today would change a, b, c and 2 more');
  });

  it('records the plan that was made, also of a plugin that does otherwise when it is watched', async () => {
    const sly = pluginOf('sly', {
      prepareDomain({ vmi: { spec } }, plan) {
        const isWatched = Object.getOwnPropertyDescriptor(spec.domain, 'on')?.get !== undefined;
        plan.domain.merge(el('title', {}, isWatched ? 'watched' : 'alone'));
      },
    });
    const host = testHost([sly]);
    const given = vmi({ domain: { on: true } });
    const record = await startRecord(host, given, TEST_FACTS, await plan(host, given, TEST_FACTS));
    expect(domainOf([...record.lines]).map(shown)).toEqual(['title/text()=alone sly']);
  });

  it('is unknown of a VMI without a record', async () => {
    expect(await driftOf(testHost([maker('m')]), vmi(), TEST_FACTS.cluster, none)).toBeUndefined();
  });
});
