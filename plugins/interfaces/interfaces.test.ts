// Defaults, rules and the domain's <interface>, with a binding and a network source that are nobody's feature.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { admit } from '../../core/admission.ts';
import { admitFor, planFor, testHost } from '../../core/testing.ts';
import { definePlugin, el } from '../../core/index.ts';
import type { KubeObject, Vmi, VmiSpec } from '../../core/index.ts';
import interfaces from './index.ts';

const wire = definePlugin({
  name: 'wire',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'a network and a binding for tests',
  writes: { pod: [''], domain: [''] },
  api: [
    { path: 'spec.networks[].pod', schema: { type: 'object' }, oneOf: 'source' },
    { path: 'spec.domain.devices.interfaces[].wire', schema: { type: 'object' }, oneOf: 'binding' },
    {
      path: 'spec.domain.cpu',
      schema: { type: 'object', properties: { cores: { type: 'integer' }, sockets: { type: 'integer' } } },
    },
    { path: 'spec.domain.devices.disks[].bootOrder', schema: { type: 'integer' } },
  ],
  setup: () => ({
    attachNetwork: {
      sources: { pod: () => ({ podInterface: 'eth0' }) },
      bindings: {
        wire: ({ interface: nic }) => ({
          interface: {
            type: 'ethernet',
            children: [
              el('source'),
              el('target', { dev: `tap-${nic.name}`, managed: false }),
              el('mtu', { size: 1450 }),
            ],
          },
          mac: nic.macAddress ?? '02:00:00:aa:bb:cc',
        }),
      },
    },
  }),
});
const plugins = [interfaces, wire];

interface Nic {
  name: string;
  [key: string]: unknown;
}

function vmiOf(nics: Nic[] | undefined, more: { devices?: object; domain?: object; networks?: object[] } = {}): Vmi {
  const networks = more.networks ?? nics?.map(({ name }) => ({ name, pod: {} }));
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'testvm', namespace: 'default' },
    spec: {
      domain: { devices: { ...(nics ? { interfaces: nics } : {}), ...more.devices }, ...more.domain },
      ...(networks ? { networks } : {}),
    } as unknown as VmiSpec,
  };
}
const one = (nic: object, more = {}) => vmiOf([{ name: 'default', wire: {}, ...nic }], more);
const N = 'spec.domain.devices.interfaces';

async function causesOf(vmi: Vmi): Promise<string[]> {
  const { causes } = await admitFor({ plugins, object: vmi });
  return causes.map(({ field, reason, message }) => `${field}: ${reason}: ${message}`);
}

describe('rules', () => {
  it('accept what is right', async () => {
    const nics = [
      { name: 'default', wire: {}, model: 'e1000e', macAddress: 'DE:AD:00:00:BE:AF', bootOrder: 1, state: 'down' },
      {
        name: 'b_2',
        wire: {},
        macAddress: '02-00-00-00-00-01',
        pciAddress: '0000:81:01.1',
        acpiIndex: 101,
        state: 'up',
      },
      {
        name: 'C',
        wire: {},
        model: '',
        dhcpOptions: { ntpServers: ['10.0.0.1'], privateOptions: [{ option: 240, value: 'x' }] },
      },
    ];
    expect(await causesOf(vmiOf(nics, { devices: { networkInterfaceMultiqueue: true } }))).toEqual([]);
  });

  it.each<[string, Vmi, string[]]>([
    [
      'a network without an interface',
      one(
        {},
        {
          networks: [
            { name: 'default', pod: {} },
            { name: 'other', pod: {} },
          ],
        },
      ),
      ["spec.networks[1].name: FieldValueRequired: spec.networks[1].name 'other' not found."],
    ],
    [
      'an interface without a network',
      one({ name: 'lost' }, { networks: [] }),
      [`${N}[0].name: FieldValueInvalid: ${N}[0].name 'lost' not found.`],
    ],
    [
      'names given twice',
      vmiOf([
        { name: 'a', wire: {} },
        { name: 'a', wire: {} },
      ]),
      [
        'spec.networks[1].name: FieldValueDuplicate: Network with name "a" already exists, every network must have a unique name',
        `${N}[1].name: FieldValueDuplicate: Only one interface can be connected to one specific network`,
      ],
    ],
    [
      'a name with a dot',
      one({ name: 'bad.name' }),
      [
        `${N}[0].name: FieldValueInvalid: Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)`,
      ],
    ],
    [
      'an unknown model',
      one({ model: 'ne2000' }),
      [`${N}[0].model: FieldValueNotSupported: interface ${N}[0].name uses model ne2000 that is not supported.`],
    ],
    [
      'a bad MAC address',
      one({ macAddress: 'de:ad:00:00:be' }),
      [`${N}[0].macAddress: FieldValueInvalid: interface ${N}[0].name has malformed MAC address (de:ad:00:00:be).`],
    ],
    [
      'a long MAC address',
      one({ macAddress: 'de:ad:00:00:be:af:be:af' }),
      [
        `${N}[0].macAddress: FieldValueInvalid: interface ${N}[0].name has too long MAC address (de:ad:00:00:be:af:be:af).`,
      ],
    ],
    [
      'a multicast MAC address',
      one({ macAddress: '01:00:5e:00:00:01' }),
      [`${N}[0].macAddress: FieldValueInvalid: interface ${N}[0].name has multicast MAC address (01:00:5e:00:00:01).`],
    ],
    [
      'a bad PCI address',
      one({ pciAddress: '0000:80.10.1' }),
      [`${N}[0].pciAddress: FieldValueInvalid: interface ${N}[0].name has malformed PCI address (0000:80.10.1).`],
    ],
    [
      'boot orders of 0 and twice',
      vmiOf(
        [
          { name: 'a', wire: {}, bootOrder: 0 },
          { name: 'b', wire: {}, bootOrder: 2 },
          { name: 'c', wire: {}, bootOrder: 3 },
          { name: 'd', wire: {}, bootOrder: 3 },
        ],
        { devices: { disks: [{ name: 'root', bootOrder: 2 }] } },
      ),
      [
        `${N}[0].bootOrder: FieldValueInvalid: ${N}[0] must have a boot order > 0, if supplied`,
        `${N}[1].bootOrder: FieldValueInvalid: Boot order for ${N}[1].bootOrder already set for a different device.`,
        `${N}[3].bootOrder: FieldValueInvalid: Boot order for ${N}[3].bootOrder already set for a different device.`,
      ],
    ],
    [
      'states',
      vmiOf([
        { name: 'a', wire: {}, state: 'sideways' },
        { name: 'b', wire: {}, state: 'absent' },
      ]),
      [
        `${N}[0].state: FieldValueInvalid: logical a interface state value is unsupported: sideways`,
        `${N}[1].state: FieldValueInvalid: "b" interface's state "absent" is not supported on default networks`,
      ],
    ],
    [
      'DHCP options',
      one({
        dhcpOptions: {
          bootFileName: 'a\nb',
          ntpServers: ['::1', 'ntp.example.com'],
          privateOptions: [
            { option: 240, value: 'a' },
            { option: 240, value: 'b' },
            { option: 7, value: 'c' },
          ],
        },
      }),
      [
        `${N}[0].dhcpOptions: FieldValueInvalid: Found Duplicates: you have provided duplicate DHCPPrivateOptions`,
        `${N}[0].dhcpOptions.privateOptions[2]: FieldValueInvalid: provided DHCPPrivateOptions are out of range, must be in range 224 to 254`,
        `${N}[0].dhcpOptions.ntpServers[0]: FieldValueInvalid: NTP servers must be a list of valid IPv4 addresses.`,
        `${N}[0].dhcpOptions.ntpServers[1]: FieldValueInvalid: NTP servers must be a list of valid IPv4 addresses.`,
        `${N}[0].dhcpOptions.bootFileName: FieldValueInvalid: ${N}[0].dhcpOptions.bootFileName must not hold control characters`,
      ],
    ],
    [
      'multi-queue without virtio',
      one({ model: 'e1000' }, { devices: { networkInterfaceMultiqueue: true } }),
      [
        'spec.domain.devices.networkInterfaceMultiqueue: FieldValueInvalid: virtio-net multiqueue request, but there are no virtio interfaces defined',
      ],
    ],
    [
      'an interface without a binding',
      vmiOf([{ name: 'default' }]),
      [`${N}[0]: FieldValueRequired: ${N}[0] must have exactly one binding (wire)`],
    ],
  ])('refuse %s', async (_, vmi, causes) => {
    expect(await causesOf(vmi)).toEqual(causes);
  });

  it('never fail on what is not even of the right type', async () => {
    const host = testHost(plugins);
    const user = { username: 'test', groups: [] };
    const junk = fc.dictionary(
      fc.constantFrom('name', 'model', 'macAddress', 'bootOrder', 'pciAddress', 'acpiIndex', 'state', 'dhcpOptions'),
      fc.anything(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(junk, { maxLength: 3 }), fc.anything(), async (nics, dhcpOptions) => {
        const vmi = vmiOf([...nics.map((nic) => ({ name: 'x', ...nic })), { name: 'y', dhcpOptions }]);
        const object = JSON.parse(JSON.stringify(vmi)) as KubeObject;
        await expect(admit(host, { operation: 'CREATE', object, user })).resolves.toBeDefined();
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the domain', () => {
  const xmlOf = async (vmi: Vmi) => (await planFor({ plugins, vmi })).xml;

  it("has KubeVirt's interface for a plain one", async () => {
    expect(await xmlOf(one({}))).toBe(`<domain>
  <devices>
    <interface type="ethernet">
      <source/>
      <target dev="tap-default" managed="no"/>
      <mtu size="1450"/>
      <mac address="02:00:00:aa:bb:cc"/>
      <model type="virtio-non-transitional"/>
      <rom enabled="no"/>
      <alias name="ua-default"/>
    </interface>
  </devices>
</domain>
`);
  });

  it('has what the manifest asks for, signed, and known by name', async () => {
    const nic = { model: 'e1000', bootOrder: 2, acpiIndex: 7, state: 'down', pciAddress: '0000:01:1f.7' };
    const { xml, domain } = await planFor({ plugins, vmi: one(nic) });
    for (const line of [
      '<model type="e1000"/>',
      '<boot order="2"/>',
      '<acpi index="7"/>',
      '<link state="down"/>',
      '<address type="pci" domain="0x0000" bus="0x01" slot="0x1f" function="0x7"/>',
    ]) {
      expect(xml).toContain(line);
    }
    expect(xml).not.toContain('<rom');
    const element = domain.children[0]?.children[0];
    expect(element?.key).toBe('interface:default');
    expect(element?.by?.plugin).toBe('interfaces');
  });

  it('has as many queues as vCPUs, and transitional devices, where asked', async () => {
    const devices = { networkInterfaceMultiqueue: true, useVirtioTransitional: true };
    const xml = await xmlOf(one({}, { devices, domain: { cpu: { cores: 2, sockets: 2 } } }));
    expect(xml).toContain('<driver queues="4"/>');
    expect(xml).toContain('<model type="virtio-transitional"/>');
    expect(await xmlOf(one({}, { devices }))).not.toContain('<driver');
    const e1000 = one({ model: 'e1000' }, { devices, domain: { cpu: { cores: 2 } } });
    expect(await xmlOf(e1000)).not.toContain('<driver');
  });

  it("is valid against libvirt's schema", async () => {
    const models = ['virtio', 'e1000', 'e1000e', 'igb', 'ne2k_pci', 'pcnet', 'rtl8139'];
    const nics = models.map((model, index) => ({
      name: `nic-${model}`,
      wire: {},
      model,
      macAddress: `02:00:00:00:00:0${index}`,
      ...(index % 2
        ? { bootOrder: index, acpiIndex: index }
        : { pciAddress: `0000:0${index + 1}:01.0`, state: 'down' }),
    }));
    const vmi = vmiOf(nics, { devices: { networkInterfaceMultiqueue: true }, domain: { cpu: { cores: 2 } } });
    const xml = (await xmlOf(vmi)).replace(
      '<domain>',
      '<domain type="qemu"><name>x</name><memory>65536</memory><os><type arch="x86_64" machine="q35">hvm</type></os>',
    );
    const folder = mkdtempSync(join(tmpdir(), 'vl-test-'));
    try {
      writeFileSync(join(folder, 'domain.xml'), xml);
      execFileSync('virt-xml-validate', [join(folder, 'domain.xml'), 'domain']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
