// Domains of this plugin in the launcher's own libvirt and QEMU: accepted, started, and with the ports that were planned.
import { spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Vmi } from '../../core/index.ts';
import { render, UID, vmi } from './fixtures.ts';

const LAUNCHER = fileURLToPath(new URL('../../launcher/rootfs', import.meta.url));
/** Where other tests may have left what QEMU can do; without it the first start takes longer. */
const CAPABILITIES = fileURLToPath(new URL('../../.cache/launcher-capabilities', import.meta.url));

/** $1 the launcher's files, $2 a directory of domains, $3 a directory for what comes of them, $4 capabilities. */
const SCRIPT = `
set -eu
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind "$3/etc" /etc
hostname vl-compute
mkdir -p /run/libvirt /run/kubevirt-private/libvirt/qemu/cache/capabilities
cp "$4"/*.xml /run/kubevirt-private/libvirt/qemu/cache/capabilities/ 2>/dev/null || true
chown -R 107:107 /run/libvirt /run/kubevirt-private
export VMI_UID=${UID} LIBVIRT_DEFAULT_URI='qemu+unix:///session?socket=/var/run/libvirt/libvirt-sock'
export XDG_CONFIG_HOME=/var/run/kubevirt-private XDG_CACHE_HOME=/var/run/kubevirt-private XDG_RUNTIME_DIR=/var/run
qemu() { setpriv --reuid=107 --regid=107 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"; }
qemu /bin/sh "$1/opt/virtloom/launcher" 2>"$3/launcher.log" &
tries=0
until qemu virsh -q uri >/dev/null 2>&1; do
  tries=$((tries + 1)); [ "$tries" -lt 300 ] || exit 1
  sleep 0.05
done
for file in "$2"/*.xml; do
  name=$(basename "$file" .xml)
  qemu virsh -q domxml-to-native qemu-argv "$file" >"$3/$name.argv" 2>&1 || true
  {
    qemu virsh -q define "$file" && qemu virsh -q start mynamespace_testvmi && qemu virsh -q domstate mynamespace_testvmi
  } >"$3/$name.log" 2>&1 || true
  qemu virsh -q dumpxml mynamespace_testvmi >"$3/$name.xml" 2>/dev/null || true
  qemu virsh -q destroy mynamespace_testvmi >/dev/null 2>&1 || true
  qemu virsh -q undefine --nvram mynamespace_testvmi >/dev/null 2>&1 || true
done
`;

const efi = (secureBoot: boolean) => ({ firmware: { bootloader: { efi: { secureBoot } } }, features: { smm: {} } });
const tablet = (name: string, bus: string) => ({ name, type: 'tablet', bus });
const GUESTS: Record<string, Vmi> = {
  plain: vmi(),
  bare: vmi(
    { features: { acpi: { enabled: false } } },
    {
      autoattachGraphicsDevice: false,
      autoattachMemBalloon: false,
      autoattachSerialConsole: false,
      disableHotplug: true,
    },
  ),
  uefi: vmi(efi(false)),
  'secure-boot': vmi(efi(true)),
  room: vmi({ memory: { guest: '1Gi' }, cpu: { sockets: 2, cores: 2, threads: 2, model: 'host-passthrough' } }),
  'named-cpu': vmi({ cpu: { model: 'Nehalem', features: [{ name: 'aes' }, { name: 'svm', policy: 'disable' }] } }),
  'all-devices': vmi(
    {
      chassis: { asset: 'é,=<&>"' },
      firmware: { serial: 'S 1', bootloader: { bios: { useSerial: true } } },
      clock: {
        utc: { offsetSeconds: 60 },
        timer: { hpet: { present: false }, pit: { tickPolicy: 'delay' }, rtc: { tickPolicy: 'catchup' }, kvm: {} },
      },
      features: {
        apic: { endOfInterrupt: true },
        kvm: { hidden: true },
        hyperv: { relaxed: {}, vapic: {}, spinlocks: {}, vendorid: { vendorid: 'myvendor' } },
      },
    },
    {
      rng: {},
      watchdog: { name: 'dog' },
      inputs: [tablet('a', 'usb'), tablet('b', 'virtio')],
      video: { type: 'virtio' },
    },
  ),
  'old-virtio': vmi({}, { useVirtioTransitional: true, rng: {} }),
};

const ports = (xml: string): number => xml.split(/model=['"]pcie-root-port['"]/).length - 1;

/** Root ports on whose bus no device has its address. */
function freePorts(xml: string): number {
  const taken = new Set(
    Array.from(xml.matchAll(/ bus='0x([0-9a-f]{2})'/g), ([, bus]) => Number.parseInt(bus ?? '', 16)),
  );
  const all = Array.from(xml.matchAll(/index='(\d+)' model='pcie-root-port'/g), ([, index]) => Number(index));
  return all.filter((index) => !taken.has(index)).length;
}

describe('in libvirt', () => {
  let dir = '';
  const planned: Record<string, string> = {};

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'vl-compute-libvirt-'));
    // The launcher's user reads the domains.
    await chmod(dir, 0o755);
    const domains = join(dir, 'domains');
    const out = join(dir, 'out');
    await mkdir(domains);
    await cp(join(LAUNCHER, 'etc'), join(out, 'etc'), { recursive: true });
    await writeFile(join(out, 'etc/hosts'), '127.0.0.1 localhost vl-compute\n');
    for (const [name, given] of Object.entries(GUESTS)) {
      planned[name] = (await render(given)).xml;
      await writeFile(join(domains, `${name}.xml`), planned[name]);
    }
    await runAll(dir, domains, out);
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it.each(Object.keys(GUESTS))('%s starts', async (name) => {
    expect((await readFile(join(dir, 'out', `${name}.log`), 'utf8')).trim()).toBe('running');
    // libvirt added no port to those planned, but for the one of a bridge to conventional PCI.
    const live = await readFile(join(dir, 'out', `${name}.xml`), 'utf8');
    const bridges = live.split("model='pcie-to-pci-bridge'").length - 1;
    expect(ports(live) - bridges).toBe(ports(planned[name] ?? ''));
    expect(freePorts(live)).toBeGreaterThanOrEqual(3);
    expect(freePorts(live)).toBeLessThanOrEqual(5);
  });

  it('starts one vCPU of four, with the guest’s own identity', async () => {
    const argv = await readFile(join(dir, 'out/plain.argv'), 'utf8');
    expect(argv).toContain('-smp 1,maxcpus=4,sockets=4,');
    expect(argv).toContain(`uuid=${UID}`);
    expect(argv).toContain('manufacturer=KubeVirt');
    expect(argv).toContain('tb-size=32');
  });
});

/** Namespaces of its own, in which everything ends with the script. */
function runAll(dir: string, domains: string, out: string): Promise<void> {
  const own = ['--mount', '--net', '--uts', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const child = spawn('unshare', [...own, '/bin/sh', '-s', '--', LAUNCHER, domains, out, CAPABILITIES], {
    cwd: dir,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  child.stdin.end(SCRIPT);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`script ended with ${code}: ${errors}`))));
  });
}
