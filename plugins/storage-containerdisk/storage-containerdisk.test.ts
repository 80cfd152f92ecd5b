// The pod, the domain and the rules of container disks; the copying container run for real.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { definePlugin, el } from '../../core/index.ts';
import type { Facts, Plugin, Vmi, Volume } from '../../core/index.ts';
import { toXml } from '../../core/domain/xml.ts';
import { admitFor, planFor, TEST_FACTS } from '../../core/testing.ts';
import { pullPolicyOf } from './defaults.ts';
import containerDisk from './index.ts';

/** Puts disks in place as the plugin that owns disks does. */
const disks: Plugin = definePlugin({
  name: 'test-disks',
  version: '0.0.0',
  core: '^1.0.0',
  summary: 'disks of tests',
  writes: { pod: [''], domain: [''] },
  setup: () => ({
    prepareDomain(input, plan) {
      plan.domain.set({ type: 'qemu' });
      plan.domain.merge(el('name', {}, 'test'));
      plan.domain.merge(el('memory', {}, '65536'));
      plan.domain.merge(el('os', {}, el('type', {}, 'hvm')));
      input.disks.forEach(({ disk }, index) => {
        if (!disk) return;
        const target = el('target', { dev: `vd${'abc'[index] ?? 'z'}` });
        plan.domain.device(
          el('disk', { type: disk.type }, disk.source, el('driver', { ...disk.driver }), disk.backingStore, target),
        );
      });
    },
  }),
});

function vmiOf(...volumes: Volume[]): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'vm', namespace: 'ns', uid: 'u-1' },
    spec: { domain: {}, volumes },
  };
}
const root = (more: object = {}): Volume => ({ name: 'root', containerDisk: { image: 'registry:5000/os', ...more } });
const copying: Partial<Facts> = { cluster: { ...TEST_FACTS.cluster, imageVolumes: false } };
const planOf = (vmi: Vmi, facts: Partial<Facts> = {}) => planFor({ plugins: [containerDisk, disks], vmi, facts });

describe('the plan', () => {
  it('mounts the image where the cluster has image volumes', async () => {
    const { pod } = await planOf(vmiOf(root({ imagePullPolicy: 'Always', imagePullSecret: 'creds' })));
    expect(pod.value['spec']).toEqual({
      volumes: [{ name: 'volumeroot', image: { reference: 'registry:5000/os', pullPolicy: 'Always' } }],
      imagePullSecrets: [{ name: 'creds' }],
      containers: [
        {
          name: 'compute',
          volumeMounts: [{ name: 'volumeroot', mountPath: '/var/run/kubevirt-image-volume/disk_0', readOnly: true }],
        },
      ],
    });
  });

  it('has one step a disk, pure data', async () => {
    const { chains } = await planOf(vmiOf(root({ path: '/a/b.img' })));
    expect(chains).toEqual([
      {
        phase: 'disk',
        subject: 'disk/root',
        steps: [
          {
            id: 'storage-containerdisk/disk/root/overlay',
            plugin: 'storage-containerdisk',
            action: 'overlay',
            args: {
              volume: 'root',
              image: 'registry:5000/os',
              path: '/a/b.img',
              root: '/var/run/kubevirt-image-volume/disk_0',
              link: '/var/run/kubevirt/container-disks/disk_0.img',
              overlay: '/var/run/kubevirt-ephemeral-disks/disk-data/root/disk.qcow2',
            },
          },
        ],
      },
    ]);
  });

  it('gives the domain an overlay over the image, as KubeVirt does', async () => {
    const steps = { 'storage-containerdisk/disk/root/overlay': { format: 'raw', cache: 'writethrough' } };
    const { domain } = await planOf(vmiOf({ name: 'other', containerDisk: { image: 'x' } }, root()), { steps });
    const [first, second] = domain.children.find((child) => child.tag === 'devices')?.children ?? [];
    expect(first && toXml(first)).toContain('<driver type="qcow2" cache="none"/>');
    expect(second && toXml(second)).toBe(`<disk type="file">
  <source file="/var/run/kubevirt-ephemeral-disks/disk-data/root/disk.qcow2"/>
  <driver type="qcow2" cache="writethrough"/>
  <backingStore type="file">
    <format type="raw"/>
    <source file="/var/run/kubevirt/container-disks/disk_1.img"/>
  </backingStore>
  <target dev="vdb"/>
</disk>
`);
    expect(second?.children[0]?.by).toMatchObject({ plugin: 'storage-containerdisk' });
  });

  it('makes XML that libvirt knows', async () => {
    const { xml } = await planOf(vmiOf(root(), { name: 'other', containerDisk: { image: 'x' } }));
    const folder = mkdtempSync(join(tmpdir(), 'vl-containerdisk-'));
    try {
      writeFileSync(join(folder, 'domain.xml'), xml);
      execFileSync('virt-xml-validate', [join(folder, 'domain.xml'), 'domain'], { stdio: 'pipe' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('copies the disk where the cluster has no image volumes, unprivileged', async () => {
    const vmi = vmiOf(root(), {
      name: 'data',
      containerDisk: { image: 'x:1', path: '/d.raw', imagePullPolicy: 'Never' },
    });
    const { pod } = await planOf(vmi, copying);
    const spec = pod.value['spec'] as { volumes: unknown; initContainers: { name: string; securityContext: object }[] };
    expect(spec.volumes).toEqual([
      { name: 'container-disk-tools', emptyDir: {} },
      { name: 'volumeroot', emptyDir: {} },
      { name: 'volumedata', emptyDir: {} },
    ]);
    expect(spec.initContainers.map(({ name }) => name)).toEqual(['container-disk-tools', 'volumeroot', 'volumedata']);
    expect(spec.initContainers[2]).toMatchObject({ image: 'x:1', imagePullPolicy: 'Never' });
    for (const { securityContext } of spec.initContainers) {
      expect(securityContext).toMatchObject({ runAsUser: 107, runAsNonRoot: true, allowPrivilegeEscalation: false });
    }
  });
});

describe('the copying container', () => {
  let image: string;
  beforeEach(() => {
    image = mkdtempSync(join(tmpdir(), 'vl-image-'));
    mkdirSync(join(image, 'virtloom-tools'));
    mkdirSync(join(image, 'virtloom-disk'));
    copyFileSync('/bin/busybox', join(image, 'virtloom-tools/busybox'));
    execFileSync('chmod', ['755', image, join(image, 'virtloom-tools/busybox')]);
    execFileSync('chown', ['107:107', join(image, 'virtloom-disk')]);
  });
  afterEach(() => rmSync(image, { recursive: true }));

  /** Runs the container's command in an image that has nothing else. */
  async function run(source: object): Promise<void> {
    const { pod } = await planOf(vmiOf(root(source)), copying);
    const spec = pod.value['spec'] as { initContainers: { name: string; command: string[] }[] };
    const command = spec.initContainers.find(({ name }) => name === 'volumeroot')?.command ?? [];
    execFileSync('chroot', ['--userspec=107:107', image, ...command], { stdio: 'pipe' });
  }

  it('brings the folder /disk, links as links', async () => {
    mkdirSync(join(image, 'disk'));
    writeFileSync(join(image, 'disk/os.img'), 'bytes');
    symlinkSync('/etc/passwd', join(image, 'disk/link'));
    await run({});
    await run({});
    expect(readFileSync(join(image, 'virtloom-disk/disk/os.img'), 'utf8')).toBe('bytes');
    expect(readlinkSync(join(image, 'virtloom-disk/disk/link'))).toBe('/etc/passwd');
  });

  it('brings the file that is named, to the same path', async () => {
    mkdirSync(join(image, "a b/$(x)'"), { recursive: true });
    writeFileSync(join(image, "a b/$(x)'/-os"), 'bytes');
    await run({ path: "/a b/$(x)'/-os/" });
    expect(readFileSync(join(image, "virtloom-disk/a b/$(x)'/-os"), 'utf8')).toBe('bytes');
  });

  it('ends well without a disk, so that the step can tell', async () => {
    await run({});
    await run({ path: '/nowhere' });
  });
});

describe('defaults', () => {
  it.each([
    ['os', 'Always'],
    ['registry/os:latest', 'Always'],
    ['localhost:5000/os', 'Always'],
    ['registry/os:1', 'IfNotPresent'],
    ['localhost:5000/os:1', 'IfNotPresent'],
    [`registry/os@sha256:${'a'.repeat(64)}`, 'IfNotPresent'],
    [`registry/os:latest@sha256:${'a'.repeat(64)}`, 'IfNotPresent'],
  ])('%s is pulled %s', (image, policy) => {
    expect(pullPolicyOf(image)).toBe(policy);
  });

  it('fill in what is left open', async () => {
    const { object } = await admitFor({
      plugins: [containerDisk],
      object: vmiOf(root(), root({ imagePullPolicy: 'Never' })),
    });
    const volumes = (object as unknown as Vmi).spec.volumes ?? [];
    expect(volumes.map((volume) => volume.containerDisk?.imagePullPolicy)).toEqual(['Always', 'Never']);
  });
});

describe('rules', () => {
  const causesOf = async (vmi: Vmi) =>
    (await admitFor({ plugins: [containerDisk], object: vmi })).causes.map(
      ({ field, reason, message }) => `${field}: ${reason}: ${message}`,
    );
  const at = 'spec.volumes[0].containerDisk';
  const relative = `${at}: FieldValueInvalid: ${at} must be an absolute path to a file without relative components`;

  it.each<[string, object, string[]]>([
    ['no image', { image: undefined }, [`${at}.image: FieldValueRequired: ${at}.image is required`]],
    ['an empty image', { image: '' }, [`${at}.image: FieldValueRequired: ${at}.image is required`]],
    [
      'an image with blanks',
      { image: 'a b' },
      [`${at}.image: FieldValueInvalid: ${at}.image must be the name of an image, without blanks`],
    ],
    ['the root as path', { path: '/' }, [`${at}: FieldValueInvalid: ${at} must not point to root`]],
    ['a relative path', { path: 'disk/os.img' }, [relative]],
    ['a path that climbs', { path: '/disk/../../etc/shadow' }, [relative]],
    ['a path with a dot', { path: '/disk/./os.img' }, [relative]],
    ['a path with two slashes', { path: '//disk' }, [relative]],
    [
      'an unknown pull policy',
      { imagePullPolicy: 'Sometimes' },
      [
        `${at}.imagePullPolicy: FieldValueNotSupported: ${at}.imagePullPolicy: unsupported value "Sometimes": supported values: "Always", "IfNotPresent", "Never"`,
      ],
    ],
    ['an unknown field', { tag: 'x' }, [`${at}.tag: FieldValueInvalid: unknown field "${at}.tag"`]],
  ])('refuse %s', async (_, more, expected) => {
    expect(await causesOf(vmiOf(JSON.parse(JSON.stringify(root(more))) as Volume))).toEqual(expected);
  });

  it('accept a good one', async () => {
    expect(await causesOf(vmiOf(root({ path: '/disk/os.img/' })))).toEqual([]);
  });

  it('refuse a name that makes no name in the pod', async () => {
    const causes = await causesOf(vmiOf({ ...root(), name: 'x'.repeat(58) }));
    expect(causes[0]).toMatch(/^spec.volumes\[0\].name: FieldValueInvalid: .*no more than 57 characters/);
  });

  it('refuse a lun', async () => {
    const vmi = vmiOf(root());
    (vmi.spec.domain as { devices: unknown }).devices = { disks: [{ name: 'root', lun: {} }] };
    expect(await causesOf(vmi)).toContain(
      'spec.domain.devices.disks[0].lun: FieldValueInvalid: spec.domain.devices.disks[0].lun can only be mapped to a DataVolume or PersistentVolumeClaim volume.',
    );
  });

  it('survive every wrong type', async () => {
    for (const junk of [null, 5, 'text', [], true, { image: 7, path: {}, imagePullPolicy: [] }]) {
      expect((await causesOf(vmiOf({ name: 'a', containerDisk: junk } as unknown as Volume))).length).toBeGreaterThan(
        0,
      );
    }
  });
});
