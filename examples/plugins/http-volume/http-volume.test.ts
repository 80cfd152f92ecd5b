import { expect, it } from 'vitest';
import { definePlugin, type Vmi } from 'virtloom/plugin';
import { admitFor, planFor } from 'virtloom/plugin/testing';
import httpVolume from './index.ts';

const disks = definePlugin({ name: 'disks', version: '1.0.0', core: '^1.0.0', summary: 'disks', setup: () => ({}) });
const plugins = [disks, httpVolume];

const vmi = (url: string): Vmi =>
  ({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'vm', namespace: 'ns' },
    spec: { domain: { devices: { disks: [{ name: 'a' }] } }, volumes: [{ name: 'a', httpDisk: { url } }] },
  }) as unknown as Vmi;

it('is served by one step, whose result decides the format', async () => {
  const { chains, blockers } = await planFor({ plugins, vmi: vmi('https://example.com/a.img') });
  expect(chains.flatMap(({ steps }) => steps)).toMatchObject([
    {
      id: 'http-volume/disk/a/serve',
      args: { url: 'https://example.com/a.img', directory: '/var/run/kubevirt-ephemeral-disks/http-volume/a' },
    },
  ]);
  expect(blockers.map(({ reason }) => reason)).toContain('DisksNotLiveMigratable');
});

it.each([
  ['ftp://example.com/a', 'must be an http or https URL'],
  ['/etc/shadow', 'must be an http or https URL'],
  ['', 'must be an http or https URL'],
  ['https://me:secret@example.com/a', 'must not hold a user name or password'],
])('refuses the URL %j', async (url, why) => {
  const { causes } = await admitFor({ plugins, object: vmi(url) });
  expect(causes).toEqual([
    {
      field: 'spec.volumes[0].httpDisk.url',
      reason: 'FieldValueInvalid',
      message: `spec.volumes[0].httpDisk.url ${why}`,
    },
  ]);
});
