import { describe, expect, it } from 'vitest';
import { el, keyed } from './domain/element.ts';
import { parseXml, toXml } from './domain/xml.ts';
import { definePlugin, type AttachDiskTap, type Plugin, type PrepareTap } from './plugin.ts';
import { admitFor, planFor, testHost } from './testing.ts';
import type { Vmi, Volume } from './types.ts';

const vmi: Vmi = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'a', namespace: 'default', uid: 'u1' },
  spec: {
    domain: { devices: { disks: [{ name: 'root' }], interfaces: [{ name: 'net', tube: {} } as never] } },
    volumes: [{ name: 'root', brick: { size: 3 } } as never],
    networks: [{ name: 'net', pod: {} } as never],
  },
};

const brick = definePlugin({
  name: 'brick',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'bricks',
  writes: { pod: [''], domain: [''] },
  api: [
    {
      path: 'spec.volumes[].brick',
      schema: { type: 'object', properties: { size: { type: 'integer' } } },
      oneOf: 'source',
    },
  ],
  setup: () => ({
    attachDisk: {
      brick: ({ volume, result }) => ({
        pod: { spec: { volumes: [{ name: volume.name, emptyDir: {} }] } },
        compute: { volumeMounts: [{ name: volume.name, mountPath: `/bricks/${volume.name}` }] },
        steps: [{ id: 'lay', action: 'lay', args: { name: volume.name } }],
        overhead: [{ mebibytes: 3, why: 'mortar' }],
        disk: {
          type: 'file',
          source: el('source', { file: `/bricks/${volume.name}/${String(result('lay') ?? 'unlaid')}` }),
          driver: { name: 'qemu', type: 'raw' },
        },
      }),
    },
  }),
});
const tube = definePlugin({
  name: 'tube',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'tubes',
  writes: { pod: [''], domain: [''] },
  api: [
    { path: 'spec.domain.devices.interfaces[].tube', schema: { type: 'object' }, oneOf: 'binding' },
    { path: 'spec.networks[].pod', schema: { type: 'object' }, oneOf: 'source' },
  ],
  setup: () => ({
    attachNetwork: {
      sources: { pod: () => ({ podInterface: 'eth0' }) },
      bindings: {
        tube: ({ source }) => ({
          steps: [{ id: 'bore', action: 'bore', args: { from: source.podInterface } }],
          migratable: { reason: 'Tubes', message: 'tubes cannot move' },
        }),
      },
    },
  }),
});
const frame: Plugin = definePlugin({
  name: 'frame',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'the domain around it',
  writes: { pod: [''], domain: [''] },
  setup: () => ({
    prepareDomain: {
      first: (_, plan) => plan.domain.merge(el('memory', { unit: 'MiB' }, '64')),
      main: ({ disks }, plan) => {
        for (const disk of disks) {
          if (!disk.disk) continue;
          plan.domain.device(keyed(`disk:${disk.name}`, el('disk', { type: disk.disk.type }, disk.disk.source)));
        }
      },
      last: (_, plan) => plan.pod.merge({ metadata: { annotations: { overhead: String(plan.overheadSoFar()) } } }),
    },
  }),
});

describe('plan', () => {
  it('weaves pod, domain and steps, each signed by its maker', async () => {
    const result = await planFor({ plugins: [brick, tube, frame], vmi });
    expect(result.xml).toBe(
      [
        '<domain>',
        '  <memory unit="MiB">64</memory>',
        '  <devices>',
        '    <disk type="file">',
        '      <source file="/bricks/root/unlaid"/>',
        '    </disk>',
        '  </devices>',
        '</domain>',
        '',
      ].join('\n'),
    );
    const disk = result.domain.children[1]?.children[0];
    expect(disk?.by).toEqual({ plugin: 'frame', tap: 'prepareDomain.main' });
    expect(disk?.children[0]?.by).toEqual({ plugin: 'brick', tap: 'attachDisk.brick', field: 'spec.volumes[0]' });
    expect(result.chains).toEqual([
      {
        phase: 'disk',
        subject: 'disk/root',
        steps: [{ id: 'brick/disk/root/lay', plugin: 'brick', action: 'lay', args: { name: 'root' } }],
      },
      {
        phase: 'network',
        subject: 'nic/net',
        steps: [{ id: 'tube/nic/net/bore', plugin: 'tube', action: 'bore', args: { from: 'eth0' } }],
      },
    ]);
    expect(result.pod.value).toMatchObject({
      metadata: { generateName: 'virt-launcher-a-', annotations: { overhead: '3' } },
      spec: { containers: [{ name: 'compute', volumeMounts: [{ name: 'root', mountPath: '/bricks/root' }] }] },
    });
    expect(result.pod.owners.get('spec.volumes[name=root].name')?.plugin).toBe('brick');
    expect(result.blockers).toMatchObject([
      { reason: 'Tubes', by: { plugin: 'tube' } },
      // No plugin of these has a part in migration.
      { reason: 'NotMigratable', by: { plugin: 'core' } },
    ]);
  });

  it('takes results of steps as facts', async () => {
    const facts = { steps: { 'brick/disk/root/lay': 'laid' } };
    const { xml } = await planFor({ plugins: [brick, tube, frame], vmi, facts });
    expect(xml).toContain('/bricks/root/laid');
  });

  it('names both sides of a conflict', async () => {
    const rival = definePlugin({
      name: 'rival',
      version: '1.0.0',
      core: '^1.0.0',
      summary: 'wants more memory',
      writes: { pod: [''], domain: [''] },
      setup: () => ({ prepareDomain: (_, plan) => plan.domain.merge(el('memory', { unit: 'GiB' })) }),
    });
    await expect(planFor({ plugins: [brick, tube, frame, rival], vmi })).rejects.toThrow(
      'memory/@unit: plugin "frame" set "MiB", plugin "rival" sets "GiB". One of them must leave it.',
    );
  });

  it('takes command and args whole, repeats and all', async () => {
    const cook = (name: string, args: string[]) =>
      definePlugin({
        name,
        version: '1.0.0',
        core: '^1.0.0',
        summary: 'sets args',
        writes: { pod: ['spec.containers[compute].args'] },
        setup: () => ({ prepareDomain: (_, plan) => plan.pod.compute({ args }) }),
      });
    const args = ['--a', '1', '--b', '1'];
    const { pod } = await planFor({ plugins: [brick, tube, cook('one', args), cook('same', args)], vmi });
    expect(pod.value).toMatchObject({ spec: { containers: [{ args }] } });
    await expect(planFor({ plugins: [brick, tube, cook('one', args), cook('two', ['--a'])], vmi })).rejects.toThrow(
      'pod spec.containers[name=compute].args: plugin "one" set',
    );
  });

  it('names the field of a source that no plugin handles', async () => {
    await expect(planFor({ plugins: [tube, frame], vmi })).rejects.toThrow(
      'spec.volumes[0]: no enabled plugin handles volume source "brick". Enabled: (none).',
    );
  });

  it('contains a tap that throws, and one that hangs', async () => {
    const bomb = definePlugin({
      name: 'bomb',
      version: '1.0.0',
      core: '^1.0.0',
      summary: 'throws',
      writes: { pod: [''], domain: [''] },
      setup: () => ({
        prepareDomain: () => {
          throw new Error('boom');
        },
      }),
    });
    await expect(planFor({ plugins: [brick, tube, bomb], vmi })).rejects.toThrow(
      'prepareDomain.main of plugin "bomb" failed: boom',
    );
    const ignored = await planFor({ plugins: [brick, tube, frame, { plugin: bomb, failurePolicy: 'Ignore' }], vmi });
    expect(ignored.xml).toContain('memory');
    const sloth = definePlugin({
      name: 'sloth',
      version: '1.0.0',
      core: '^1.0.0',
      summary: 'hangs',
      writes: { pod: [''], domain: [''] },
      setup: () => ({ prepareDomain: () => new Promise<void>(() => undefined) }),
    });
    await expect(planFor({ plugins: [brick, tube, { plugin: sloth, timeoutMs: 20 }], vmi })).rejects.toThrow(
      'prepareDomain.main of plugin "sloth" gave no answer in 20 ms',
    );
  });

  it('is not changed by a literal that a plugin uses twice', async () => {
    const shared = el('cpu', { mode: 'a' });
    const constant = definePlugin({
      name: 'constant',
      version: '1.0.0',
      core: '^1.0.0',
      summary: 'reuses a literal',
      writes: { pod: [''], domain: [''] },
      setup: () => ({ prepareDomain: { first: (_, plan) => plan.domain.merge(shared) } }),
    });
    const adder = definePlugin({
      name: 'adder',
      version: '1.0.0',
      core: '^1.0.0',
      summary: 'adds to it',
      writes: { pod: [''], domain: [''] },
      setup: () => ({ prepareDomain: ({ vmi }, plan) => plan.domain.merge(el('cpu', { who: vmi.metadata.name })) }),
    });
    const host = [brick, tube, constant, adder];
    await planFor({ plugins: host, vmi });
    const other = { ...vmi, metadata: { ...vmi.metadata, name: 'b' } };
    expect((await planFor({ plugins: host, vmi: other })).xml).toContain('<cpu mode="a" who="b"/>');
  });
});

describe('host', () => {
  it('keeps the fields of disks, NICs, volumes and networks apart', () => {
    const owner = (path: string) =>
      definePlugin({ ...frame, name: path.length.toString(36), api: [{ path, schema: { type: 'integer' } }] });
    const lists = ['domain.devices.disks', 'domain.devices.interfaces', 'volumes', 'networks'];
    expect(() => testHost(lists.map((list) => owner(`spec.${list}[].bootOrder`)))).not.toThrow();
  });

  it('refuses two plugins for one key, one field, or one name, and circles', () => {
    const twin = { ...brick, name: 'brick2' };
    expect(() => testHost([brick, twin])).toThrow('"brick" is claimed by plugin "brick" and by plugin "brick2"');
    expect(() => testHost([brick, { ...twin, setup: () => ({}) }])).toThrow(
      'field spec.volumes[].brick is claimed by plugin "brick" and by plugin "brick2"',
    );
    expect(() => testHost([brick, brick])).toThrow('plugin "brick" is listed twice');
    expect(() =>
      testHost([
        { ...frame, name: 'a', after: ['b'] },
        { ...frame, name: 'b', after: ['a'] },
      ]),
    ).toThrow('plugins order themselves in a circle: a -> b -> a');
    expect(() => testHost([{ ...frame, requires: ['ghost'] }])).toThrow('plugin "frame" needs plugin "ghost"');
  });
});

describe('admission', () => {
  const object = (spec: unknown) => ({ ...vmi, spec }) as unknown as Vmi;
  const check = async (spec: unknown) =>
    (
      await admitFor({
        plugins: [brick, tube],
        object: object(spec),
        options: { knownFields: { 'spec.domain.devices.tpm': 'tpm', 'spec.volumes[].hostDisk': 'storage-hostdisk' } },
      })
    ).causes;

  it('accepts what the plugins own', async () => {
    expect(await check(vmi.spec)).toEqual([]);
  });

  it('reports every cause at once, with its field', async () => {
    const causes = await check({
      domain: { devices: { tpm: {}, disks: [{ name: 7 }] } },
      volumes: [{ name: 'a', brick: { size: 'x' } }, { name: 'b', hostDisk: {} }, { name: 'c' }],
      nonsense: 1,
    });
    expect(causes.map(({ field, reason }) => `${field} ${reason}`)).toEqual([
      'spec.domain.devices.tpm FieldValueNotSupported',
      'spec.volumes[1].hostDisk FieldValueNotSupported',
      'spec.nonsense FieldValueInvalid',
      'spec.domain.devices.disks[0].name FieldValueInvalid',
      'spec.volumes[0].brick.size FieldValueInvalid',
      'spec.volumes[2] FieldValueRequired',
    ]);
    expect(causes[0]?.message).toContain('enable plugin "tpm"');
  });
});

describe('domain XML', () => {
  it('comes back as it went', () => {
    const tree = el('domain', { type: 'qemu' }, el('name', {}, 'a & <b>\n"c"'), el('devices', {}, el('disk')));
    expect(toXml(parseXml(toXml(tree)))).toBe(toXml(tree));
  });
  it('refuses what XML cannot carry, and documents that are broken', () => {
    expect(() => toXml(el('name', {}, 'a\u0000b'))).toThrow('XML cannot carry');
    expect(() => parseXml('<a><b></a>')).toThrow('not a well-formed document');
    expect(() => parseXml('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>')).toThrow('DOCTYPE');
  });
});

describe('steps of other moments, and rewrites', () => {
  const maker = (name: string, prepareDomain: PrepareTap, attachDisk: AttachDiskTap = () => ({})): Plugin =>
    definePlugin({
      ...{ name, version: '1.0.0', core: '^1.0.0', summary: name },
      setup: () => ({ prepareDomain, attachDisk: { [name]: attachDisk } }),
    });
  const vmi = (volumes: Volume[] = []): Vmi => ({
    ...{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance' },
    metadata: { name: 'vm', namespace: 'ns' },
    spec: { domain: {}, volumes },
  });

  it('stand in chains of their own, also those of a disk, with what a failure does', async () => {
    const { chains } = await planFor({
      plugins: [
        maker(
          'a',
          (_, plan) => {
            plan.step({ id: 'now', action: 'x' });
            plan.step({ id: 'after', action: 'x', at: 'started', failurePolicy: 'Ignore' });
            plan.step({ id: 'end', action: 'x', at: 'stopping', failurePolicy: 'Fail' });
          },
          () => ({
            steps: [
              { id: 'make', action: 'x' },
              { id: 'told', action: 'x', at: 'started' },
            ],
          }),
        ),
      ],
      vmi: vmi([{ name: 'd', a: {} } as Volume]),
    });
    expect(
      chains.map(({ phase, subject, steps }) => [phase, subject, ...steps.map((one) => [one.id, one.failurePolicy])]),
    ).toEqual([
      ['started', 'disk/d', ['a/disk/d/told', undefined]],
      ['disk', 'disk/d', ['a/disk/d/make', undefined]],
      ['domain', 'domain', ['a/domain/now', undefined]],
      ['started', 'domain', ['a/domain/after', 'Ignore']],
      ['stopping', 'domain', ['a/domain/end', undefined]],
    ]);
  });

  it('are signed, in the order of the taps, and gone with a tap that is ignored', async () => {
    const asks: PrepareTap = (_, plan) => {
      plan.rewrite({ id: 'r', action: 'x', args: { n: 1 }, field: 'spec.x' });
      plan.rewrite({ id: 'l', of: 'letter', action: 'x' });
    };
    const fails: PrepareTap = (input, plan) => {
      void asks(input, plan);
      plan.step({ id: 's', action: 'x', at: 'stopping' });
      throw new Error('half-way');
    };
    const { rewrites, chains } = await planFor({
      plugins: [maker('a', asks), { plugin: maker('b', fails), failurePolicy: 'Ignore' }, maker('c', asks)],
      vmi: vmi(),
    });
    expect(chains).toEqual([]);
    expect(rewrites.map(({ id, of }) => `${id} ${of}`)).toEqual([
      ...['a/rewrite/r domain', 'a/rewrite/l letter', 'c/rewrite/r domain', 'c/rewrite/l letter'],
    ]);
    expect(rewrites[0]).toEqual({
      ...{ id: 'a/rewrite/r', plugin: 'a', action: 'x', args: { n: 1 }, of: 'domain' },
      by: { plugin: 'a', tap: 'prepareDomain.main', field: 'spec.x' },
    });
  });
});
