// cloud-init disks: the plan, the rules, and the step against a real genisoimage.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Json, Sandbox, Vmi, Volume } from '../../core/index.ts';
import { admitFor, planFor } from '../../core/testing.ts';
import { contextOf, killedAt, LocalSandbox } from '../../test/local-sandbox.ts';
import { actions } from './actions.ts';
import cloudInit from './index.ts';
import { hostnameOf, metaDataOf } from './metadata.ts';
import type { CloudInitSource, Kind } from './types.ts';

const SECRET = 'password: hunter2-very-secret';

function vmiOf(source: CloudInitSource, kind: Kind = 'cloudInitNoCloud', more: object = {}): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'vm', namespace: 'ns', uid: 'u-1' },
    spec: { domain: {}, volumes: [{ name: 'init', [kind]: source } as Volume], ...more },
  };
}
const planOf = (vmi: Vmi) => planFor({ plugins: [cloudInit], vmi });

/** The arguments of the one step, as the agent gets them: out of a journal. */
async function argsOf(vmi: Vmi): Promise<Record<string, Json>> {
  const { chains } = await planOf(vmi);
  return JSON.parse(JSON.stringify(chains[0]?.steps[0]?.args)) as Record<string, Json>;
}

describe('the plan', () => {
  it('has one step, and asks nothing of the pod', async () => {
    const { chains, pod } = await planOf(vmiOf({ userData: '#cloud-config\n' }));
    expect(chains).toEqual([
      {
        phase: 'disk',
        subject: 'disk/init',
        steps: [
          {
            id: 'cloud-init/disk/init/iso',
            plugin: 'cloud-init',
            action: 'iso',
            args: {
              volume: 'init',
              kind: 'cloudInitNoCloud',
              iso: '/var/run/kubevirt-ephemeral-disks/cloud-init-data/ns/vm/noCloud.iso',
              label: 'cidata',
              files: [
                { name: 'meta-data', content: { text: 'instance-id: "u-1"\nlocal-hostname: "vm"\n' } },
                { name: 'user-data', content: { text: '#cloud-config\n' } },
              ],
            },
          },
        ],
      },
    ]);
    expect(pod.value['spec']).toBeUndefined();
  });

  it('mounts secrets, and keeps what is in them out', async () => {
    const { pod, chains } = await planOf(
      vmiOf({ secretRef: { name: 'user' }, networkDataSecretRef: { name: 'net' } }, 'cloudInitConfigDrive'),
    );
    expect(pod.value['spec']).toEqual({
      volumes: [
        { name: 'init-udata', secret: { secretName: 'user' } },
        { name: 'init-ndata', secret: { secretName: 'net' } },
      ],
      containers: [
        {
          name: 'compute',
          volumeMounts: [
            { name: 'init-udata', mountPath: '/var/run/kubevirt-private/secret/init/userdata', readOnly: true },
            { name: 'init-ndata', mountPath: '/var/run/kubevirt-private/secret/init/networkdata', readOnly: true },
          ],
        },
      ],
    });
    expect(chains[0]?.steps[0]?.args).toMatchObject({
      iso: '/var/run/kubevirt-ephemeral-disks/cloud-init-data/ns/vm/configdrive.iso',
      label: 'config-2',
      files: [
        { name: 'openstack/latest/meta_data.json' },
        { name: 'openstack/latest/user_data', content: { secret: 'user', keys: ['userdata', 'userData'] } },
        { name: 'openstack/latest/network_data.json', content: { secret: 'net' } },
      ],
    });
  });
});

describe('metadata', () => {
  it('has the firmware uuid, which outlives the VMI', () => {
    const vmi = vmiOf({}, 'cloudInitNoCloud', { hostname: '123', domain: { firmware: { uuid: 'f-1' } } });
    vmi.metadata.annotations = { 'kubevirt.io/instancetype-name': 'small' };
    expect(parse(metaDataOf(vmi, 'cloudInitNoCloud'))).toEqual({
      'instance-id': 'f-1',
      'local-hostname': '123',
      'instance-type': 'small',
    });
    expect(JSON.parse(metaDataOf(vmi, 'cloudInitConfigDrive'))).toEqual({
      instance_type: 'small',
      instance_id: 'vm.ns',
      hostname: '123',
      uuid: 'f-1',
    });
  });

  it('has a host name that is one label', () => {
    const named = (name: string) => hostnameOf({ ...vmiOf({}), metadata: { name } });
    expect(named('web.prod')).toBe('web');
    expect(named('x'.repeat(100))).toBe('x'.repeat(63));
  });
});

describe('rules', () => {
  const at = 'spec.volumes[0].cloudInitNoCloud';
  const causesOf = async (vmi: Vmi) =>
    (await admitFor({ plugins: [cloudInit], object: vmi })).causes.map(
      ({ field, reason, message }) => `${field}: ${reason}: ${message}`,
    );

  it.each<[string, CloudInitSource]>([
    ['user data', { userData: 'x' }],
    ['network data alone', { networkData: 'x' }],
    ['base64, with line breaks', { userDataBase64: 'aGVs\nbG8=\n' }],
    ['secrets', { secretRef: { name: 'a' }, networkDataSecretRef: { name: 'b' } }],
    ['2048 bytes', { userData: 'x'.repeat(2048), networkDataBase64: Buffer.alloc(2048).toString('base64') }],
  ])('accept %s', async (_, source) => {
    expect(await causesOf(vmiOf(source))).toEqual([]);
  });

  it.each<[string, CloudInitSource, string[]]>([
    ['nothing', {}, [`${at} must have at least one userdatasource or one networkdatasource set.`]],
    [
      'a reference to no name',
      { secretRef: { name: '' } },
      [`${at} must have at least one userdatasource or one networkdatasource set.`],
    ],
    ['two sources', { userData: 'x', secretRef: { name: 'a' } }, [`${at} must have only one userdatasource set.`]],
    [
      'two network sources',
      { networkData: 'x', networkDataBase64: 'eA==' },
      [`${at} must have only one networkdata source set.`],
    ],
    [
      'too much of both',
      { userData: 'ä'.repeat(1025), networkDataBase64: Buffer.alloc(2049).toString('base64') },
      [
        `${at} userdata exceeds 2048 byte limit. Should use UserDataSecretRef for larger data.`,
        `${at} networkdata exceeds 2048 byte limit. Should use NetworkDataSecretRef for larger data.`,
      ],
    ],
  ])('refuse %s', async (_, source, messages) => {
    expect(await causesOf(vmiOf(source))).toEqual(messages.map((message) => `${at}: FieldValueInvalid: ${message}`));
  });

  it.each(['!', 'a', 'abc', 'ab=c', 'YQ', 'YQ=', 'Y Q==', '=', 'YQ===', 'YQ==YQ=='])(
    'refuse %j as base64',
    async (text) => {
      expect(await causesOf(vmiOf({ userDataBase64: text, networkDataBase64: text }))).toEqual([
        `${at}.userDataBase64: FieldValueInvalid: ${at}.userDataBase64 is not a valid base64 value.`,
        `${at}.networkDataBase64: FieldValueInvalid: ${at}.networkDataBase64 is not a valid base64 value.`,
      ]);
    },
  );

  it('refuse a second disk of a kind, a lun, and a name too long for its secrets', async () => {
    const vmi = vmiOf({ userData: 'x' });
    const second = { name: 'n'.repeat(58), cloudInitNoCloud: { secretRef: { name: 'a' } } } as Volume;
    vmi.spec.volumes?.push(second);
    (vmi.spec.domain as { devices: unknown }).devices = { disks: [{ name: 'init', lun: {} }] };
    const causes = (await causesOf(vmi)).join('\n');
    expect(causes).toContain(
      'spec.volumes: FieldValueInvalid: spec.volumes must have max one cloudInitNoCloud volume set',
    );
    expect(causes).toContain('spec.volumes[1].name: FieldValueInvalid: ');
    expect(causes).toContain('can only be mapped to a DataVolume or PersistentVolumeClaim volume.');
  });

  it('survive every wrong type, and show no data', async () => {
    for (const junk of [null, 5, SECRET, [], true, { userData: 5, secretRef: 'x', userDataBase64: {} }]) {
      const causes = await causesOf(vmiOf(junk as CloudInitSource));
      expect(causes.length).toBeGreaterThan(0);
    }
    expect((await causesOf(vmiOf({ userDataBase64: SECRET, userData: SECRET }))).join()).not.toContain('hunter2');
  });
});

describe('the step', () => {
  const action = actions['iso'] as NonNullable<(typeof actions)['iso']>;
  let sandbox: LocalSandbox;
  beforeEach(async () => {
    sandbox = await LocalSandbox.start();
  });
  afterEach(() => sandbox.stop());

  const apply = async (vmi: Vmi, box: Sandbox = sandbox) => action.apply(contextOf(box), await argsOf(vmi));
  const isoOf = (name = 'noCloud') =>
    `${sandbox.root}/var/run/kubevirt-ephemeral-disks/cloud-init-data/ns/vm/${name}.iso`;
  const isoinfo = (...args: string[]) => execFileSync('isoinfo', args, { maxBuffer: 1 << 24 });
  const label = (iso: string) => /Volume id: (\S+)/.exec(isoinfo('-d', '-i', iso).toString())?.[1];
  /** The file as guests see it: by Rock Ridge, and by Joliet. */
  function fileOf(iso: string, name: string): Buffer {
    const content = isoinfo('-R', '-i', iso, '-x', `/${name}`);
    expect(isoinfo('-J', '-i', iso, '-x', `/${name}`).equals(content)).toBe(true);
    return content;
  }
  const secretOf = (what: string, key: string, data: string | Uint8Array) =>
    sandbox.put(`/var/run/kubevirt-private/secret/init/${what}/${key}`, data);

  it('makes a NoCloud disk', async () => {
    const source = { userData: '#cloud-config\nhostname: ä\n', networkData: 'version: 2\n' };
    expect(await apply(vmiOf(source))).toEqual({ cache: 'none' });
    expect(label(isoOf())).toBe('cidata');
    expect(fileOf(isoOf(), 'user-data').toString()).toBe(source.userData);
    expect(fileOf(isoOf(), 'network-config').toString()).toBe(source.networkData);
    expect(fileOf(isoOf(), 'meta-data').toString()).toContain('local-hostname: "vm"');
    const { uid, mode } = statSync(isoOf());
    expect([uid, mode & 0o777]).toEqual([107, 0o600]);
  });

  it('makes a ConfigDrive disk, of bytes that are no text', async () => {
    const bytes = Buffer.from([0, 255, 31, 139, 10]);
    await apply(vmiOf({ userDataBase64: bytes.toString('base64') }, 'cloudInitConfigDrive'));
    const iso = isoOf('configdrive');
    expect(label(iso)).toBe('config-2');
    expect(fileOf(iso, 'openstack/latest/user_data').equals(bytes)).toBe(true);
    expect(JSON.parse(fileOf(iso, 'openstack/latest/meta_data.json').toString())).toMatchObject({ hostname: 'vm' });
  });

  it('has empty user data where there is network data alone', async () => {
    await apply(vmiOf({ networkData: 'version: 2\n' }));
    expect(isoinfo('-R', '-f', '-i', isoOf()).toString().split('\n').sort()).toEqual(
      ['', '/meta-data', '/network-config', '/user-data'].sort(),
    );
  });

  it('takes any data unchanged', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 2048 }), async (bytes) => {
        const data = Buffer.from(bytes);
        await apply(vmiOf({ userDataBase64: data.toString('base64') }));
        expect(fileOf(isoOf(), 'user-data').equals(data)).toBe(true);
      }),
      { numRuns: 10 },
    );
  });

  it.each(['userdata', 'userData'])('takes the key %s of a secret, large as it may be', async (key) => {
    const data = Buffer.alloc(1 << 20, SECRET);
    await secretOf('userdata', key, data);
    await apply(vmiOf({ secretRef: { name: 's' } }));
    expect(fileOf(isoOf(), 'user-data').equals(data)).toBe(true);
  });

  it('tells of a secret without its key', async () => {
    await secretOf('networkdata', 'other', 'x');
    await expect(apply(vmiOf({ userData: 'x', networkDataSecretRef: { name: 'net' } }))).rejects.toThrow(
      'volume init: secret net has neither key networkdata nor networkData. Add one.',
    );
    expect(existsSync(isoOf())).toBe(false);
  });

  it('shows what is secret to nobody: no argument, no log, no error, no file but the disk', async () => {
    await secretOf('userdata', 'userdata', SECRET);
    const vmi = vmiOf({ secretRef: { name: 's' } });
    const args = await argsOf(vmi);
    let log = '';
    const sink = new Writable({
      write(chunk: Buffer, _, done) {
        log += chunk.toString();
        done();
      },
    });
    const context = { ...contextOf(sandbox), log: pino({ level: 'trace' }, sink) };
    const result = await action.apply(context, args);
    const error: unknown = await action
      .apply({ ...context, sandbox: killedAt(sandbox, 3, 'after') }, args)
      .catch((reason: unknown) => reason);
    expect(JSON.stringify([args, result, sandbox.ran, String(error)]) + log).not.toContain('hunter2');
    await sandbox.stop();
    const left = readdirSync(tmpdir()).filter((name) => name.startsWith('vl-scratch-'));
    for (const name of left) expect(existsSync(join(tmpdir(), name, 'data', 'user-data'))).toBe(false);
  });

  it('comes to the same end after it was killed', async () => {
    await secretOf('userdata', 'userData', SECRET);
    const vmi = vmiOf({ secretRef: { name: 's' } });
    const dry = killedAt(sandbox, 0, 'before');
    await apply(vmi, dry);
    expect(dry.calls).toBeGreaterThan(3);
    for (let n = 1; n <= dry.calls; n++) {
      for (const when of ['before', 'after'] as const) {
        await action.revert?.(contextOf(sandbox), await argsOf(vmi), undefined);
        await expect(apply(vmi, killedAt(sandbox, n, when))).rejects.toThrow('killed');
        await apply(vmi);
        expect(fileOf(isoOf(), 'user-data').toString()).toBe(SECRET);
      }
    }
  });

  it('leaves nothing behind when it is undone, twice or with the pod gone', async () => {
    const vmi = vmiOf({ userData: 'x' });
    await apply(vmi);
    for (const box of [sandbox, sandbox, undefined]) {
      await action.revert?.({ ...contextOf(sandbox), sandbox: box }, await argsOf(vmi), undefined);
    }
    expect(existsSync(isoOf())).toBe(false);
  });
});
