// What user data and network data become inside of the guest: byte for byte, from the manifest and from Secrets, in both layouts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Platform } from '../support/platform.ts';

const NETWORK = 'version: 2\nethernets:\n  eth0:\n    dhcp4: true\n';
const SECRET = 'not-for-logs-5b1e7c';

/** A script: whatever is done with it, its text can be read again inside. Of odd characters, to be told from a copy of a copy. */
const script = (name: string): string =>
  `#!/bin/sh\n# ${name} ${SECRET} "quotes" 'both' \\back\\ $dollar \u00e9\ttab\ntiny-http-shell\n`;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

interface Case {
  layout: 'cloudInitNoCloud' | 'cloudInitConfigDrive';
  data: Record<string, unknown>;
  /** Files in the guest, below /run/data. */
  files: Record<string, string | RegExp>;
}

const CASES: Record<string, Case> = {
  'nocloud-inline': {
    layout: 'cloudInitNoCloud',
    data: { userData: script('nocloud-inline'), networkData: NETWORK },
    files: {
      'network-config': NETWORK,
      'meta-data': /^instance-id: ["']?[\w-]+["']?\n(.*\n)*local-hostname: ["']?nocloud-inline["']?\n/m,
    },
  },
  'nocloud-base64': {
    layout: 'cloudInitNoCloud',
    data: { userDataBase64: base64(script('nocloud-base64')), networkDataBase64: base64(NETWORK) },
    files: { 'network-config': NETWORK },
  },
  'nocloud-secret': {
    layout: 'cloudInitNoCloud',
    data: { secretRef: { name: 'nocloud-secret' }, networkDataSecretRef: { name: 'nocloud-secret' } },
    files: { 'network-config': NETWORK },
  },
  'drive-inline': {
    layout: 'cloudInitConfigDrive',
    data: { userData: script('drive-inline'), networkData: '{"links": []}' },
    files: { 'network_data.json': '{"links": []}', 'meta_data.json': /"hostname": ?"drive-inline"/ },
  },
  'drive-secret': {
    layout: 'cloudInitConfigDrive',
    data: { secretRef: { name: 'drive-secret' }, networkDataSecretRef: { name: 'drive-secret' } },
    files: { 'network_data.json': NETWORK },
  },
};

function manifest(name: string, { layout, data }: Case): string {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name },
    stringData: { userdata: script(name), networkdata: NETWORK },
  };
  const vmi = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
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
        { name: 'data', [layout]: data },
      ],
    },
  };
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: 'secretRef' in data ? [secret, vmi] : [vmi] })}\n`;
}

let platform: Platform;
beforeAll(async () => {
  platform = await Platform.start({ args: ['--log-level', 'debug'] });
  for (const [name, one] of Object.entries(CASES)) await platform.apply(manifest(name, one));
});
afterAll(() => platform?.dispose());

describe.each(Object.entries(CASES))('%s', (name, { layout, files }) => {
  it('reaches the guest as it was given', async () => {
    const guest = await platform.waitForGuest(name, 150_000);
    expect(guest).toMatchObject({
      hostname: name,
      datasource: layout === 'cloudInitNoCloud' ? 'nocloud' : 'configdrive',
    });
    const read = (file: string): Promise<string> =>
      platform.exec(['curl', '-sS', '--noproxy', '*', '--data-binary', '@-', `http://${guest.ip}/cgi-bin/sh`], {
        input: `cat /run/data/${file}`,
      });
    // It is run, or nobody would serve the files.
    expect(await read('user-data')).toBe(script(name));
    for (const [file, content] of Object.entries(files)) {
      if (typeof content === 'string') expect(await read(file)).toBe(content);
      else expect(await read(file)).toMatch(content);
    }
  });
});

it('is in no log', () => {
  expect(platform.log).toContain('guest started');
  expect(platform.log).not.toContain(SECRET);
  expect(platform.log).not.toContain(base64(script('nocloud-base64')).slice(0, 40));
});
