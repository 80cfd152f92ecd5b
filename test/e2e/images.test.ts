// containerDisks from a real registry: every good shape boots, with and without a login.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { imageVariant, type Variant } from '../support/images.ts';
import { Platform } from '../support/platform.ts';
import { LOGIN, Registry } from '../support/registry.ts';

const layouts = mkdtempSync(join(tmpdir(), 'vl-e2e-images-'));
let platform: Platform;
let open: Registry;
let closed: Registry;

beforeAll(async () => {
  platform = await Platform.start();
  [open, closed] = await Promise.all([
    Registry.start({ netns: platform.netns }),
    Registry.start({ netns: platform.netns, login: true }),
  ]);
});
afterEach(() => platform.kubectl(['delete', 'vmi', '--all', '--timeout=60s']));
afterAll(async () => {
  await platform?.dispose();
  await Promise.all([open?.stop(), closed?.stop()]);
  rmSync(layouts, { recursive: true, force: true });
});

function vmi(name: string, containerDisk: Record<string, string>): string {
  return `${JSON.stringify({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      domain: {
        devices: {
          disks: [{ name: 'root', disk: { bus: 'virtio' } }],
          interfaces: [{ name: 'default', masquerade: {} }],
        },
        memory: { guest: '96Mi' },
      },
      networks: [{ name: 'default', pod: {} }],
      volumes: [{ name: 'root', containerDisk }],
    },
  })}\n`;
}

it.each<[Variant, Record<string, string>]>([
  ['qcow2', { imagePullPolicy: 'Always' }],
  ['raw', {}],
  ['elsewhere', { path: '/images/tiny.qcow2' }],
  ['rootOwned', {}],
])('%s boots', async (variant, disk) => {
  const image = await open.push(imageVariant(layouts, variant), `${variant.toLowerCase()}:1`);
  const name = `disk-${variant.toLowerCase()}`;
  await platform.apply(vmi(name, { image, ...disk }));
  expect(await platform.waitForGuest(name, 90_000)).toMatchObject({ hostname: expect.any(String), firmware: 'bios' });
});

it('comes from a registry that asks for a login', async () => {
  const image = await closed.push(imageVariant(layouts, 'qcow2'), 'team/tiny:1');
  const login = [
    `--docker-server=${closed.host}`,
    `--docker-username=${LOGIN.user}`,
    `--docker-password=${LOGIN.password}`,
  ];
  await platform.kubectl(['create', 'secret', 'docker-registry', 'pull', ...login]);
  await platform.apply(vmi('private', { image, imagePullSecret: 'pull' }));
  expect(await platform.waitForGuest('private', 90_000)).toMatchObject({ firmware: 'bios' });
});
