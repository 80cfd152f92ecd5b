// What the tests of this folder need: a VMI, a volume source that is there for tests only, and libvirt's own schema check.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { definePlugin, el } from '../../core/index.ts';
import type { DiskAttachment, Disk, Plugin, Vmi, Volume } from '../../core/index.ts';

/** A volume whose attachment is what the manifest says. */
export interface TestVolume extends Volume {
  test: { type?: string; driver?: Record<string, string>; readonly?: boolean; none?: boolean };
}

export const testVolumes: Plugin = definePlugin({
  name: 'test-volumes',
  version: '0.0.0',
  core: '^1.0.0',
  summary: 'volumes of tests',
  writes: { pod: [''], domain: [''] },
  api: [
    {
      path: 'spec.volumes[].test',
      schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      oneOf: 'source',
    },
  ],
  setup: () => ({
    attachDisk: {
      test({ volume }): DiskAttachment {
        const { type = 'file', driver = { type: 'raw', cache: 'none' }, readonly, none } = (volume as TestVolume).test;
        if (none === true) return {};
        const attribute = type === 'block' ? 'dev' : 'file';
        return {
          disk: {
            type,
            source: el('source', { [attribute]: `/test/${volume.name}` }),
            driver,
            ...(readonly === undefined ? {} : { readonly }),
          },
        };
      },
    },
  }),
});

/** The rest of a domain, so that libvirt's schema can be asked. */
export const testFrame: Plugin = definePlugin({
  name: 'test-frame',
  version: '0.0.0',
  core: '^1.0.0',
  summary: 'a domain around the disks',
  writes: { pod: [''], domain: [''] },
  setup: () => ({
    prepareDomain(_, plan) {
      plan.domain.set({ type: 'qemu' });
      plan.domain.merge(el('name', {}, 'test'));
      plan.domain.merge(el('memory', { unit: 'MiB' }, '64'));
      plan.domain.merge(el('os', {}, el('type', { arch: 'x86_64', machine: 'q35' }, 'hvm')));
    },
  }),
});

/** A VMI of these disks, each with a volume of its name unless `volumes` says more. */
export function vmiOf(disks: Disk[], rest: { volumes?: Volume[]; domain?: object; devices?: object } = {}): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'vm', namespace: 'ns', uid: 'u-1' },
    spec: {
      domain: { ...rest.domain, devices: { ...rest.devices, disks } },
      volumes: rest.volumes ?? disks.map(({ name }) => ({ name, test: {} }) as TestVolume),
    },
  };
}

/** Asks libvirt's schema; throws with its complaint. */
export async function validateXml(xml: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'vl-disks-'));
  try {
    const file = join(folder, 'domain.xml');
    await writeFile(file, xml);
    await promisify(execFile)('virt-xml-validate', [file, 'domain']);
  } finally {
    await rm(folder, { recursive: true });
  }
}
