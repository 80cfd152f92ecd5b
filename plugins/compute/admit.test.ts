import { describe, expect, it } from 'vitest';
import type { Devices, DomainSpec, Vmi } from '../../core/index.ts';
import { review, stored, vmi } from './fixtures.ts';

const INVALID = 'FieldValueInvalid';
const UNSUPPORTED = 'FieldValueNotSupported';
const D = 'spec.domain';

type Case = [what: string, domain: DomainSpec, devices: Devices, field: string, reason: string, message: RegExp];

const resources = (requests: object, limits: object = {}): DomainSpec =>
  ({ resources: { requests, limits } }) as DomainSpec;
const wrong = (value: unknown): DomainSpec => value as DomainSpec;

const REFUSED: Case[] = [
  [
    'negative memory request',
    resources({ memory: '-1Mi' }),
    {},
    `${D}.resources.requests.memory`,
    INVALID,
    /'-1Mi': must be greater than or equal to 0\./,
  ],
  [
    'negative memory limit',
    resources({}, { memory: '-1Mi' }),
    {},
    `${D}.resources.limits.memory`,
    INVALID,
    /greater than or equal to 0/,
  ],
  [
    'tiny memory request',
    resources({ memory: '1k' }),
    {},
    `${D}.resources.requests.memory`,
    INVALID,
    /greater than or equal to 1M\./,
  ],
  [
    'memory request over limit',
    resources({ memory: '2Gi' }, { memory: '1Gi' }),
    {},
    `${D}.resources.requests.memory`,
    INVALID,
    /'2Gi' is greater than spec\.domain\.resources\.limits\.memory '1Gi'/,
  ],
  [
    'negative CPU request',
    resources({ cpu: '-1' }),
    {},
    `${D}.resources.requests.cpu`,
    INVALID,
    /greater than or equal to 0/,
  ],
  [
    'negative CPU limit',
    resources({ cpu: '0' }, { cpu: '-200m' }),
    {},
    `${D}.resources.limits.cpu`,
    INVALID,
    /'-200m': must be/,
  ],
  [
    'CPU request over limit',
    resources({ cpu: 2 }, { cpu: '500m' }),
    {},
    `${D}.resources.requests.cpu`,
    INVALID,
    /'2' is greater than .* '500m'/,
  ],
  [
    'request that is no quantity',
    resources({ memory: 'lots' }),
    {},
    `${D}.resources.requests.memory`,
    INVALID,
    /must match pattern/,
  ],
  ['no memory', { memory: {} }, {}, `${D}.memory.guest`, 'FieldValueRequired', /^no memory requested, at least one of/],
  ['memory 0', { memory: { guest: '0' } }, {}, `${D}.memory.guest`, INVALID, /'0': must be greater than 0/],
  ['negative memory', { memory: { guest: '-64Mi' } }, {}, `${D}.memory.guest`, INVALID, /must be greater than 0/],
  ['memory past counting', { memory: { guest: '16Ei' } }, {}, `${D}.memory.guest`, INVALID, /must be less than 8Pi/],
  [
    'memory that is no quantity',
    { memory: { guest: '64 MB' } },
    {},
    `${D}.memory.guest`,
    INVALID,
    /must match pattern/,
  ],
  [
    'memory as an object',
    wrong({ memory: { guest: {} } }),
    {},
    `${D}.memory.guest`,
    INVALID,
    /must be an integer or a string/,
  ],
  [
    'guest over maxGuest',
    { memory: { guest: '2Gi', maxGuest: '1Gi' } },
    {},
    `${D}.memory.maxGuest`,
    INVALID,
    /Guest memory is greater than/,
  ],
  [
    'room for a small guest',
    { memory: { guest: '512Mi', maxGuest: '1Gi' } },
    {},
    `${D}.memory.maxGuest`,
    INVALID,
    /at least 1Gi/,
  ],
  [
    'unaligned guest with room',
    { memory: { guest: '1025Mi', maxGuest: '2Gi' } },
    {},
    `${D}.memory.maxGuest`,
    INVALID,
    /Guest memory must be 2Mi aligned/,
  ],
  [
    'unaligned room',
    { memory: { guest: '1Gi', maxGuest: '2049Mi' } },
    {},
    `${D}.memory.maxGuest`,
    INVALID,
    /MaxGuest must be 2Mi aligned/,
  ],
  [
    'reserved overhead',
    { memory: { guest: '1Gi', reservedOverhead: {} } },
    {},
    `${D}.memory.reservedOverhead`,
    UNSUPPORTED,
    /not built yet/,
  ],
  [
    'hugepages',
    wrong({ memory: { guest: '1Gi', hugepages: { pageSize: '2Mi' } } }),
    {},
    `${D}.memory.hugepages`,
    INVALID,
    /unknown field/,
  ],
  ['negative cores', { cpu: { cores: -1 } }, {}, `${D}.cpu.cores`, INVALID, /must be >= 0/],
  ['cores as text', wrong({ cpu: { cores: 'two' } }), {}, `${D}.cpu.cores`, INVALID, /must be of type integer/],
  ['cpu as a number', wrong({ cpu: 5 }), {}, `${D}.cpu`, INVALID, /must be of type object/],
  ['too many vCPUs', { cpu: { sockets: 16, cores: 16 } }, {}, `${D}.cpu`, INVALID, /asks for 256 vCPUs .* at most 255/],
  [
    'too many sockets to plug',
    { cpu: { sockets: 1, maxSockets: 1000 } },
    {},
    `${D}.cpu`,
    INVALID,
    /asks for 1000 vCPUs/,
  ],
  [
    'more sockets than maxSockets',
    { cpu: { sockets: 4, maxSockets: 2 } },
    {},
    `${D}.cpu.sockets`,
    INVALID,
    /^Number of sockets in CPU topology is greater than the maximum sockets allowed$/,
  ],
  [
    'unknown feature policy',
    { cpu: { features: [{ name: 'aes', policy: 'please' }] } },
    {},
    `${D}.cpu.features[0].policy`,
    UNSUPPORTED,
    /^CPU feature aes uses policy please that is not supported\.$/,
  ],
  [
    'feature without a name',
    wrong({ cpu: { features: [{ policy: 'require' }] } }),
    {},
    `${D}.cpu.features[0].name`,
    'FieldValueRequired',
    /is required/,
  ],
  ['model with markup', { cpu: { model: '<model/>' } }, {}, `${D}.cpu.model`, INVALID, /must match pattern/],
  [
    'dedicated CPUs',
    wrong({ cpu: { dedicatedCpuPlacement: true } }),
    {},
    `${D}.cpu.dedicatedCpuPlacement`,
    INVALID,
    /unknown field/,
  ],
  [
    'machine type',
    { machine: { type: 'pc-i440fx-7.2' } },
    {},
    `${D}.machine.type`,
    INVALID,
    /is not supported: pc-i440fx-7\.2 \(allowed values: \[q35\* pc-q35\*\]\)/,
  ],
  [
    'BIOS and EFI',
    { firmware: { bootloader: { bios: {}, efi: { secureBoot: false } } } },
    {},
    `${D}.firmware.bootloader`,
    INVALID,
    /has both EFI and BIOS configured, but they are mutually exclusive\./,
  ],
  [
    'secure boot without SMM',
    { firmware: { bootloader: { efi: {} } } },
    {},
    D,
    INVALID,
    /^spec\.domain has EFI SecureBoot enabled\. SecureBoot requires SMM, which is currently disabled\.$/,
  ],
  [
    'secure boot with SMM off',
    { firmware: { bootloader: { efi: { secureBoot: true } } }, features: { smm: { enabled: false } } },
    {},
    D,
    INVALID,
    /requires SMM/,
  ],
  ['UUID', { firmware: { uuid: 'not-a-uuid' } }, {}, `${D}.firmware.uuid`, INVALID, /'not-a-uuid' is not a UUID/],
  [
    'control characters',
    { firmware: { serial: 'a\u0000b' } },
    {},
    `${D}.firmware.serial`,
    INVALID,
    /control character/,
  ],
  [
    'control characters in the chassis',
    { chassis: { asset: 'a\nb' } },
    {},
    `${D}.chassis.asset`,
    INVALID,
    /control character/,
  ],
  ['time zone', { clock: { timezone: 'Europe/Nowhere' } }, {}, `${D}.clock.timezone`, INVALID, /is not a time zone/],
  [
    'tick policy',
    { clock: { timer: { pit: { tickPolicy: 'merge' } } } },
    {},
    `${D}.clock.timer.pit.tickPolicy`,
    UNSUPPORTED,
    /supported values: "delay", "catchup", "discard"/,
  ],
  [
    'Hyper-V without what it stands on',
    { features: { hyperv: { synic: {}, vpindex: { enabled: false } } } },
    {},
    `${D}.features.hyperv.synic`,
    INVALID,
    /^'spec\.domain\.features\.hyperv\.synic' requires 'spec\.domain\.features\.hyperv\.vpindex', which was disabled\.$/,
  ],
  [
    'Hyper-V twice',
    { features: { hyperv: {}, hypervPassthrough: {} } },
    {},
    `${D}.features.hyperv`,
    INVALID,
    /^Cannot explicitly set hyperV features/,
  ],
  [
    'too few spinlock retries',
    { features: { hyperv: { spinlocks: { spinlocks: 10 } } } },
    {},
    `${D}.features.hyperv.spinlocks.spinlocks`,
    INVALID,
    /greater than or equal to 4096/,
  ],
  [
    'no vendor id',
    { features: { hyperv: { vendorid: {} } } },
    {},
    `${D}.features.hyperv.vendorid.vendorid`,
    'FieldValueRequired',
    /is required/,
  ],
  [
    'long vendor id',
    { features: { hyperv: { vendorid: { vendorid: '1234567890123' } } } },
    {},
    `${D}.features.hyperv.vendorid.vendorid`,
    INVALID,
    /12 characters/,
  ],
  [
    'direct TLB flush',
    { features: { hyperv: { tlbflush: { direct: {} } } } },
    {},
    `${D}.features.hyperv.tlbflush.direct`,
    UNSUPPORTED,
    /newer libvirt/,
  ],
  [
    'input bus',
    {},
    { inputs: [{ name: 'a', type: 'tablet', bus: 'ps2' }] },
    `${D}.devices.inputs[0].bus`,
    INVALID,
    /^Input device can have only virtio or usb bus\.$/,
  ],
  [
    'input type',
    {},
    { inputs: [{ name: 'a', type: 'keyboard' }] },
    `${D}.devices.inputs[0].type`,
    INVALID,
    /^Input device can have only tablet type\.$/,
  ],
  [
    'two inputs of one name',
    {},
    {
      inputs: [
        { name: 'a', type: 'tablet' },
        { name: 'a', type: 'tablet' },
      ],
    },
    `${D}.devices.inputs[1].name`,
    'FieldValueDuplicate',
    /must not have the same name 'a'/,
  ],
  [
    'input named as a disk',
    {},
    { disks: [{ name: 'a' }], inputs: [{ name: 'a', type: 'tablet' }] },
    `${D}.devices.inputs[0].name`,
    'FieldValueDuplicate',
    /devices\.disks\[0\]/,
  ],
  [
    's390x watchdog',
    {},
    { watchdog: { name: 'a', diag288: {} } },
    `${D}.devices.watchdog`,
    UNSUPPORTED,
    /^amd64 only supports I6300ESB watchdog device$/,
  ],
  [
    'watchdog action',
    {},
    { watchdog: { name: 'a', i6300esb: { action: 'explode' } } },
    `${D}.devices.watchdog.i6300esb.action`,
    UNSUPPORTED,
    /supported values/,
  ],
  [
    'video type',
    {},
    { video: { type: 'qxl' } },
    `${D}.devices.video.type`,
    UNSUPPORTED,
    /^video model 'qxl' is not supported on amd64 architecture$/,
  ],
  [
    'video without graphics',
    {},
    { video: { type: 'vga' }, autoattachGraphicsDevice: false },
    `${D}.devices.video`,
    INVALID,
    /^Video configuration is not allowed/,
  ],
];

describe('admission of a VMI', () => {
  it.each(REFUSED)('refuses %s', async (_, domain, devices, field, reason, message) => {
    const { causes } = await review(vmi(domain, devices));
    const cause = causes.find((one) => one.field === field && one.reason === reason);
    expect(causes.map((one) => `${one.field} ${one.reason}`)).toContain(`${field} ${reason}`);
    expect(cause?.message).toMatch(message);
  });

  it('refuses another architecture', async () => {
    const given = vmi();
    given.spec.architecture = 'arm64';
    expect((await review(given)).causes).toEqual([
      {
        field: 'spec.architecture',
        reason: INVALID,
        message: 'unsupported architecture: arm64 (guests are amd64)',
      },
    ]);
  });

  it('gives all causes at once', async () => {
    const { causes } = await review(
      vmi({ machine: { type: 'isapc' }, firmware: { uuid: 'x' } }, { video: { type: 'qxl' } }),
    );
    expect(causes).toHaveLength(3);
  });

  it('warns of a limit that kills the guest', async () => {
    const { causes, warnings } = await review(
      vmi({ memory: { guest: '2Gi' }, resources: { limits: { memory: '1Gi' }, requests: { memory: '1Gi' } } }),
    );
    expect(causes).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining("'2Gi' is greater than the memory limit '1Gi'")]);
  });

  it.each([
    ['everything at its default', {}, {}],
    ['secure boot with SMM', { firmware: { bootloader: { efi: {} } }, features: { smm: {} } }, {}],
    ['a version of q35', { machine: { type: 'pc-q35-7.2' } }, {}],
    ['memory by request', { memory: {}, resources: { requests: { memory: '64Mi' } } }, {}],
    ['memory by limit', { memory: {}, resources: { limits: { memory: '64Mi' } } }, {}],
    ['as many vCPUs as can be', { cpu: { sockets: 15, cores: 17 } }, {}],
    ['odd but printable SMBIOS texts', { firmware: { serial: 'é,=<&>"' }, chassis: { asset: ' ' } }, {}],
  ])('accepts %s', async (_, domain, devices) => {
    await expect(stored(vmi(domain, devices))).resolves.toBeDefined();
  });

  it.each(
    [null, 1, 'x', [], [1], [null], {}, { timer: 1 }, { features: 'x' }, { enabled: 'no' }].map((value) => ({ value })),
  )('takes $value anywhere', async ({ value }) => {
    for (const key of ['cpu', 'memory', 'resources', 'machine', 'firmware', 'clock', 'features', 'chassis']) {
      await review(vmi(wrong({ [key]: value })));
      await review(vmi(wrong({ [key]: { features: value, guest: value, hyperv: value, bootloader: value } })));
    }
    for (const key of ['inputs', 'watchdog', 'video', 'rng']) {
      await review(vmi({}, { [key]: value } as Devices));
    }
    await review({ ...vmi(), metadata: { name: 'a', labels: value } } as unknown as Vmi);
  });
});
