import { describe, expect, it } from 'vitest';
import { KVM, lines, part, render, renderAsIs, UID, vmi, withDevices } from './fixtures.ts';

describe('identity', () => {
  it('names the domain by namespace and name, and keeps the uid as KubeVirt does', async () => {
    const { domain } = await render(vmi());
    expect(domain.attrs).toEqual({ type: 'qemu' });
    expect(part(domain, 'name')).toBe('name(mynamespace_testvmi)');
    expect(part(domain, 'metadata')).toBe(`metadata(kubevirt xmlns=http://kubevirt.io(uid(${UID})))`);
  });

  it('takes the UUID of the manifest, else of the VirtualMachine, else of the VMI', async () => {
    const uuid = 'e4686d2c-6e8d-4335-b8fd-81bee22f4814';
    const owned = vmi();
    owned.metadata.ownerReferences = [{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'v', uid: uuid }];
    for (const [given, expected] of [
      [vmi(), UID],
      [owned, uuid],
      [vmi({ firmware: { uuid } }), uuid],
    ] as const) {
      expect(part((await render(given)).domain, 'sysinfo')).toContain(`entry name=uuid(${expected})`);
    }
  });

  it('shows serial and chassis to the guest, and leaves empty ones out', async () => {
    const { domain } = await render(vmi({ firmware: { serial: 'S-1 <&>' }, chassis: { asset: 'A', sku: '' } }));
    const sysinfo = part(domain, 'sysinfo');
    expect(sysinfo).toContain('entry name=serial(S-1 <&>)');
    expect(sysinfo).toContain('chassis(entry name=asset(A))');
    expect(sysinfo).not.toContain('sku');
  });
});

describe('cpu', () => {
  it.each([
    ['nothing', {}, 'vcpu placement=static(4)', 'sockets=4 cores=1 threads=1'],
    ['cores', { cores: 2 }, 'vcpu placement=static(8)', 'sockets=4 cores=2 threads=1'],
    ['sockets', { sockets: 3 }, 'vcpu placement=static(12)', 'sockets=12 cores=1 threads=1'],
    ['all', { sockets: 2, cores: 2, threads: 2 }, 'vcpu placement=static(32)', 'sockets=8 cores=2 threads=2'],
    ['maxSockets', { sockets: 1, maxSockets: 2 }, 'vcpu placement=static(2)', 'sockets=2 cores=1 threads=1'],
    ['as many as can be', { sockets: 200 }, 'vcpu placement=static(255)', 'sockets=255 cores=1 threads=1'],
    ['room for whole sockets', { sockets: 2, cores: 50 }, 'vcpu placement=static(250)', 'sockets=5 cores=50 threads=1'],
  ])('topology of %s', async (_, cpu, vcpu, topology) => {
    const { domain } = await render(vmi({ cpu }));
    expect(part(domain, 'vcpu')).toBe(vcpu);
    expect(part(domain, 'cpu')).toContain(`topology ${topology}`);
  });

  it('takes sockets from the CPU limit, else from the request, rounded up', async () => {
    const limited = await render(vmi({ resources: { limits: { cpu: '3' }, requests: { cpu: '1' } } }));
    expect(part(limited.domain, 'cpu')).toContain('sockets=12');
    const requested = await render(vmi({ resources: { requests: { cpu: '1500m' } } }));
    expect(part(requested.domain, 'cpu')).toContain('sockets=8');
  });

  it('enables what the guest starts with; the first socket stays', async () => {
    const { domain } = await render(vmi({ cpu: { sockets: 2, cores: 1, threads: 1, maxSockets: 3 } }));
    expect(part(domain, 'vcpus')).toBe(
      'vcpus(vcpu id=0 enabled=yes hotpluggable=no, vcpu id=1 enabled=yes hotpluggable=yes, vcpu id=2 enabled=no hotpluggable=yes)',
    );
  });

  it.each([
    ['host-model', 'cpu mode=host-model'],
    ['host-passthrough', 'cpu mode=maximum'],
    ['Haswell', 'cpu mode=custom(model(Haswell)'],
  ])('model %s under emulation', async (model, expected) => {
    const { domain } = await render(vmi({ cpu: { model } }));
    expect(part(domain, 'cpu')).toContain(expected);
  });

  it('passes the host CPU through under KVM', async () => {
    const { domain } = await render(vmi({ cpu: { model: 'host-passthrough' } }), KVM);
    expect(domain.attrs['type']).toBe('kvm');
    expect(part(domain, 'cpu')).toContain('cpu mode=host-passthrough(');
  });

  it('demands and hides features; a named model loses mpx unless it is asked for', async () => {
    const features = [{ name: 'aes' }, { name: 'svm', policy: 'disable' }];
    const plain = part((await render(vmi({ cpu: { features } }))).domain, 'cpu');
    expect(plain).toContain('feature policy=require name=aes, feature policy=disable name=svm)');
    const named = part((await render(vmi({ cpu: { model: 'Haswell', features } }))).domain, 'cpu');
    expect(named).toContain('feature policy=disable name=mpx');
    const kept = part((await render(vmi({ cpu: { model: 'Haswell', features: [{ name: 'mpx' }] } }))).domain, 'cpu');
    expect(kept).not.toContain('disable name=mpx');
  });

  it('refuses a topology that would fill the memory of the planner', async () => {
    const given = vmi({ cpu: { sockets: 4e6, cores: 1000 } });
    await expect(renderAsIs(given)).rejects.toThrow('at most 255');
  });
});

describe('memory', () => {
  it.each([
    [{ memory: { guest: '1.5Mi' } }, 1572864],
    [{ memory: { guest: '100M' } }, 100000000],
    [{ memory: {}, resources: { requests: { memory: '64Mi' } } }, 67108864],
    [{ memory: {}, resources: { limits: { memory: '32Mi' } } }, 33554432],
    [{ memory: { guest: '64Mi' }, resources: { requests: { memory: '32Mi' } } }, 67108864],
  ])('%j', async (domain, bytes) => {
    expect(part((await render(vmi(domain))).domain, 'memory')).toBe(`memory unit=b(${bytes})`);
  });

  it('says what is missing where no memory is asked for', async () => {
    const given = vmi({ memory: {} });
    await expect(renderAsIs(given)).rejects.toThrow('no memory requested');
  });

  it('leaves room to grow from 1Gi on, in one NUMA node', async () => {
    const { domain } = await render(vmi({ memory: { guest: '1Gi' } }));
    expect(part(domain, 'maxMemory')).toBe('maxMemory unit=b slots=1(4294967296)');
    expect(part(domain, 'cpu')).toContain('numa(cell id=0 cpus=0-3 memory=1073741824 unit=b)');
    const small = (await render(vmi({ memory: { guest: '1022Mi' } }))).domain;
    expect(part(small, 'maxMemory')).toBeUndefined();
    const exact = (await render(vmi({ memory: { guest: '1Gi', maxGuest: '1024Mi' } }))).domain;
    expect(part(exact, 'maxMemory')).toBeUndefined();
  });
});

describe('firmware', () => {
  const os = async (domain: Parameters<typeof vmi>[0]) => part((await render(vmi(domain))).domain, 'os');

  it('boots by BIOS', async () => {
    expect(await os({})).toBe('os(type arch=x86_64 machine=q35(hvm), smbios mode=sysinfo)');
    expect(await os({ machine: { type: 'pc-q35-7.2' } })).toContain('machine=pc-q35-7.2');
    expect(await os({ firmware: { bootloader: { bios: { useSerial: true } } } })).toContain('bios useserial=yes');
  });

  it('boots by UEFI, with keys enrolled where secure boot is on', async () => {
    expect(await os({ firmware: { bootloader: { efi: { secureBoot: false } } } })).toBe(
      'os(type arch=x86_64 machine=q35(hvm), smbios mode=sysinfo, ' +
        'loader readonly=yes secure=no type=pflash(/usr/share/OVMF/OVMF_CODE_4M.fd), ' +
        'nvram template=/usr/share/OVMF/OVMF_VARS_4M.fd(/var/run/kubevirt-private/libvirt/qemu/nvram/testvmi_VARS.fd))',
    );
    const secure = await os({ firmware: { bootloader: { efi: {} } }, features: { smm: {} } });
    expect(secure).toContain('secure=yes type=pflash(/usr/share/OVMF/OVMF_CODE_4M.ms.fd)');
    expect(secure).toContain('template=/usr/share/OVMF/OVMF_VARS_4M.ms.fd');
  });
});

describe('features', () => {
  const features = async (asked: object, facts = KVM) =>
    part((await render(vmi({ features: asked }), facts)).domain, 'features');

  it.each([
    ['defaults', {}, 'features(acpi, vmport state=off)'],
    ['no acpi', { acpi: { enabled: false } }, 'features(vmport state=off)'],
    ['apic', { apic: {} }, 'features(acpi, apic, vmport state=off)'],
    ['apic eoi', { apic: { endOfInterrupt: true } }, 'features(acpi, apic eoi=on, vmport state=off)'],
    ['apic off', { apic: { enabled: false } }, 'features(acpi, vmport state=off)'],
    ['smm', { smm: {} }, 'features(acpi, smm state=on, vmport state=off)'],
    ['kvm hidden', { kvm: { hidden: true } }, 'features(acpi, kvm(hidden state=on), vmport state=off)'],
    ['kvm', { kvm: {} }, 'features(acpi, kvm(hidden state=off), vmport state=off)'],
    ['pvspinlock', { pvspinlock: {} }, 'features(acpi, pvspinlock state=on, vmport state=off)'],
    ['passthrough', { hypervPassthrough: {} }, 'features(acpi, hyperv mode=passthrough, vmport state=off)'],
  ])('%s', async (_, asked, expected) => {
    expect(await features(asked)).toBe(expected);
  });

  it('writes Hyper-V enlightenments and fills in what they stand on', async () => {
    const asked = {
      relaxed: { enabled: false },
      spinlocks: {},
      synictimer: { direct: {} },
      vendorid: { vendorid: 'myvendor' },
    };
    expect(await features({ hyperv: asked })).toBe(
      'features(acpi, hyperv(relaxed state=off, spinlocks state=on retries=4096, vpindex state=on, synic state=on, ' +
        'stimer state=on(direct state=on), vendor_id state=on value=myvendor), vmport state=off)',
    );
    expect(await features({ hyperv: { spinlocks: { spinlocks: 8191 } } })).toContain('retries=8191');
  });

  it('demands vmx for evmcs', async () => {
    const { domain } = await render(vmi({ features: { hyperv: { evmcs: {} } } }), KVM);
    expect(part(domain, 'cpu')).toContain('feature policy=require name=vmx');
    expect(part(domain, 'features')).toContain('vapic state=on, evmcs state=on');
  });

  it('bounds the cache of translated code under emulation, and only there', async () => {
    expect(await features({}, {})).toContain('tcg(tb-cache unit=MiB(32))');
    expect(await features({})).not.toContain('tcg');
  });

  it.each([
    [{ pvspinlock: {} }, 'spec.domain.features.pvspinlock needs KVM'],
    [{ hyperv: { vpindex: {} } }, 'spec.domain.features.hyperv.vpindex needs KVM'],
  ])('%j cannot be emulated', async (asked, message) => {
    await expect(features(asked, {})).rejects.toThrow(message);
  });

  it.each([[{ pvspinlock: { enabled: false } }], [{ hyperv: { relaxed: {}, vapic: {}, spinlocks: {} } }]])(
    '%j can',
    async (asked) => {
      await expect(features(asked, {})).resolves.toContain('tcg');
    },
  );
});

describe('clock', () => {
  it.each([
    [undefined, undefined],
    [{}, 'clock offset=utc'],
    [{ utc: {} }, 'clock offset=utc adjustment=reset'],
    [{ utc: { offsetSeconds: -60 } }, 'clock offset=utc adjustment=-60'],
    [{ timezone: 'Europe/Madrid' }, 'clock offset=timezone timezone=Europe/Madrid'],
    [{ utc: {}, timezone: 'Europe/Madrid' }, 'clock offset=utc adjustment=reset'],
    [
      {
        utc: {},
        timer: {
          hpet: { present: false },
          kvm: {},
          hyperv: {},
          pit: { tickPolicy: 'delay' },
          rtc: { tickPolicy: 'catchup', track: 'guest' },
        },
      },
      'clock offset=utc adjustment=reset(timer name=rtc tickpolicy=catchup present=yes track=guest, ' +
        'timer name=pit tickpolicy=delay present=yes, timer name=kvmclock present=yes, ' +
        'timer name=hpet present=no, timer name=hypervclock present=yes)',
    ],
  ])('%j', async (clock, expected) => {
    expect(part((await render(vmi(clock === undefined ? {} : { clock }))).domain, 'clock')).toBe(expected);
  });
});

describe('devices', () => {
  it('gives every guest an agent channel, a console, a screen and a balloon', async () => {
    const { devices } = await render(vmi());
    expect(lines(devices, 'channel')).toEqual(['channel type=unix(target type=virtio name=org.qemu.guest_agent.0)']);
    expect(lines(devices, 'serial')).toEqual([
      `serial type=unix(source mode=bind path=/var/run/kubevirt-private/${UID}/virt-serial0, target port=0)`,
    ]);
    expect(lines(devices, 'console')).toEqual(['console type=pty(target type=serial port=0)']);
    expect(lines(devices, 'graphics')).toEqual([
      `graphics type=vnc(listen type=socket socket=/var/run/kubevirt-private/${UID}/virt-vnc)`,
    ]);
    expect(lines(devices, 'video')).toEqual(['video(model type=vga heads=1 vram=16384)']);
    expect(lines(devices, 'memballoon')).toEqual([
      'memballoon model=virtio-non-transitional freePageReporting=on(stats period=10)',
    ]);
    for (const tag of ['rng', 'input', 'watchdog']) expect(lines(devices, tag)).toEqual([]);
  });

  it('leaves them out where they are not wanted', async () => {
    const off = { autoattachGraphicsDevice: false, autoattachSerialConsole: false, autoattachMemBalloon: false };
    const { devices } = await render(vmi({}, off));
    for (const tag of ['serial', 'console', 'graphics', 'video']) expect(lines(devices, tag)).toEqual([]);
    expect(lines(devices, 'memballoon')).toEqual(['memballoon model=none']);
    expect(lines(devices, 'channel')).toHaveLength(1);
  });

  it('reports no free pages where an annotation says so', async () => {
    const given = vmi();
    given.metadata.annotations = { 'kubevirt.io/free-page-reporting-disabled': 'true' };
    expect(lines((await render(given)).devices, 'memballoon')[0]).toContain('freePageReporting=off');
  });

  it('chooses the video device', async () => {
    const efi = { firmware: { bootloader: { efi: { secureBoot: false } } } };
    expect(lines((await render(vmi(efi))).devices, 'video')).toEqual(['video(model type=bochs heads=1)']);
    const asked = await render(vmi(efi, { video: { type: 'virtio' } }));
    expect(lines(asked.devices, 'video')).toEqual(['video(model type=virtio heads=1 vram=16384)']);
  });

  it('adds a random number generator, a watchdog and tablets', async () => {
    const inputs = [
      { name: 'a', type: 'tablet', bus: 'virtio' },
      { name: 'b', type: 'tablet' },
    ];
    const { devices } = await render(vmi({}, { rng: {}, watchdog: { name: 'dog' }, inputs }));
    expect(lines(devices, 'rng')).toEqual(['rng model=virtio-non-transitional(backend model=random(/dev/urandom))']);
    expect(lines(devices, 'watchdog')).toEqual(['watchdog model=i6300esb action=reset(alias name=ua-dog)']);
    expect(lines(devices, 'input')).toEqual([
      'input type=tablet bus=virtio model=virtio(alias name=ua-a)',
      'input type=tablet bus=usb(alias name=ua-b)',
    ]);
  });

  it('attaches a tablet where one is wanted and none is named', async () => {
    const { devices } = await render(vmi({}, { autoattachInputDevice: true }));
    expect(lines(devices, 'input')).toEqual(['input type=tablet bus=usb(alias name=ua-default-0)']);
  });

  it('speaks the old virtio too where it is asked to', async () => {
    const { devices } = await render(vmi({}, { useVirtioTransitional: true, rng: {} }));
    for (const tag of ['rng', 'memballoon']) expect(lines(devices, tag)[0]).toContain('model=virtio-transitional');
  });
});

describe('controllers', () => {
  const controllers = async (given: ReturnType<typeof vmi>) => lines((await render(given)).devices, 'controller');
  const ports = async (given: ReturnType<typeof vmi>) =>
    (await controllers(given)).filter((one) => one.includes('pcie-root-port')).length;

  it('has KubeVirt’s three, and USB only for a device on it', async () => {
    expect((await controllers(vmi())).slice(0, 4)).toEqual([
      'controller type=usb index=0 model=none',
      'controller type=scsi index=0 model=virtio-non-transitional',
      'controller type=virtio-serial index=0 model=virtio-non-transitional',
      'controller type=pci index=0 model=pcie-root',
    ]);
    const xhci = 'controller type=usb index=0 model=qemu-xhci';
    expect(await controllers(withDevices(vmi(), 'disk:usb'))).toContain(xhci);
    expect(await controllers(vmi({}, { inputs: [{ name: 'a', type: 'tablet', bus: 'usb' }] }))).toContain(xhci);
  });

  it('has no SCSI controller without hot-plug, except for a disk on it', async () => {
    const cold = vmi({}, { disableHotplug: true });
    expect((await controllers(cold)).some((one) => one.includes('type=scsi'))).toBe(false);
    expect((await controllers(withDevices(cold, 'disk:scsi'))).some((one) => one.includes('type=scsi'))).toBe(true);
  });

  it.each([
    // The balloon and the SCSI and serial controllers take three; what is free besides is KubeVirt's number.
    ['nothing', '', 3 + 4],
    ['a NIC and two disks', 'interface:virtio disk:virtio disk:virtio', 6 + 3],
    ['one NIC', 'interface:virtio', 4 + 3],
    ['disks that are not on PCI', 'disk:sata disk:scsi', 3 + 4],
    ['an old NIC, which is not on PCI Express', 'interface:e1000', 3 + 3],
  ])('has ports for %s', async (_, devices, expected) => {
    expect(await ports(withDevices(vmi(), devices))).toBe(expected);
  });

  it('counts no port for a balloon that is not there', async () => {
    expect(await ports(vmi({}, { autoattachMemBalloon: false }))).toBe(2 + 4);
  });

  it('keeps twice as many free above 2 GiB', async () => {
    const big = vmi({ memory: { guest: '4Gi' } });
    expect(await ports(withDevices(big, 'interface:virtio disk:virtio'))).toBe(5 + 10);
  });
});
