// What a user does with the first VM, from `kubectl apply` to `virtloom down`, in that order; each step stands on the one before.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Census } from '../support/census.ts';
import { ok, waitFor } from '../support/command.ts';
import { Platform, ROOT } from '../support/platform.ts';
import { Terminal } from './terminal.ts';
import { waitForNoTraces } from './traces.ts';

const AGE = /^\d+m?\d*s$/;
const POD = /^virt-launcher-tiny-[a-z0-9]{5}$/;

let platform: Platform;
let before: Census;
let guest: Record<string, string> & { ip: string };

beforeAll(async () => {
  platform = await Platform.start();
  before = await platform.census();
});
afterAll(() => platform?.dispose());

/** A table as kubectl prints it: the header's words and each line's. Cells must not hold spaces. */
async function table(...args: string[]): Promise<{ header: string[]; rows: string[][] }> {
  const [header = [], ...rows] = (await platform.kubectl(['get', ...args]))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.trim().split(/\s{2,}/));
  return { header, rows };
}

async function launcher(): Promise<string> {
  const { rows } = await table('pods', '-l', 'kubevirt.io');
  expect(rows).toHaveLength(1);
  return rows[0]?.[0] ?? '';
}

const bootId = async (): Promise<string> => (await platform.waitForGuest('tiny')).boot_id ?? '';

const printable = async (): Promise<string | undefined> =>
  (await platform.get<{ status?: { printableStatus?: string } }>('vm', 'tiny'))?.status?.printableStatus;

async function virtloom(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await platform.virtloom(args);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout;
}

/** The guest's web server answers with the same boot, and its clock has gone on. */
async function expectSameGuest(): Promise<void> {
  const now = await platform.waitForGuest('tiny');
  expect(now.boot_id).toBe(guest.boot_id);
  expect(now.ip).toBe(guest.ip);
  expect(Number(now.uptime)).toBeGreaterThan(Number(guest.uptime));
}

describe('the first VM', () => {
  it('is applied, and does not run', async () => {
    expect(await platform.kubectl(['apply', '-f', join(ROOT, 'examples/vm-tiny.yaml')])).toBe(
      'virtualmachine.kubevirt.io/tiny created\n',
    );
    await waitFor('tiny is Stopped', async () => (await printable()) === 'Stopped');
    const { header, rows } = await table('vms');
    expect(header).toEqual(['NAME', 'AGE', 'STATUS', 'READY']);
    expect(rows).toEqual([['tiny', expect.stringMatching(AGE), 'Stopped', 'False']]);
    expect((await table('vmis,pods')).rows).toEqual([]);
  });

  it('starts by the verb', async () => {
    expect(await virtloom('start', 'tiny')).toBe('VM tiny was scheduled to start\n');
    await platform.kubectl(['wait', '--for=condition=Ready', 'vm/tiny', '--timeout=60s']);
    await platform.kubectl(['wait', '--for=condition=Ready', 'vmi/tiny', '--timeout=60s']);
    await platform.waitForPhase('tiny', 'Running');
    const again = await platform.virtloom(['start', 'tiny']);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('VM is already running');
  });

  it('tells where the time of the start went', async () => {
    const top = await virtloom('plugins', 'top', '--state-dir', platform.stateDir);
    expect(top).toMatch(/^PLUGIN +HOOK OR STEP +COUNT +FAILED +MEAN +TOTAL +SHARE\n/);
    expect(top).toMatch(/^core +step libvirt start +1 +0 /m);
    expect(top).toMatch(/^network-masquerade +step nat +1 +0 /m);
    expect(top).toMatch(/^compute +prepareDomain.first +\d+ +0 /m);
    const nowhere = await platform.virtloom(['plugins', 'top', '--metrics', 'http://127.0.0.1:1/metrics']);
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toContain('http://127.0.0.1:1/metrics gives no metrics');
  });

  it('tells who made what of a VM that runs, and with which plugins it was started', async () => {
    const told = await virtloom('explain', 'vmi/tiny');
    expect(told).toMatch(/^# VirtualMachineInstance default\/tiny: Running, started with .*compute 1\.0\.0/);
    expect(told).toMatch(/^devices\/interface\[default\]\/@type = ethernet +interfaces prepareDomain\.main/m);
    expect(told).toMatch(/^spec\.domain\.cpu\.model = host-model +compute defaultPreset, the default CPU model$/m);
    expect(await virtloom('explain', 'vm/tiny')).toBe(told);
    const none = await platform.virtloom(['explain', 'vm/nobody']);
    expect(none).toMatchObject({ code: 1, stderr: 'there is no VirtualMachine "nobody" in namespace default\n' });
    expect(await platform.virtloom(['explain'])).toMatchObject({ code: 2 });
  });

  it('tells what a change would change, against what runs', async () => {
    const same = await platform.virtloom(['diff', '-f', join(ROOT, 'examples/vm-tiny.yaml')]);
    expect(same).toMatchObject({ code: 0, stdout: 'no changes\n' });
    const larger = join(platform.directory, 'larger.yaml');
    const text = readFileSync(join(ROOT, 'examples/vm-tiny.yaml'), 'utf8').replace(/guest: \S+/, 'guest: 160Mi');
    writeFileSync(larger, text);
    const changed = await platform.virtloom(['diff', '-f', larger]);
    expect(changed.code).toBe(1);
    expect(changed.stdout).toContain(`+ memory/text() = ${160 * 2 ** 20}  (compute prepareDomain.first, `);
    expect(changed.stdout).toMatch(/^restart needed: yes \(a start today would change memory\/text\(\) \(compute\), /m);
    expect(await platform.virtloom(['diff', '-A'])).toMatchObject({ code: 0, stdout: 'default/tiny: no changes\n' });
  });

  it("shows in KubeVirt's columns", async () => {
    expect((await table('vms')).rows).toEqual([['tiny', expect.stringMatching(AGE), 'Running', 'True']]);
    const vmis = await table('vmis');
    expect(vmis.header).toEqual(['NAME', 'AGE', 'PHASE', 'IP', 'NODENAME', 'READY']);
    const node = (await platform.kubectl(['get', 'nodes', '-o', 'jsonpath={.items[0].metadata.name}'])).trim();
    const ip = expect.stringMatching(/^10\.88\.\d+\.\d+$/);
    expect(vmis.rows).toEqual([['tiny', expect.stringMatching(AGE), 'Running', ip, node, 'True']]);
    const pods = await table('pods');
    expect(pods.header).toEqual(['NAME', 'READY', 'STATUS', 'RESTARTS', 'AGE']);
    expect(pods.rows).toEqual([[expect.stringMatching(POD), '1/1', 'Running', '0', expect.stringMatching(AGE)]]);
    // All three at once, as people type it.
    expect(await platform.kubectl(['get', 'vms,vmis,pods'])).toMatch(
      /virtualmachine\.kubevirt\.io\/tiny .*\n\n.*\nvirtualmachineinstance\.kubevirt\.io\/tiny .*\n\n.*\npod\/virt-launcher-tiny-/,
    );
  });

  it('has a console with a login, which ^] ends', async () => {
    const cli = [join(ROOT, 'node_modules/.bin/node'), join(ROOT, 'cli/main.ts')];
    const terminal = Terminal.open([...cli, 'console', 'tiny'], {
      netns: platform.netns,
      env: { KUBECONFIG: platform.kubeconfig },
    });
    try {
      await terminal.expect(/Successfully connected to tiny console/);
      await terminal.expect(/tiny login: /, { nudge: '\r', deadlineMs: 90_000 });
      terminal.type('root\r');
      await terminal.expect(/# /);
      // What is typed is shown too, so the answer must differ from it.
      terminal.type('echo answer-$((6 * 7))\r');
      await terminal.expect(/answer-42/);
      terminal.type('\x1d');
      expect(await terminal.ended()).toBe(0);
    } finally {
      terminal.close();
    }
  });

  it('answers the host', async () => {
    guest = await platform.waitForGuest('tiny', 90_000);
    expect(guest).toMatchObject({
      hostname: 'tiny',
      datasource: 'nocloud',
      eth0: expect.stringMatching(/^10\.0\.2\.2\//),
    });
    expect(await platform.exec(['curl', '-sS', '--noproxy', '*', `http://${guest.ip}/`])).toBe('hello from tiny\n');
    expect((await platform.http(`http://${guest.ip}/starts.txt`)).trim().split('\n')).toHaveLength(1);
  });

  it('is a domain in its launcher, for those who look', async (context) => {
    const pod = await launcher();
    expect(await platform.kubectl(['logs', pod])).toContain('libvirt version');
    expect(await platform.kubectl(['logs', pod, '-c', 'compute', '--tail=1'])).not.toBe('');
    const { clientVersion } = JSON.parse(await ok(['kubectl', 'version', '--client', '-o', 'json'])) as {
      clientVersion: { minor: string };
    };
    // Before that kubectl speaks SPDY.
    if (Number.parseInt(clientVersion.minor) < 31) return context.skip('this kubectl has no exec over WebSocket');
    const xml = await platform.kubectl(['exec', pod, '-c', 'compute', '--', 'virsh', 'dumpxml', 'default_tiny']);
    expect(xml).toMatch(/^<domain type='(qemu|kvm)' id='1'>\n {2}<name>default_tiny<\/name>/);
    expect(await platform.kubectl(['exec', pod, '--', 'virsh', 'domstate', 'default_tiny'])).toBe('running\n\n');
    const wrong = await platform.tryKubectl(['exec', pod, '-c', 'compute', '--', 'virsh', 'dumpxml', 'default_other']);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("failed to get domain 'default_other'");
  });

  it("is described, with events of KubeVirt's names", async () => {
    const vm = await platform.kubectl(['describe', 'vm', 'tiny']);
    expect(vm).toMatch(/Printable Status: +Running/);
    expect(vm).toMatch(/Normal +SuccessfulCreate .* Started the virtual machine by creating the new virtual machine/);
    const vmi = await platform.kubectl(['describe', 'vmi', 'tiny']);
    expect(vmi).toMatch(/Phase: +Running/);
    for (const reason of ['SuccessfulCreate', 'Created', 'Started'])
      expect(vmi).toMatch(new RegExp(`Normal +${reason} `));
    expect(await platform.kubectl(['describe', 'pod', await launcher()])).toMatch(
      /Controlled By: +VirtualMachineInstance\/tiny/,
    );
    const conditions = (await platform.get<{ status: { conditions: object[] } }>('vm', 'tiny'))?.status.conditions;
    expect(conditions).toContainEqual({
      type: 'Ready',
      status: 'True',
      lastProbeTime: null,
      lastTransitionTime: expect.any(String),
    });
  });

  it('goes on while the platform is stopped, and is adopted', async () => {
    await platform.stop();
    expect(await platform.http(`http://${guest.ip}/`)).toBe('hello from tiny\n');
    await platform.up();
    await expectSameGuest();
  });

  it('goes on when the platform is killed, and is adopted', async () => {
    await platform.kill9();
    expect(await platform.http(`http://${guest.ip}/`)).toBe('hello from tiny\n');
    await platform.up();
    await expectSameGuest();
    // The same platform would start it the same way.
    expect(await platform.kubectl(['get', 'vm,vmi', 'tiny', '-o', 'yaml'])).not.toContain('RestartRequired');
    const pod = await launcher();
    expect(await platform.kubectl(['logs', pod])).toContain('libvirt version');
    expect((await table('vms,vmis')).rows.flat()).toContain('Running');
  });

  it('restarts by the verb', async () => {
    expect(await virtloom('restart', 'tiny')).toBe('VM tiny was scheduled to restart\n');
    await waitFor('another boot', async () => (await bootId()) !== guest.boot_id, 90_000);
    guest = await platform.waitForGuest('tiny');
    expect((await platform.http(`http://${guest.ip}/starts.txt`)).trim().split('\n')).toHaveLength(1);
  });

  it('stops by the verb, and nothing of the guest is left', async () => {
    expect(await virtloom('stop', 'tiny')).toBe('VM tiny was scheduled to stop\n');
    await waitFor('tiny is Stopped', async () => (await printable()) === 'Stopped');
    expect((await table('vmis')).rows).toEqual([]);
    await waitForNoTraces(platform, before);
    const events = await platform.kubectl([
      'get',
      'events',
      '-o',
      'jsonpath={range .items[*]}{.involvedObject.kind}/{.reason} {end}',
    ]);
    for (const reason of ['ShuttingDown', 'Stopped', 'Deleted'])
      expect(events).toContain(`VirtualMachineInstance/${reason}`);
    expect(events).toContain('VirtualMachine/SuccessfulDelete');
  });

  it('is deleted while it runs, and nothing is left', async () => {
    await virtloom('start', 'tiny');
    await platform.waitForGuest('tiny', 90_000);
    await platform.kubectl(['delete', 'vm', 'tiny', '--timeout=60s']);
    await waitFor(
      'no object is left',
      async () => (await platform.kubectl(['get', 'vm,vmi,pods', '-o', 'name'])) === '',
    );
    await waitForNoTraces(platform, before);
  });
});

describe('virtloom down', () => {
  it('ends guests and leaves nothing but the objects, which come back', async () => {
    await platform.apply('examples/vm-runstrategy-always.yaml');
    const first = await platform.waitForGuest('rs-always', 90_000);
    await platform.down();
    expect(platform.pid).toBeUndefined();
    const left = await platform.census();
    expect({ ...left, files: left.files.filter((file) => !/^(api|launcher)(\/|$)/.test(file)) }).toEqual({
      processes: [],
      namespaces: [],
      links: [],
      nftRules: [],
      mounts: [],
      containers: [],
      cgroups: [],
      files: [],
    });
    await platform.up();
    await waitFor(
      'another boot',
      async () => (await platform.waitForGuest('rs-always')).boot_id !== first.boot_id,
      90_000,
    );
  });

  it('leaves nothing at all when told to purge', async () => {
    await ok(
      [
        join(ROOT, 'node_modules/.bin/node'),
        join(ROOT, 'cli/main.ts'),
        'down',
        '--purge',
        '--state-dir',
        platform.stateDir,
      ],
      {
        netns: platform.netns,
      },
    );
    const left = await platform.census();
    expect(Object.values(left).flat()).toEqual([]);
  });
});
