// The fields that this plugin owns, as JSON Schema.
import { type ApiSlice, QUANTITY_PATTERN, type Schema } from '../../core/index.ts';

const boolean = (description: string): Schema => ({ type: 'boolean', description });
const text = (description: string, more: Schema = {}): Schema => ({ type: 'string', description, ...more });
const count = (description: string): Schema => ({ type: 'integer', format: 'int32', minimum: 0, description });
const quantity = (description: string): Schema => ({
  'x-kubernetes-int-or-string': true,
  pattern: QUANTITY_PATTERN,
  description,
});
const object = (description: string, properties: Schema, more: Schema = {}): Schema => ({
  type: 'object',
  description,
  properties,
  ...more,
});
const state = (description: string, more: Schema = {}): Schema =>
  object(description, { enabled: boolean('true unless set'), ...more });
const resourceList = (description: string): Schema => ({
  type: 'object',
  description,
  additionalProperties: quantity('amount'),
});

/** Names that end up in the domain's XML. */
const WORD = { pattern: '^[A-Za-z0-9_.+-]*$', maxLength: 128 };
const SMBIOS = { maxLength: 256 };

const cpu: Record<string, Schema> = {
  sockets: count('sockets; the default number follows the CPU limit or request'),
  cores: count('cores in a socket'),
  threads: count('threads in a core'),
  maxSockets: count('sockets that can be plugged in, 4 times sockets unless set'),
  model: text('a CPU model libvirt knows, host-model (default) or host-passthrough', WORD),
  features: {
    type: 'array',
    description: 'CPU features to demand or to hide',
    items: object(
      'one feature',
      {
        name: text('the feature, as libvirt names it', { ...WORD, minLength: 1 }),
        policy: text('force, require (default), optional, disable or forbid'),
      },
      { required: ['name'] },
    ),
  },
};

const timer = (name: string, more: Schema = {}): Schema =>
  object(`the ${name} timer`, { present: boolean('true unless set'), ...more });
const tickPolicy = (...policies: string[]): Schema =>
  text('what happens to ticks that were missed', { enum: policies });

const clock = object('the guest clock', {
  utc: object('UTC, the default', {
    offsetSeconds: { type: 'integer', description: 'offset from UTC, kept through restarts' },
  }),
  timezone: text('a time zone of the tz database, e.g. Europe/Madrid', { maxLength: 64 }),
  timer: object('timers to show or to hide', {
    hpet: timer('HPET', { tickPolicy: tickPolicy('delay', 'catchup', 'merge', 'discard') }),
    kvm: timer('KVM clock'),
    pit: timer('PIT', { tickPolicy: tickPolicy('delay', 'catchup', 'discard') }),
    rtc: timer('RTC', {
      tickPolicy: tickPolicy('delay', 'catchup'),
      track: text('what the RTC follows', { enum: ['guest', 'wall'] }),
    }),
    hyperv: timer('Hyper-V'),
  }),
});

const enlightenment = state('a Hyper-V enlightenment');
const features = object('what the hypervisor shows to the guest', {
  acpi: state('ACPI, on by default'),
  apic: state('APIC', { endOfInterrupt: boolean('end of interrupt by paravirtualization') }),
  smm: state('system management mode, which secure boot needs'),
  pvspinlock: state('paravirtual spinlocks; needs KVM'),
  kvm: object('KVM itself', { hidden: boolean('hides KVM from the guest') }),
  hypervPassthrough: state('all enlightenments that the host has'),
  hyperv: object('Hyper-V enlightenments for Windows guests', {
    relaxed: enlightenment,
    vapic: enlightenment,
    spinlocks: state('spinlock retries', { spinlocks: { type: 'integer', description: '4096 or more' } }),
    vpindex: enlightenment,
    runtime: enlightenment,
    synic: enlightenment,
    synictimer: state('synthetic timers', { direct: enlightenment }),
    reset: enlightenment,
    vendorid: state('the vendor that the guest sees', {
      vendorid: text('at most 12 characters, no comma', { maxLength: 12, pattern: '^[ -+.-~-]*$' }),
    }),
    frequencies: enlightenment,
    reenlightenment: enlightenment,
    tlbflush: state('TLB flushes by hypercall', { direct: enlightenment, extended: enlightenment }),
    ipi: enlightenment,
    evmcs: enlightenment,
  }),
});

const bootloader = object('how the guest boots: BIOS (default) or UEFI', {
  bios: object('SeaBIOS', { useSerial: boolean('BIOS messages on the serial port') }),
  efi: object('UEFI', {
    secureBoot: boolean('true unless set; needs features.smm'),
  }),
});

const chassis = object('the chassis that the guest reads of by SMBIOS', {
  manufacturer: text('manufacturer', SMBIOS),
  version: text('version', SMBIOS),
  serial: text('serial number', SMBIOS),
  asset: text('asset tag', SMBIOS),
  sku: text('stock keeping unit', SMBIOS),
});

const devices: Record<string, Schema> = {
  autoattachGraphicsDevice: boolean('a screen reached by VNC, true unless set'),
  autoattachInputDevice: boolean('a tablet where inputs names no device'),
  autoattachMemBalloon: boolean('a memory balloon, true unless set'),
  autoattachSerialConsole: boolean('a serial console, true unless set'),
  disableHotplug: boolean('no controller for disks that are plugged in later'),
  useVirtioTransitional: boolean('virtio devices that guests older than Linux 3.18 know too'),
  inputs: {
    type: 'array',
    description: 'input devices',
    items: object(
      'a tablet',
      { name: text('its name', { ...WORD, minLength: 1 }), type: text('tablet'), bus: text('usb (default) or virtio') },
      { required: ['name', 'type'] },
    ),
  },
  rng: { type: 'object', description: 'a random number generator fed by the host' },
  video: object('the video device', { type: text('vga (default), bochs (default for UEFI), cirrus, virtio or ramfb') }),
  watchdog: object(
    'a watchdog that acts when the guest hangs',
    {
      name: text('its name', { ...WORD, minLength: 1 }),
      diag288: object('watchdog of s390x, which amd64 has not', { action: text('what it does') }),
      i6300esb: object('PCI watchdog', { action: text('what it does', { enum: ['reset', 'poweroff', 'shutdown'] }) }),
    },
    { required: ['name'] },
  ),
};

const slicesBelow = (parent: string, fields: Record<string, Schema>): ApiSlice[] =>
  Object.entries(fields).map(([name, schema]) => ({ path: `${parent}.${name}`, schema }));

export const api: readonly ApiSlice[] = [
  { path: 'spec.architecture', schema: text('amd64') },
  {
    path: 'spec.domain.resources',
    schema: object('what the pod asks of its node', {
      requests: resourceList('requests; memory and CPU follow the guest unless set'),
      limits: resourceList('limits; the memory ledger is added to memory'),
      overcommitGuestOverhead: boolean('leaves the memory ledger out of the request'),
    }),
  },
  ...slicesBelow('spec.domain.cpu', cpu),
  ...slicesBelow('spec.domain.memory', {
    guest: quantity('memory that the guest sees'),
    maxGuest: quantity('room for memory that is plugged in; 4 times guest unless set, for guests from 1Gi on'),
    reservedOverhead: object('not built yet', {
      addedOverhead: quantity('memory beside the guest'),
      memLock: text('whether memory is locked'),
    }),
  }),
  { path: 'spec.domain.machine', schema: object('the machine', { type: text('q35 or a version of it', WORD) }) },
  ...slicesBelow('spec.domain.firmware', {
    uuid: text("the machine's UUID; the VirtualMachine's uid unless set"),
    serial: text('serial number that the guest reads by SMBIOS', SMBIOS),
    bootloader,
  }),
  { path: 'spec.domain.clock', schema: clock },
  { path: 'spec.domain.features', schema: features },
  { path: 'spec.domain.chassis', schema: chassis },
  ...slicesBelow('spec.domain.devices', devices),
];
