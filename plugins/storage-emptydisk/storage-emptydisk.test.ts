// Empty disks: the plan, the rules, and the step against real qemu-img.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Json, Sandbox, Vmi, Volume } from '../../core/index.ts';
import { admitFor, planFor } from '../../core/testing.ts';
import { contextOf, killedAt, LocalSandbox } from '../../test/local-sandbox.ts';
import { actions } from './actions.ts';
import { sizeOf } from './capacity.ts';
import { quantity as quantityOf } from '../../core/index.ts';
import emptyDisk from './index.ts';
import { diskPath } from './types.ts';

const MIB = 1024 * 1024;

function vmiOf(capacity: unknown, devices?: object): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'vm', namespace: 'ns', uid: 'u-1' },
    spec: {
      domain: devices ? { devices } : {},
      volumes: [{ name: 'scratch', emptyDisk: { capacity } } as Volume],
    },
  };
}

describe('the plan', () => {
  it('has one step, and adds nothing to the pod', async () => {
    const { chains, pod } = await planFor({ plugins: [emptyDisk], vmi: vmiOf('2Gi') });
    expect(chains).toEqual([
      {
        phase: 'disk',
        subject: 'disk/scratch',
        steps: [
          {
            id: 'storage-emptydisk/disk/scratch/create',
            plugin: 'storage-emptydisk',
            action: 'create',
            args: { path: '/var/run/libvirt/empty-disks/scratch.qcow2', size: 2 ** 31 },
          },
        ],
      },
    ]);
    expect(pod.value['spec']).toBeUndefined();
  });
});

describe('a capacity', () => {
  it.each([
    ['2Gi', 2 ** 31],
    ['1G', 953 * MIB],
    ['1.5Mi', MIB],
    ['1e7', 9 * MIB],
    ['.5Gi', 512 * MIB],
    ['+3Mi', 3 * MIB],
    [5 * MIB + 1, 5 * MIB],
    ['1048575', 0],
  ])('%s is a disk of %i bytes', (quantity, size) => {
    expect(sizeOf(quantity)).toBe(size);
  });
  it.each(['', 'x', '1 Gi', '1gi', 'Gi', '0x10', '1e', '--1', '1Gi\n', 'NaN', 'Infinity'])('%j is none', (quantity) => {
    expect(quantityOf(quantity)).toBeUndefined();
  });
});

describe('rules', () => {
  const at = 'spec.volumes[0].emptyDisk.capacity';
  const causesOf = async (vmi: Vmi) =>
    (await admitFor({ plugins: [emptyDisk], object: vmi })).causes.map(
      ({ field, reason, message }) => `${field}: ${reason}: ${message}`,
    );

  it('accept a capacity', async () => {
    expect(await causesOf(vmiOf('2Gi'))).toEqual([]);
    expect(await causesOf(vmiOf(2097152))).toEqual([]);
  });

  it.each([
    [undefined, `${at}: FieldValueRequired: ${at} is required`],
    ['lots', `${at}: FieldValueInvalid: ${at} is not a quantity such as 2Gi: "lots"`],
    ['0', `${at}: FieldValueInvalid: ${at} must be at least 1Mi`],
    ['-1Gi', `${at}: FieldValueInvalid: ${at} must be at least 1Mi`],
    ['1000k', `${at}: FieldValueInvalid: ${at} must be at least 1Mi`],
    ['8Ei', `${at}: FieldValueInvalid: ${at} must be at most 2Pi`],
    [true, `${at}: FieldValueInvalid: ${at} must be an integer or a string: true`],
  ])('refuse %s', async (capacity, expected) => {
    const vmi = JSON.parse(JSON.stringify(vmiOf(capacity))) as Vmi;
    expect(await causesOf(vmi)).toEqual([expected]);
  });

  it('refuse a lun', async () => {
    const causes = await causesOf(vmiOf('2Gi', { disks: [{ name: 'scratch', lun: {} }] }));
    expect(causes.join()).toContain('can only be mapped to a DataVolume or PersistentVolumeClaim volume.');
  });

  it('survive every wrong type', async () => {
    for (const junk of [null, 5, 'text', [], true]) {
      const vmi = vmiOf('1Gi');
      (vmi.spec.volumes as unknown[])[0] = { name: 'scratch', emptyDisk: junk };
      expect((await causesOf(vmi)).length).toBeGreaterThan(0);
    }
  });
});

describe('the step', () => {
  const PATH = diskPath('scratch');
  const ARGS = { path: PATH, size: 64 * MIB };
  let sandbox: LocalSandbox;
  beforeEach(async () => {
    sandbox = await LocalSandbox.start();
  });
  afterEach(() => sandbox.stop());

  const action = actions['create'] as NonNullable<(typeof actions)['create']>;
  const apply = (args: Record<string, Json> = ARGS, box: Sandbox = sandbox) => action.apply(contextOf(box), args);
  const info = () =>
    JSON.parse(execFileSync('qemu-img', ['info', '--output=json', join(sandbox.root, PATH)]).toString()) as object;

  it('makes a sparse disk of that size, the user own', async () => {
    expect(await apply()).toEqual({ cache: 'none' });
    expect(info()).toMatchObject({ format: 'qcow2', 'virtual-size': 64 * MIB });
    const { blocks, uid } = statSync(join(sandbox.root, PATH));
    expect(blocks * 512).toBeLessThan(MIB);
    expect(uid).toBe(107);
  });

  it('makes even the largest that the rules let pass', async () => {
    await apply({ ...ARGS, size: 2 ** 51 });
    expect(info()).toMatchObject({ 'virtual-size': 2 ** 51 });
  });

  it('never touches what the guest wrote', async () => {
    await apply();
    await sandbox.exec(['qemu-io', '-f', 'qcow2', '-c', 'write -P 0x77 0 64k', PATH], { in: 'pod' });
    const before = readFileSync(join(sandbox.root, PATH));
    expect(await apply()).toEqual({ cache: 'none' });
    expect(readFileSync(join(sandbox.root, PATH)).equals(before)).toBe(true);
  });

  it('comes to the same end after it was killed', async () => {
    for (const when of ['before', 'after'] as const) {
      await expect(apply(ARGS, killedAt(sandbox, 1, when))).rejects.toThrow('killed');
      await apply();
      expect(info()).toMatchObject({ 'virtual-size': 64 * MIB });
      await action.revert?.(contextOf(sandbox), ARGS, undefined);
    }
    await sandbox.exec(['sh', '-c', 'mkdir -p "${1%/*}" && echo junk > "$1.part"', 'sh', PATH], { in: 'pod' });
    await apply();
    expect(info()).toMatchObject({ format: 'qcow2', 'virtual-size': 64 * MIB });
  });

  it('leaves nothing behind when it is undone, twice or with the pod gone', async () => {
    await apply();
    for (const box of [sandbox, sandbox, undefined]) {
      await action.revert?.({ ...contextOf(sandbox), sandbox: box }, ARGS, undefined);
    }
    expect(existsSync(join(sandbox.root, PATH))).toBe(false);
  });
});
