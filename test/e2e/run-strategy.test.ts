// What becomes of a VM whose guest ends by itself, in order or not, by each run strategy; with the platform there and without.
import { readFileSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Census } from '../support/census.ts';
import { waitFor } from '../support/command.ts';
import { Platform, type VmiLike } from '../support/platform.ts';
import { waitForNoTraces } from './traces.ts';

const STRATEGIES = { always: 'Always', rerun: 'RerunOnFailure', manual: 'Manual', once: 'Once' };
type Vm = keyof typeof STRATEGIES;
const VMS = Object.keys(STRATEGIES) as Vm[];

const manifest = (name: Vm): string =>
  `${JSON.stringify({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name },
    spec: {
      runStrategy: STRATEGIES[name],
      template: {
        spec: {
          terminationGracePeriodSeconds: 5,
          domain: {
            devices: {
              disks: ['root', 'data'].map((disk) => ({ name: disk, disk: { bus: 'virtio' } })),
              interfaces: [{ name: 'default', masquerade: {} }],
            },
            memory: { guest: '96Mi' },
          },
          networks: [{ name: 'default', pod: {} }],
          volumes: [
            { name: 'root', containerDisk: { image: 'localhost/virtloom/tiny:1' } },
            { name: 'data', cloudInitNoCloud: { userData: '#!/bin/sh\ntiny-http-shell\n' } },
          ],
        },
      },
    },
  })}\n`;

let platform: Platform;
let before: Census;
const boots = new Map<Vm, string>();

beforeAll(async () => {
  platform = await Platform.start();
  before = await platform.census();
  for (const vm of VMS) await platform.apply(manifest(vm));
  expect((await platform.virtloom(['start', 'manual'])).stderr).toBe('');
  for (const vm of VMS) await expectAnotherBoot(vm);
});
afterAll(() => platform?.dispose());

async function expectAnotherBoot(vm: Vm): Promise<void> {
  const boot = await waitFor(
    `another boot of ${vm}`,
    async () => {
      const { boot_id = '' } = await platform.waitForGuest(vm, 5_000);
      return boot_id !== boots.get(vm) && boot_id;
    },
    90_000,
  );
  boots.set(vm, boot);
}

/** Has ended and is not started again. Its VMI stays, in this phase; or is gone, where none is given. */
async function expectEnd(vm: Vm, phase?: string): Promise<void> {
  await waitFor(`${vm} is Stopped and its VMI ${phase ?? 'gone'}`, async () => {
    const word = (await platform.get<{ status: { printableStatus: string } }>('vm', vm))?.status.printableStatus;
    const now = (await platform.get<VmiLike>('vmi', vm))?.status?.phase;
    if (word === 'Stopped' && now === phase) return true;
    throw new Error(`${word}, ${now}`);
  });
}

async function powerOff(vm: Vm, inSeconds = 0.2): Promise<void> {
  const { ip } = await platform.waitForGuest(vm);
  const curl = ['curl', '-sS', '--noproxy', '*', '--data-binary', '@-', `http://${ip}/cgi-bin/sh`];
  await platform.exec(curl, { input: `(sleep ${inSeconds}; poweroff) >/dev/null 2>&1 &` });
}

/** QEMU's process id. */
async function qemuOf(vm: Vm): Promise<number> {
  const uid = (await platform.get<{ metadata: { uid: string } }>('vmi', vm))?.metadata.uid ?? 'no VMI';
  const pids = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const argv = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return argv[0]?.includes('qemu-system') === true && argv.some((word) => word.includes(uid));
    } catch {
      return false;
    }
  });
  expect(pids).toHaveLength(1);
  return Number(pids[0]);
}

it('guests that shut themselves down come back by Always alone', async () => {
  for (const vm of VMS) await powerOff(vm);
  await expectEnd('rerun');
  await expectEnd('manual', 'Succeeded');
  await expectEnd('once', 'Succeeded');
  await expectAnotherBoot('always');
});

it('those that may be started by hand are', async () => {
  for (const vm of ['rerun', 'manual'] as const) {
    expect((await platform.virtloom(['start', vm])).stderr).toBe('');
  }
  const refused = await platform.virtloom(['start', 'once']);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('Once');
  for (const vm of ['rerun', 'manual'] as const) await expectAnotherBoot(vm);
});

it('guests whose QEMU is killed come back by Always and RerunOnFailure', async () => {
  for (const vm of ['always', 'rerun', 'manual'] as const) process.kill(await qemuOf(vm), 'SIGKILL');
  await expectEnd('manual', 'Failed');
  for (const vm of ['always', 'rerun'] as const) await expectAnotherBoot(vm);
});

it('it makes no difference that the platform is away when guests end', async () => {
  const { ip } = await platform.waitForGuest('rerun');
  const qemu = await qemuOf('always');
  await powerOff('rerun', 2);
  await platform.kill9();
  process.kill(qemu, 'SIGKILL');
  await waitFor('the guest does not answer', async () => !(await answers(ip)));
  await platform.up();
  await expectEnd('rerun');
  await expectAnotherBoot('always');
});

const answers = (ip: string): Promise<boolean> =>
  platform.http(`http://${ip}/`, 1).then(
    () => true,
    () => false,
  );

it('nothing is left when they are deleted', async () => {
  await platform.kubectl(['delete', 'vm', '--all', '--timeout=90s']);
  await waitFor('no object is left', async () => (await platform.kubectl(['get', 'vm,vmi,pods', '-o', 'name'])) === '');
  await waitForNoTraces(platform, before);
});
