// The whole domain of a plain VMI, by all plugins at once, beside KubeVirt 1.9's: one containerDisk, one cloudInitNoCloud,
// masquerade. What differs is listed with its reason (docs/decisions/020).
import { pino } from 'pino';
import { beforeAll, describe, expect, it } from 'vitest';
import { compose } from '../cli/compose.ts';
import { DEFAULT_CONFIG } from '../cli/paths.ts';
import { admit, applyDefaults } from '../core/admission.ts';
import type { Element } from '../core/domain/element.ts';
import type { Host } from '../core/host.ts';
import { plan } from '../core/plan.ts';
import { TEST_FACTS } from '../core/testing.ts';
import type { Facts, Json, Vmi } from '../core/types.ts';
import { VMI_KIND } from '../core/vmi-kind.ts';

const UID = '6f1c2d3e-0000-4000-8000-000000000001';
const PRIVATE = `/var/run/kubevirt-private/${UID}`;
const EPHEMERAL = '/var/run/kubevirt-ephemeral-disks';
const MAC = '02:00:00:ab:cd:ef';

const PLAIN: Vmi = {
  apiVersion: 'kubevirt.io/v1',
  kind: VMI_KIND.resource.kind,
  metadata: { name: 'testvmi', namespace: 'mynamespace', uid: UID },
  spec: {
    domain: {
      memory: { guest: '128Mi' },
      devices: {
        disks: [
          { name: 'root', disk: { bus: 'virtio' } },
          { name: 'seed', disk: { bus: 'virtio' } },
        ],
        interfaces: [{ name: 'default', masquerade: {} }],
      },
    },
    networks: [{ name: 'default', pod: {} }],
    volumes: [
      { name: 'root', containerDisk: { image: 'quay.io/kubevirt/cirros:v1' } },
      { name: 'seed', cloudInitNoCloud: { userData: '#!/bin/sh' } },
    ],
  },
};

/** What the node's steps find out, and the domain needs. */
const FOUND: Readonly<Record<string, Json>> = {
  'storage-containerdisk/disk/root/overlay': { format: 'qcow2', cache: 'none' },
  'cloud-init/disk/seed/iso': { cache: 'none' },
  'network-masquerade/nic/default/nat': { tap: 'tap0', mtu: 1450, mac: MAC, ips: ['10.88.0.7'] },
};

const factsOf = (virtType: 'kvm' | 'qemu', steps: Facts['steps']): Facts => ({
  cluster: { ...TEST_FACTS.cluster, virtType },
  steps,
});

const THEIRS = [
  'domain type=kvm xmlns:qemu=http://libvirt.org/schemas/domain/qemu/1.0',
  'domain/name "mynamespace_testvmi"',
  'domain/metadata/kubevirt xmlns=http://kubevirt.io',
  `domain/metadata/kubevirt/uid "${UID}"`,
  'domain/memory unit=b "134217728"',
  'domain/vcpu placement=static "4"',
  'domain/vcpus/vcpu enabled=yes hotpluggable=no id=0',
  ...[1, 2, 3].map((id) => `domain/vcpus/vcpu enabled=no hotpluggable=yes id=${id}`),
  'domain/cpu mode=host-model',
  'domain/cpu/topology cores=1 sockets=4 threads=1',
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
  'domain/devices/interface type=ethernet',
  'domain/devices/interface/source',
  'domain/devices/interface/target dev=tap0 managed=no',
  'domain/devices/interface/model type=virtio-non-transitional',
  `domain/devices/interface/mac address=${MAC}`,
  'domain/devices/interface/mtu size=1450',
  'domain/devices/interface/alias name=ua-default',
  'domain/devices/interface/rom enabled=no',
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
  'domain/devices/disk device=disk model=virtio-non-transitional type=file',
  `domain/devices/disk/source file=${EPHEMERAL}/disk-data/root/disk.qcow2`,
  'domain/devices/disk/target bus=virtio dev=vda',
  'domain/devices/disk/driver cache=none discard=unmap error_policy=stop name=qemu type=qcow2',
  'domain/devices/disk/alias name=ua-root',
  'domain/devices/disk/backingStore type=file',
  'domain/devices/disk/backingStore/format type=qcow2',
  'domain/devices/disk/backingStore/source file=/var/run/kubevirt/container-disks/disk_0.img',
  'domain/devices/disk device=disk model=virtio-non-transitional type=file',
  `domain/devices/disk/source file=${EPHEMERAL}/cloud-init-data/mynamespace/testvmi/noCloud.iso`,
  'domain/devices/disk/target bus=virtio dev=vdb',
  'domain/devices/disk/driver cache=none discard=unmap error_policy=stop name=qemu type=raw',
  'domain/devices/disk/alias name=ua-seed',
  'domain/devices/serial type=unix',
  'domain/devices/serial/target port=0',
  `domain/devices/serial/source mode=bind path=${PRIVATE}/virt-serial0`,
  `domain/devices/serial/log append=on file=${PRIVATE}/virt-serial0-log`,
  'domain/devices/console type=pty',
  'domain/devices/console/target port=0 type=serial',
  // Six devices on PCI Express, and room for four interfaces in all: three placeholders that KubeVirt takes away again.
  'domain/devices/controller index=0 model=pcie-root type=pci',
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map(
    (index) => `domain/devices/controller index=${index} model=pcie-root-port type=pci`,
  ),
];

interface Difference {
  readonly theirs?: string;
  readonly ours?: string;
  readonly why: string;
}

const DIFFERENCES: readonly Difference[] = [
  { theirs: THEIRS[0] ?? '', ours: 'domain type=kvm', why: '020: nothing is passed to QEMU past libvirt' },
  { theirs: 'domain/sysinfo/system/entry name=sku', why: '020: empty, libvirt drops it' },
  { theirs: 'domain/sysinfo/system/entry name=version', why: '020: empty, libvirt drops it' },
  ...['bios', 'baseBoard', 'chassis'].map((name) => ({
    theirs: `domain/sysinfo/${name}`,
    why: "020: empty, and not valid by libvirt's schema",
  })),
  {
    theirs: `domain/devices/serial/log append=on file=${PRIVATE}/virt-serial0-log`,
    why: '020: nothing bounds the file without virtlogd',
  },
];
const EMULATED: readonly Difference[] = [
  { ours: 'domain/features/tcg/tb-cache unit=MiB "32"', why: "020: QEMU's cache of translated code has no bound" },
];
/** Before the node has looked: what is not known is left out, or as it mostly is. */
const UNKNOWN: readonly Difference[] = [
  { theirs: `domain/devices/interface/mac address=${MAC}`, why: "the pod's interface is not there yet" },
  {
    theirs: 'domain/devices/interface/mtu size=1450',
    ours: 'domain/devices/interface/mtu size=1500',
    why: "the pod's interface is not there yet",
  },
];

/** One line an element that says anything: its path, its attributes by name, its text. */
function facts(element: Element, path = ''): string[] {
  const here = path === '' ? element.tag : `${path}/${element.tag}`;
  const attributes = Object.entries(element.attrs)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ` ${name}=${value}`);
  const isPlain = attributes.length === 0 && element.text === undefined && element.children.length > 0;
  const own = isPlain ? [] : [here + attributes.join('') + (element.text === undefined ? '' : ` "${element.text}"`)];
  return [...own, ...element.children.flatMap((child) => facts(child, here))];
}

/** What is in one list and not in the other; what is there twice counts twice. */
function without(list: readonly string[], other: readonly string[]): string[] {
  const rest = [...other];
  return list.filter((fact) => {
    const index = rest.indexOf(fact);
    if (index >= 0) rest.splice(index, 1);
    return index < 0;
  });
}

let host: Host;
beforeAll(async () => {
  ({ host } = await compose(DEFAULT_CONFIG, pino({ level: 'silent' })));
});

async function differences(cluster: Facts): Promise<{ ours: string[]; theirs: string[] }> {
  const request = { operation: 'CREATE' as const, object: PLAIN, user: { username: 'test', groups: [] } };
  const { object } = await applyDefaults(host, request);
  expect((await admit(host, { ...request, object })).causes).toEqual([]);
  const { domain } = await plan(host, object as Vmi, cluster);
  const ours = facts(domain);
  return { ours: without(ours, THEIRS).sort(), theirs: without(THEIRS, ours).sort() };
}

function listed(...lists: (readonly Difference[])[]): { ours: string[]; theirs: string[] } {
  const all = lists.flat();
  const said = (texts: (string | undefined)[]): string[] => texts.filter((text) => text !== undefined).sort();
  return { ours: said(all.map((one) => one.ours)), theirs: said(all.map((one) => one.theirs)) };
}

describe('the domain of a plain VMI', () => {
  it("is KubeVirt's, but for what is listed", async () => {
    expect(await differences(factsOf('kvm', FOUND))).toEqual(listed(DIFFERENCES));
  });

  it('is under software emulation too', async () => {
    const [first, ...rest] = DIFFERENCES;
    const type = { ...first, ours: 'domain type=qemu' } as Difference;
    expect(await differences(factsOf('qemu', FOUND))).toEqual(listed([type, ...rest], EMULATED));
  });

  it('lacks before its node has looked only what the node finds', async () => {
    expect(await differences(factsOf('kvm', {}))).toEqual(listed(DIFFERENCES, UNKNOWN));
  });
});
