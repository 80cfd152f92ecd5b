import { describe, expect, it } from 'vitest';
import type { Vmi } from '../../core/index.ts';
import { compileCondition, compileMutation, holds, mutated } from './cel.ts';

const VMI: Vmi = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'vm', namespace: 'ns', labels: { app: 'web', Upper: 'yes' } },
  spec: { domain: { cpu: { cores: 2 }, devices: { disks: [{ name: 'root' }] } } as Vmi['spec']['domain'] },
};
const XML = `<domain type="kvm">
  <title>old</title>
  <memory unit="KiB">1024</memory>
  <cpu mode="host-model"><topology sockets="1" cores="2" threads="1"/></cpu>
  <devices>
    <disk type="file" device="disk"><source file="/a"><seclabel relabel="no"/></source><target dev="vda" bus="virtio"/></disk>
    <watchdog model="ib700"/>
    <rng model="virtio"><backend model="random">/dev/urandom</backend></rng>
  </devices>
</domain>`;
const flat = (xml: string): string => xml.replace(/>\s+</g, '><').trim();
const mutate = (expression: string): string => flat(mutated(expression, VMI, XML));

describe('a condition', () => {
  it.each([
    'vmi.metadata.name == "vm"',
    'vmi.Name == "vm" && vmi.Namespace == "ns"',
    'vmi.ObjectMeta.Name == "vm"',
    'vmi.Labels["app"] == "web"',
    'vmi.metadata.labels.app == "web"',
    '"app" in vmi.metadata.labels',
    'vmi.spec.domain.cpu.cores > 1',
    'vmi.Spec.Domain.CPU.Cores == 2u',
    'vmi.spec.domain.devices.disks.exists(d, d.name == "root")',
    '!has(vmi.spec.domain.firmware)',
    'vmi.metadata.name.startsWith("v") && vmi.metadata.name.indexOf("m") == 1',
  ])('%s holds', (condition) => {
    compileCondition(condition, 'vmi');
    expect(holds([condition], VMI)).toBe(true);
  });

  it.each(['domainSpec.Title == "old"', 'domainSpec.Memory.Value == 1024u', 'size(domainSpec.Devices.Disks) == 1'])(
    '%s holds of the domain',
    (condition) => {
      compileCondition(condition, 'domain');
      expect(holds([condition], VMI, XML)).toBe(true);
      expect(() => compileCondition(condition, 'vmi')).toThrow('undeclared reference to "domainSpec"');
    },
  );

  it('holds only with all others', () => {
    expect(holds([], VMI)).toBe(true);
    expect(holds(['true', 'vmi.metadata.name == "other"'], VMI)).toBe(false);
  });

  it("takes the user's own keys as they are written", () => {
    expect(holds(['"Upper" in vmi.Labels && !("upper" in vmi.Labels) && !("App" in vmi.Labels)'], VMI)).toBe(true);
  });

  it.each([
    ['invalid!!! condition', 'expecting end of input'],
    ['', 'found end of input'],
    ['nothing == 1', 'undeclared reference to "nothing"'],
    ['frob(vmi)', 'undeclared function "frob"'],
    ['"text"', 'must yield bool, not string'],
    ['domainSpec.Bogus == 1', 'no field "Bogus" is known of Domain'],
    ['Domain{}', 'must yield bool, not Domain'],
  ])('cannot be %j', (condition, why) => {
    expect(() => compileCondition(condition, 'domain')).toThrow(why);
  });

  it('finds no label where a VMI has none', () => {
    const bare: Vmi = { ...VMI, metadata: { name: 'vm' } };
    expect(holds(['"app" in vmi.metadata.labels'], bare)).toBe(false);
    expect(holds(['!("app" in vmi.Labels) && !("a" in vmi.Annotations)'], bare)).toBe(true);
  });

  it('has an end', () => {
    expect(() => compileCondition(`"${'x'.repeat(20_000)}" == ""`, 'vmi')).toThrow('more than 20000 characters');
  });

  it('that cannot be evaluated, or yields something else, says so', () => {
    expect(() => holds(['vmi.metadata.annotations.x == "y"'], VMI)).toThrow('x');
    expect(() => holds(['vmi.metadata.name'], VMI)).toThrow('yields no bool');
  });
});

describe('a mutation', () => {
  it('sets what it names and leaves the rest as it is', () => {
    expect(mutate('Domain{}')).toBe(flat(XML));
    expect(mutate('Domain{Title: "new"}')).toBe(flat(XML).replace('>old<', '>new<'));
    expect(mutate('Domain{Title: "", Description: "d"}')).toBe(
      flat(XML).replace('<title>old</title>', '').replace('</domain>', '<description>d</description></domain>'),
    );
    expect(mutate('Domain{Memory: DomainMemory{Value: uint(2048)}}')).toBe(flat(XML).replace('1024', '2048'));
    expect(
      mutate('libvirtxml.Domain{CPU: DomainCPU{Mode: "host-passthrough", Topology: DomainCPUTopology{Cores: 4}}}'),
    ).toBe(flat(XML).replace('host-model', 'host-passthrough').replace('cores="2"', 'cores="4"'));
  });

  it('replaces a list, and keeps whole what it takes over from the domain', () => {
    expect(
      mutate('Domain{Devices: DomainDeviceList{Watchdogs: [DomainWatchdog{Model: "i6300esb", Action: "none"}]}}'),
    ).toBe(
      flat(XML)
        .replace('<watchdog model="ib700"/>', '')
        .replace('</devices>', '<watchdog model="i6300esb" action="none"/></devices>'),
    );
    const disk = /<disk.*<\/disk>/.exec(flat(XML))?.[0] ?? '';
    const made = mutate(
      'Domain{Devices: DomainDeviceList{Disks: domainSpec.Devices.Disks + [DomainDisk{Device: "cdrom"}]}}',
    );
    expect(made).toContain(`${disk}<disk device="cdrom"/>`);
    expect(made.match(/<disk/g)).toHaveLength(2);
    expect(
      mutate('Domain{Devices: DomainDeviceList{RNGs: domainSpec.Devices.RNGs.filter(r, r.Model == "virtio")}}'),
    ).toContain('<backend model="random">/dev/urandom</backend>');
  });

  it('makes what was not there, marked as it must be', () => {
    const expression = `Domain{SysInfo: [DomainSysInfo{SMBIOS: DomainSysInfoSMBIOS{
      System: DomainSysInfoSystem{Entry: [DomainSysInfoEntry{Name: "family", Value: vmi.Name}]},
      OEMStrings: DomainSysInfoOEMStrings{Entry: ["a", "b"]}}}]}`;
    compileMutation(expression);
    expect(mutate(expression)).toContain(
      '<sysinfo type="smbios"><system><entry name="family">vm</entry></system><oemStrings><entry>a</entry><entry>b</entry></oemStrings></sysinfo>',
    );
  });

  it('can choose', () => {
    const expression = 'vmi.spec.domain.cpu.cores > 1 ? Domain{Title: "many"} : Domain{}';
    compileMutation(expression);
    expect(mutate(expression)).toContain('<title>many</title>');
  });

  it.each([
    ['Domain{Bogus: "x"}', 'no field "Bogus" is known of Domain'],
    ['Nope{}', 'no type "Nope" is known of the domain'],
    ['Domain{Memory: "not-a-struct"}', 'Domain.Memory is DomainMemory, not string'],
    ['Domain{Title: 1}', 'Domain.Title is string, not int'],
    ['Domain{SysInfo: DomainSysInfo{}}', 'Domain.SysInfo is a list, not DomainSysInfo'],
    ['Domain{Title: vmi.Name', 'Domain{'],
    ['"text"', 'must yield Domain, not string'],
    ['true', 'must yield Domain, not bool'],
    ['DomainMemory{}', 'must yield Domain, not DomainMemory'],
    ['[1].map(x, y)', 'undeclared reference to "y"'],
  ])('cannot be %s', (expression, why) => {
    expect(() => compileMutation(expression)).toThrow(why === 'Domain{' ? undefined : why);
  });

  it('that cannot be evaluated says so', () => {
    expect(() => mutated('Domain{Title: vmi.metadata.nope}', VMI, XML)).toThrow('nope');
    expect(() => mutated('vmi.metadata.name', VMI, XML)).toThrow('yields no Domain');
  });
});
