// Every manifest of examples/ on a real platform: it is applied as it stands, its guest runs and shows what it is about.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOOKS_IMAGE, buildHooks } from '../../examples/images/hooks/build.ts';
import type { Census } from '../support/census.ts';
import { waitFor } from '../support/command.ts';
import { Platform, ROOT } from '../support/platform.ts';

type Guest = Record<string, string> & { ip: string };

interface Example {
  vmi: string;
  /** Runs `virtloom start` first; without it there must be no VMI. */
  start?: boolean;
  /** What the guest's /cgi-bin/info must have. */
  info?: Record<string, unknown>;
  /** A page of the guest's and what it must hold. */
  page?: [path: string, content: RegExp];
  check?: (guest: Guest) => void;
}

const EXAMPLES: Record<string, Example> = {
  'vm-tiny': { vmi: 'tiny', start: true, info: { hostname: 'tiny' }, page: ['/', /^hello from tiny$/m] },
  'vm-runstrategy-always': { vmi: 'rs-always', info: { hostname: 'rs-always' } },
  'vm-runstrategy-halted': { vmi: 'rs-halted', start: true },
  'vm-runstrategy-manual': { vmi: 'rs-manual', start: true },
  'vm-runstrategy-once': { vmi: 'rs-once' },
  'vm-runstrategy-rerunonfailure': { vmi: 'rs-rerunonfailure' },
  'vmi-tiny': { vmi: 'vmi-tiny', info: { datasource: 'nocloud', firmware: 'bios', cpus: '1' } },
  'vmi-masquerade-ports': { vmi: 'vmi-ports', info: { eth0: expect.stringMatching(/^10\.123\.0\.2\/24 /) } },
  'vmi-bridge': {
    vmi: 'vmi-bridge',
    check: ({ eth0, ip }) => expect(eth0).toMatch(new RegExp(`^${ip.replaceAll('.', '\\.')}/`)),
  },
  'vmi-emptydisk': { vmi: 'vmi-emptydisk', page: ['/scratch.txt', /\/mnt$/m] },
  'vmi-configdrive': { vmi: 'vmi-configdrive', info: { datasource: 'configdrive', hostname: 'vmi-configdrive' } },
  'vmi-userdata-base64': { vmi: 'vmi-base64', page: ['/userdata.txt', /^by base64$/m] },
  'vmi-secret-userdata': { vmi: 'vmi-secret', info: { hostname: 'vmi-secret' } },
  'vmi-preset': { vmi: 'vmi-preset', info: { cpus: '2' } },
  'vmi-efi': { vmi: 'vmi-efi', info: { firmware: 'uefi' } },
  'vmi-hook-sidecar': { vmi: 'vmi-hook-sidecar', page: ['/board.txt', /^Radical Edward$/m] },
  'vmi-plugin-objects': { vmi: 'vmi-plugins', page: ['/hardware.txt', /^vmi-plugins Boot\n[^]*^0x25ab$/m] },
  'vmi-machine': {
    vmi: 'vmi-machine',
    info: { cpus: '2', uuid: '5d307ca9-b3ef-428c-8861-06e72d69f223', serial: 'e4686d2c-6e8d-4335-b8fd-81bee22f4815' },
  },
};

let platform: Platform;
let before: Census;
beforeAll(async () => {
  platform = await Platform.start({ args: ['--load-image', `${HOOKS_IMAGE}=${buildHooks()}`] });
  before = await platform.census();
});
afterAll(() => platform?.dispose());

it('has all the examples there are', () => {
  const files = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.yaml'));
  expect(Object.keys(EXAMPLES).sort()).toEqual(files.map((name) => name.replace('.yaml', '')).sort());
});

describe.each(Object.entries(EXAMPLES))('%s', (file, { vmi, start, info, page, check }) => {
  afterAll(async () => {
    await platform.kubectl([
      'delete',
      '-f',
      join(ROOT, `examples/${file}.yaml`),
      '--ignore-not-found',
      '--timeout=60s',
    ]);
  });

  it('runs', async () => {
    await platform.apply(`examples/${file}.yaml`);
    if (start) {
      expect(await platform.get('vmi', vmi)).toBeUndefined();
      const { code, stderr } = await platform.virtloom(['start', vmi]);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      await waitFor('there is a VMI', () => platform.get('vmi', vmi));
    }
    const guest = await platform.waitForGuest(vmi, 120_000);
    if (info) expect(guest).toMatchObject(info);
    if (page) expect(await platform.http(`http://${guest.ip}${page[0]}`)).toMatch(page[1]);
    check?.(guest);
  });
});

it('leaves nothing when all are deleted', async () => {
  await waitFor('no VMI and no pod is left', async () => {
    const left = await platform.kubectl(['get', 'vm,vmi,pods,secrets,vmipreset', '-o', 'name']);
    if (left.trim() !== '') throw new Error(left);
    return true;
  });
  const counted = ({ processes, namespaces, links, nftRules, mounts, containers, cgroups }: Census) => ({
    ...{ processes, namespaces, nftRules, mounts, containers, cgroups },
    // The bridge stays, as the cluster's own.
    links: links.filter((name) => name !== platform.bridge),
  });
  await waitFor(
    'the machine is as it was',
    async () => {
      expect(counted(await platform.census())).toEqual(counted(before));
      return true;
    },
    30_000,
    500,
  );
});
