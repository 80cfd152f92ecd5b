import { expect, it } from 'vitest';
import { definePlugin, type Vmi } from 'virtloom/plugin';
import { admitFor, planFor } from 'virtloom/plugin/testing';
import { socketOf } from './httpdisk.ts';
import httpVolume from './index.ts';

const disks = definePlugin({ name: 'disks', version: '1.0.0', core: '^1.0.0', summary: 'disks', setup: () => ({}) });
const plugins = [disks, httpVolume];

const vmi = (httpDisk: object, name = 'a'): Vmi => {
  const volume = { name, httpDisk };
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'vm', namespace: 'ns' },
    spec: { domain: { devices: { disks: [{ name }] } }, volumes: [volume] },
  };
};
const url = 'https://example.com/a.img';
const messagesOf = async (httpDisk: object) =>
  (await admitFor({ plugins, object: vmi(httpDisk) })).causes.map(({ message }) => message);

it('is served by one step', async () => {
  const { chains, blockers, pod } = await planFor({ plugins, vmi: vmi({ url }) });
  expect(chains.flatMap(({ steps }) => steps)).toMatchObject([
    {
      id: 'http-volume/disk/a/serve',
      args: {
        url,
        sha256: null,
        secret: null,
        directory: '/var/run/kubevirt/http-volume/a',
        overlay: '/var/run/kubevirt-ephemeral-disks/http-volume/a.qcow2',
      },
    },
  ]);
  expect(blockers.map(({ reason }) => reason)).toContain('DisksNotLiveMigratable');
  expect(JSON.stringify(pod.value)).not.toContain('secret');
});

it('mounts the secret, which the plan does not hold', async () => {
  const { chains, pod } = await planFor({ plugins, vmi: vmi({ url, secretRef: { name: 'login' } }) });
  expect(pod.value['spec']).toMatchObject({
    volumes: [{ name: 'http-volume-0', secret: { secretName: 'login' } }],
    containers: [
      {
        volumeMounts: [{ name: 'http-volume-0', mountPath: '/var/run/kubevirt-private/http-volume/a', readOnly: true }],
      },
    ],
  });
  expect(JSON.stringify(chains)).not.toContain('login');
});

it('has a socket that a path can lead to, whatever the volume is called', async () => {
  const { chains } = await planFor({ plugins, vmi: vmi({ url }, 'x'.repeat(63)) });
  const { directory } = chains[0]?.steps[0]?.args ?? {};
  expect(socketOf(String(directory)).length).toBeLessThan(108);
});

it.each([
  ['ftp://example.com/a', 'must be an http or https URL'],
  ['file:///etc/shadow', 'must be an http or https URL'],
  ['/etc/shadow', 'must be an http or https URL'],
  ['', 'must be an http or https URL'],
  ['https://me:secret@example.com/a', 'must not hold a user name or password: use secretRef'],
])('refuses the URL %j', async (bad, why) => {
  const { causes } = await admitFor({ plugins, object: vmi({ url: bad }) });
  expect(causes).toEqual([
    {
      field: 'spec.volumes[0].httpDisk.url',
      reason: 'FieldValueInvalid',
      message: `spec.volumes[0].httpDisk.url ${why}`,
    },
  ]);
});

it.each<[object, string]>([
  [{}, 'spec.volumes[0].httpDisk.url is required'],
  [{ url: 5 }, 'spec.volumes[0].httpDisk.url'],
  [{ url, sha256: 'abc' }, 'spec.volumes[0].httpDisk.sha256'],
  [{ url, sha256: 'A'.repeat(64) }, 'spec.volumes[0].httpDisk.sha256'],
  [{ url, secretRef: {} }, 'spec.volumes[0].httpDisk.secretRef.name is required'],
  [{ url, secretRef: { name: '' } }, 'spec.volumes[0].httpDisk.secretRef.name'],
  [{ url, password: 'x' }, 'spec.volumes[0].httpDisk.password'],
])('refuses %j', async (httpDisk, why) => {
  expect((await messagesOf(httpDisk)).join()).toContain(why);
});
