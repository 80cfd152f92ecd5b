// kill -9 of the platform in the middle of VMs' starts and ends: what was begun is brought to its end, guests that run do not notice.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Census } from '../support/census.ts';
import { waitFor } from '../support/command.ts';
import { Platform } from '../support/platform.ts';
import { type Moment, reach } from './moments.ts';
import { waitForNoTraces } from './traces.ts';

/** `kind`'s name is the VM's, or begins with its pod's name. */
const named = (is: (object: Parameters<NonNullable<Moment['is']>>[0]) => boolean): NonNullable<Moment['is']> => {
  return (object, vm) =>
    (object.metadata.name === vm || object.metadata.name.startsWith(`virt-launcher-${vm}-`)) && is(object);
};

const STARTS: Moment[] = [
  { at: 'its VM is made', kind: 'vm', is: named(() => true) },
  { at: 'its VMI is made', kind: 'vmi', is: named(() => true) },
  { at: 'its pod is made', kind: 'pod', is: named((pod) => pod.spec?.nodeName === undefined) },
  { at: 'its pod is bound', kind: 'pod', is: named((pod) => pod.spec?.nodeName !== undefined) },
  { at: 'its pod runs', kind: 'pod', is: named((pod) => pod.status?.phase === 'Running') },
  { at: 'its VMI is Scheduled', kind: 'vmi', is: named((vmi) => vmi.status?.phase === 'Scheduled') },
  { at: 'its first node step is begun', journal: '"begun"' },
  { at: 'its network is set up', journal: '"applied"' },
  { at: 'its domain is defined', journal: '{"guest":"starting"}' },
  { at: 'its guest is started', journal: '{"guest":"started"}' },
  { at: 'its VMI is Running', kind: 'vmi', is: named((vmi) => vmi.status?.phase === 'Running') },
];

const ENDS: Moment[] = [
  { at: 'its deletion is begun', kind: 'vm', is: named((vm) => vm.metadata.deletionTimestamp !== undefined) },
  {
    at: 'its guest is told to shut down',
    kind: 'event',
    is: ({ reason, involvedObject }, vm) => reason === 'ShuttingDown' && involvedObject?.name === vm,
  },
  { at: 'its guest has ended', journal: '{"ended"' },
  { at: 'its network is taken down', journal: '"reverted"' },
  {
    at: 'its VMI is let go',
    kind: 'event',
    is: ({ reason, involvedObject }, vm) => reason === 'Deleted' && involvedObject?.name === vm,
  },
  { at: 'its pod terminates', kind: 'pod', is: named((pod) => pod.metadata.deletionTimestamp !== undefined) },
];

const WITNESS = 'witness';
const nameOf = (moment: Moment): string => `vm-${STARTS.indexOf(moment)}`;

/** The guest's own time since its boot, each second. */
const TICKS = '                - (while read -r up idle </proc/uptime; do echo $up >>/www/ticks.txt; sleep 1; done) &';

const manifest = (name: string): string => `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: { name: ${name} }
spec:
  runStrategy: Always
  template:
    spec:
      terminationGracePeriodSeconds: 10
      domain:
        devices:
          disks:
            - { name: root, disk: { bus: virtio } }
            - { name: data, disk: { bus: virtio } }
          interfaces: [{ name: default, masquerade: {} }]
        memory: { guest: 96Mi }
      networks: [{ name: default, pod: {} }]
      volumes:
        - { name: root, containerDisk: { image: 'localhost/virtloom/tiny:1' } }
        - name: data
          cloudInitNoCloud:
            userData: |
              #cloud-config
              hostname: ${name}
              runcmd:
                - cat /proc/sys/kernel/random/boot_id >/www/boot.txt
${name === WITNESS ? TICKS : ''}
`;

let platform: Platform;
let before: Census;
/** Guests that have answered: VM to boot id. */
const boots = new Map<string, string>();
const addresses = new Map<string, string>();

beforeAll(async () => {
  platform = await Platform.start();
  before = await platform.census();
  await platform.apply(manifest(WITNESS));
  await remember(WITNESS);
});
afterAll(() => platform?.dispose());
// A test that failed while the platform was down must not take the rest with it.
beforeEach(async () => {
  if (platform.pid === undefined) await platform.up();
});

async function remember(vm: string): Promise<void> {
  const { boot_id = '', ip } = await platform.waitForGuest(vm, 120_000);
  boots.set(vm, boot_id);
  addresses.set(vm, ip);
}

/** A page of the guest's web server. Needs nothing of the platform. */
const page = (vm: string, file: string): Promise<string> => platform.http(`http://${addresses.get(vm)}/${file}`);

const ticks = async (): Promise<number[]> => (await page(WITNESS, 'ticks.txt')).trim().split('\n').map(Number);

/** Kills the platform at the moment, sees that guests do without it, and starts it again. */
async function crash(moment: Moment, vm: string, begin: () => Promise<unknown>): Promise<void> {
  await reach(platform, moment, vm, begin);
  await platform.kill9();
  await expectSameGuests();
  await platform.up();
}

async function podsOf(vm: string): Promise<string[]> {
  const pods = await platform.kubectl(['get', 'pods', '-l', `vm.kubevirt.io/name=${vm}`, '-o', 'name']);
  return pods.split('\n').filter((name) => name !== '');
}

/** Every guest that has ever answered, but for those that were told to end, still answers and is the same. */
async function expectSameGuests(): Promise<void> {
  for (const [vm, boot] of boots) expect((await page(vm, 'boot.txt')).trim()).toBe(boot);
}

let clock: { host: number; guest: number };

describe('killed while', () => {
  it('nothing happens, it finds its guest', async () => {
    clock = { host: performance.now(), guest: (await ticks()).at(-1) ?? 0 };
    await platform.kill9();
    await platform.up();
    await expectSameGuests();
  });

  it.each(STARTS)('a VM starts: $at', async (moment) => {
    const vm = nameOf(moment);
    await crash(moment, vm, () => platform.apply(manifest(vm)));
    await platform.waitForPhase(vm, 'Running');
    expect(await podsOf(vm)).toHaveLength(1);
  });

  it('those VMs run, each of them once', async () => {
    for (const moment of STARTS) await remember(nameOf(moment));
    await platform.kill9();
    await platform.up();
    await expectSameGuests();
    for (const moment of STARTS) expect(await podsOf(nameOf(moment))).toHaveLength(1);
  });

  it.each(ENDS)('a VM ends: $at', async (moment) => {
    const vm = `vm-${ENDS.indexOf(moment)}`;
    boots.delete(vm);
    await crash(moment, vm, () => platform.kubectl(['delete', 'vm', vm, '--wait=false']));
    await waitFor(
      `nothing is left of ${vm}`,
      async () => {
        const left = await platform.kubectl(['get', 'vm,vmi', vm, '--ignore-not-found', '-o', 'name']);
        const all = [left.trim(), ...(await podsOf(vm))].filter((name) => name !== '');
        if (all.length > 0) throw new Error(all.join(' '));
        return true;
      },
      60_000,
      200,
    );
    await expectSameGuests();
  });
});

describe('after all of that', () => {
  it('the first guest has never stopped', async () => {
    const all = await ticks();
    const host = (performance.now() - clock.host) / 1000;
    // A guest's clock stands still while it is paused.
    expect((all.at(-1) ?? 0) - clock.guest).toBeGreaterThan(host - 3);
    const gaps = all.slice(1).map((tick, index) => tick - (all[index] ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(5);
  });

  it('nothing is left when the VMs are deleted', async () => {
    await platform.kubectl(['delete', 'vm', '--all', '--timeout=90s']);
    await waitFor(
      'no object is left',
      async () => (await platform.kubectl(['get', 'vm,vmi,pods', '-o', 'name'])) === '',
    );
    await waitForNoTraces(platform, before);
  });
});
