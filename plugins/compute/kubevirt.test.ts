// Our domains beside KubeVirt's, fact by fact. Whatever differs is listed here with its reason (docs/decisions/020).
import { describe, expect, it } from 'vitest';
import type { Element, Vmi } from '../../core/index.ts';
import { KVM, render, UID, vmi } from './fixtures.ts';

interface Difference {
  readonly theirs?: string;
  readonly ours?: string;
  readonly why: string;
}

/** One line an element: its path, its attributes by name, its text. */
function facts(element: Element, path = ''): string[] {
  const here = path === '' ? element.tag : `${path}/${element.tag}`;
  const attributes = Object.entries(element.attrs)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ` ${name}=${value}`);
  const isPlain = attributes.length === 0 && element.text === undefined && element.children.length > 0;
  const own = isPlain ? [] : [here + attributes.join('') + (element.text === undefined ? '' : ` "${element.text}"`)];
  return [...own, ...element.children.flatMap((child) => facts(child, here))];
}

const PRIVATE = `/var/run/kubevirt-private/${UID}`;

/** What KubeVirt 1.9 makes of a VMI that asks for memory alone: this plugin's part of it. */
const PLAIN = [
  'domain type=kvm xmlns:qemu=http://libvirt.org/schemas/domain/qemu/1.0',
  'domain/name "mynamespace_testvmi"',
  'domain/memory unit=b "134217728"',
  'domain/metadata/kubevirt xmlns=http://kubevirt.io',
  `domain/metadata/kubevirt/uid "${UID}"`,
  'domain/os/type arch=x86_64 machine=q35 "hvm"',
  'domain/os/smbios mode=sysinfo',
  'domain/sysinfo type=smbios',
  `domain/sysinfo/system/entry name=uuid "${UID}"`,
  'domain/sysinfo/system/entry name=manufacturer "KubeVirt"',
  'domain/sysinfo/system/entry name=family "KubeVirt"',
  'domain/sysinfo/system/entry name=product "None"',
  'domain/sysinfo/system/entry name=sku',
  'domain/sysinfo/system/entry name=version',
  'domain/sysinfo/bios',
  'domain/sysinfo/baseBoard',
  'domain/sysinfo/chassis',
  'domain/features/acpi',
  'domain/features/vmport state=off',
  'domain/cpu mode=host-model',
  'domain/cpu/topology cores=1 sockets=4 threads=1',
  'domain/vcpu placement=static "4"',
  'domain/vcpus/vcpu enabled=yes hotpluggable=no id=0',
  'domain/vcpus/vcpu enabled=no hotpluggable=yes id=1',
  'domain/vcpus/vcpu enabled=no hotpluggable=yes id=2',
  'domain/vcpus/vcpu enabled=no hotpluggable=yes id=3',
  'domain/devices/channel type=unix',
  'domain/devices/channel/target name=org.qemu.guest_agent.0 type=virtio',
  'domain/devices/controller index=0 model=none type=usb',
  'domain/devices/controller index=0 model=virtio-non-transitional type=scsi',
  'domain/devices/controller index=0 model=virtio-non-transitional type=virtio-serial',
  'domain/devices/video/model heads=1 type=vga vram=16384',
  'domain/devices/graphics type=vnc',
  `domain/devices/graphics/listen socket=${PRIVATE}/virt-vnc type=socket`,
  'domain/devices/memballoon freePageReporting=on model=virtio-non-transitional',
  'domain/devices/memballoon/stats period=10',
  'domain/devices/serial type=unix',
  'domain/devices/serial/target port=0',
  `domain/devices/serial/source mode=bind path=${PRIVATE}/virt-serial0`,
  `domain/devices/serial/log append=on file=${PRIVATE}/virt-serial0-log`,
  'domain/devices/console type=pty',
  'domain/devices/console/target port=0 type=serial',
  // Three devices on PCI Express, and the four free ports that KubeVirt keeps beside four counted devices.
  'domain/devices/controller index=0 model=pcie-root type=pci',
  ...[1, 2, 3, 4, 5, 6, 7].map((index) => `domain/devices/controller index=${index} model=pcie-root-port type=pci`),
];

const PLAIN_DIFFERENCES: Difference[] = [
  {
    theirs: 'domain type=kvm xmlns:qemu=http://libvirt.org/schemas/domain/qemu/1.0',
    ours: 'domain type=kvm',
    why: 'no arguments of QEMU are written past libvirt, so its name space is not declared',
  },
  { theirs: 'domain/sysinfo/system/entry name=sku', why: 'empty: libvirt drops it' },
  { theirs: 'domain/sysinfo/system/entry name=version', why: 'empty: libvirt drops it' },
  { theirs: 'domain/sysinfo/bios', why: 'empty, and not valid by libvirt’s schema' },
  { theirs: 'domain/sysinfo/baseBoard', why: 'empty, and not valid by libvirt’s schema' },
  { theirs: 'domain/sysinfo/chassis', why: 'empty, and not valid by libvirt’s schema' },
  {
    theirs: `domain/devices/serial/log append=on file=${PRIVATE}/virt-serial0-log`,
    why: 'without virtlogd nothing bounds the log: a guest could fill the node’s disk',
  },
];

const EMULATED: Difference[] = [
  { theirs: 'domain type=kvm', ours: 'domain type=qemu', why: 'software emulation' },
  {
    ours: 'domain/features/tcg/tb-cache unit=MiB "32"',
    why: 'without a bound the cache of translated code grows to hundreds of MiB',
  },
];

/** What KubeVirt makes of clock, features and input devices. */
const RICH: Vmi = vmi(
  {
    cpu: { cores: 1, sockets: 1, threads: 1, maxSockets: 1, model: 'host-model' },
    clock: {
      utc: {},
      timer: {
        hpet: { tickPolicy: 'delay', present: false },
        kvm: { present: true },
        pit: { tickPolicy: 'discard', present: false },
        rtc: { tickPolicy: 'catchup', present: true, track: 'guest' },
        hyperv: { present: true },
      },
    },
    features: {
      acpi: {},
      apic: {},
      smm: {},
      kvm: { hidden: true },
      pvspinlock: { enabled: false },
      hyperv: {
        relaxed: { enabled: false },
        vapic: { enabled: true },
        spinlocks: { enabled: true },
        vpindex: { enabled: true },
        runtime: { enabled: false },
        synic: { enabled: true },
        synictimer: { enabled: true, direct: { enabled: true } },
        reset: { enabled: true },
        vendorid: { enabled: false, vendorid: 'myvendor' },
        frequencies: { enabled: false },
        reenlightenment: { enabled: false },
        tlbflush: { enabled: true },
        ipi: { enabled: true },
        evmcs: { enabled: false },
      },
    },
  },
  { rng: {}, inputs: [{ name: 'tablet0', bus: 'virtio', type: 'tablet' }] },
);
const RICH_FACTS = [
  'domain/clock adjustment=reset offset=utc',
  'domain/clock/timer name=rtc present=yes tickpolicy=catchup track=guest',
  'domain/clock/timer name=pit present=no tickpolicy=discard',
  'domain/clock/timer name=kvmclock present=yes',
  'domain/clock/timer name=hpet present=no tickpolicy=delay',
  'domain/clock/timer name=hypervclock present=yes',
  'domain/features/acpi',
  'domain/features/apic',
  'domain/features/smm',
  'domain/features/kvm/hidden state=on',
  'domain/features/pvspinlock state=off',
  'domain/features/vmport state=off',
  ...['relaxed', 'runtime', 'frequencies', 'reenlightenment', 'evmcs'].map(
    (name) => `domain/features/hyperv/${name} state=off`,
  ),
  ...['vapic', 'vpindex', 'synic', 'stimer', 'reset', 'tlbflush', 'ipi'].map(
    (name) => `domain/features/hyperv/${name} state=on`,
  ),
  'domain/features/hyperv/stimer/direct state=on',
  'domain/features/hyperv/spinlocks retries=4096 state=on',
  'domain/features/hyperv/vendor_id state=off value=myvendor',
  'domain/cpu mode=host-model',
  'domain/cpu/topology cores=1 sockets=1 threads=1',
  'domain/vcpu placement=static "1"',
  'domain/vcpus/vcpu enabled=yes hotpluggable=no id=0',
  'domain/devices/input bus=virtio model=virtio type=tablet',
  'domain/devices/input/alias name=ua-tablet0',
  'domain/devices/rng model=virtio-non-transitional',
  'domain/devices/rng/backend model=random "/dev/urandom"',
];
const RICH_DIFFERENCES: Difference[] = [
  { theirs: 'domain/features/smm', ours: 'domain/features/smm state=on', why: 'the same, said whole' },
];

/** The facts that one side has and the other has not are those listed, no more and no fewer. */
function compare(ours: readonly string[], theirs: readonly string[], differences: readonly Difference[]): void {
  const said = (list: (string | undefined)[]): string[] => list.filter((fact) => fact !== undefined).sort();
  expect(ours.filter((fact) => !theirs.includes(fact)).sort()).toEqual(said(differences.map((one) => one.ours)));
  expect(theirs.filter((fact) => !ours.includes(fact)).sort()).toEqual(said(differences.map((one) => one.theirs)));
}

describe('beside KubeVirt', () => {
  it('a plain VMI has the same domain, but for what is listed', async () => {
    compare(facts((await render(vmi(), KVM)).domain), PLAIN, PLAIN_DIFFERENCES);
  });

  it('under emulation too', async () => {
    const listed = PLAIN_DIFFERENCES.filter((one) => one.ours === undefined);
    const theirs = PLAIN.map((fact) => (fact.startsWith('domain type=') ? 'domain type=kvm' : fact));
    compare(facts((await render(vmi())).domain), theirs, [...listed, ...EMULATED]);
  });

  it('clock, features and input devices are the same, but for what is listed', async () => {
    const tags = new Set(['clock', 'features', 'cpu', 'vcpu', 'vcpus', 'devices']);
    const { domain, devices } = await render(RICH, KVM);
    const parts = domain.children.filter((child) => tags.has(child.tag) && child !== devices);
    const ours = [
      ...parts,
      { ...devices, children: devices.children.filter(({ tag }) => ['input', 'rng'].includes(tag)) },
    ];
    compare(
      ours.flatMap((part) => facts(part, 'domain')),
      RICH_FACTS,
      RICH_DIFFERENCES,
    );
  });
});
