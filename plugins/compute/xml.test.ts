// Whatever the manifest asks for, the domain is valid by libvirt's own schema.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Vmi } from '../../core/index.ts';
import { KVM, render, renderAsIs, review, vmi, withDevices } from './fixtures.ts';

const run = promisify(execFile);
const SCHEMA = '/usr/share/libvirt/schemas/domain.rng';
const SAMPLES = 150;

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vl-compute-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });
const bool = maybe(fc.boolean());
const state = maybe(fc.record({ enabled: bool }));
const text = maybe(fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.constant('S-1')));
const words = (...all: string[]): fc.Arbitrary<string | undefined> =>
  all.length === 0 ? fc.constant(undefined) : maybe(fc.constantFrom(...all));
const timer = (...policies: string[]) => maybe(fc.record({ present: bool, tickPolicy: words(...policies) }));
const count = (max: number) => maybe(fc.integer({ min: 0, max }));
const name = fc.constantFrom('a', 'b', 'c-1', 'D.2');

const hyperv = fc.record({
  relaxed: state,
  vapic: state,
  spinlocks: maybe(fc.record({ enabled: bool, spinlocks: maybe(fc.integer({ min: 4096, max: 65535 })) })),
  vpindex: state,
  runtime: state,
  synic: state,
  synictimer: maybe(fc.record({ enabled: bool, direct: state })),
  reset: state,
  vendorid: maybe(
    fc.oneof(fc.record({ enabled: bool, vendorid: fc.constant('myvendor') }), fc.constant({ enabled: false })),
  ),
  frequencies: state,
  reenlightenment: state,
  tlbflush: state,
  ipi: state,
  evmcs: state,
});

const domain = fc.record({
  cpu: maybe(
    fc.record({
      sockets: count(4),
      cores: count(4),
      threads: count(2),
      maxSockets: count(6),
      model: words('host-model', 'host-passthrough', 'Haswell', 'EPYC'),
      features: maybe(
        fc.array(fc.record({ name: name, policy: words('', 'force', 'require', 'optional', 'disable', 'forbid') }), {
          maxLength: 3,
        }),
      ),
    }),
  ),
  memory: fc.record({
    guest: fc.constantFrom('64Mi', '100M', '1Gi', '1.5Gi', '4Gi', 300000000),
    maxGuest: words('8Gi'),
  }),
  machine: maybe(fc.record({ type: words('q35', 'pc-q35-7.2') })),
  firmware: maybe(
    fc.record({
      uuid: maybe(fc.uuid()),
      serial: text,
      bootloader: maybe(
        fc.oneof(
          fc.record({ bios: fc.record({ useSerial: bool }) }),
          fc.record({ efi: fc.record({ secureBoot: bool }) }),
        ),
      ),
    }),
  ),
  clock: maybe(
    fc.record({
      utc: maybe(fc.record({ offsetSeconds: maybe(fc.integer({ min: -86400, max: 86400 })) })),
      timezone: words('Europe/Madrid', 'America/New_York'),
      timer: maybe(
        fc.record({
          hpet: timer('delay', 'catchup', 'merge', 'discard'),
          kvm: timer(),
          pit: timer('delay', 'catchup', 'discard'),
          rtc: timer('delay', 'catchup'),
          hyperv: timer(),
        }),
      ),
    }),
  ),
  features: maybe(
    fc.record({
      acpi: state,
      apic: maybe(fc.record({ enabled: bool, endOfInterrupt: bool })),
      smm: state,
      pvspinlock: state,
      kvm: maybe(fc.record({ hidden: bool })),
      hyperv: maybe(hyperv),
    }),
  ),
  chassis: maybe(fc.record({ manufacturer: text, version: text, serial: text, asset: text, sku: text })),
});

const devices = fc.record({
  autoattachGraphicsDevice: bool,
  autoattachInputDevice: bool,
  autoattachMemBalloon: bool,
  autoattachSerialConsole: bool,
  disableHotplug: bool,
  useVirtioTransitional: bool,
  rng: maybe(fc.constant({})),
  video: maybe(fc.record({ type: words('vga', 'cirrus', 'virtio', 'ramfb', 'bochs') })),
  watchdog: maybe(
    fc.record({
      name: fc.constant('dog'),
      i6300esb: maybe(fc.record({ action: words('reset', 'poweroff', 'shutdown') })),
    }),
  ),
  inputs: maybe(
    fc.uniqueArray(fc.record({ name, type: fc.constant('tablet'), bus: words('usb', 'virtio') }), {
      maxLength: 2,
      selector: (input) => input.name,
    }),
  ),
});
const others = fc.array(fc.constantFrom('disk:virtio', 'disk:sata', 'disk:usb', 'disk:scsi', 'interface:virtio'), {
  maxLength: 4,
});

/** As JSON has it: fields that are left out, not undefined. */
const vmis = fc
  .tuple(domain, devices, others)
  .map(([spec, own, list]) =>
    withDevices(JSON.parse(JSON.stringify(vmi(spec as never, own as never))), list.join(' ')),
  );

async function validate(documents: readonly string[]): Promise<void> {
  const files = await Promise.all(
    documents.map(async (xml, index) => {
      const file = join(dir, `${index}.xml`);
      await writeFile(file, xml);
      return file;
    }),
  );
  await run('xmllint', ['--noout', '--relaxng', SCHEMA, ...files], { maxBuffer: 2 ** 24 }).catch((error: unknown) => {
    throw new Error(`not valid: ${(error as { stderr: string }).stderr.slice(0, 2000)}`);
  });
}

it('is valid for random VMIs, under KVM and emulated', async () => {
  const seed = Number(process.env['FC_SEED'] ?? Date.now());
  const documents: string[] = [];
  const facts: [Partial<typeof KVM>, string][] = [
    [KVM, 'kvm'],
    [{}, 'qemu'],
  ];
  for (const given of fc.sample(vmis, { seed, numRuns: SAMPLES })) {
    const { causes, object } = await review(given);
    if (causes.length > 0) continue;
    for (const [cluster, type] of facts) {
      const made = await render(object as Vmi, cluster).catch((error: unknown) => {
        expect(String(error)).toContain('needs KVM');
        expect(type).toBe('qemu');
      });
      if (made) documents.push(made.xml);
    }
  }
  expect(documents.length, `seed ${seed}`).toBeGreaterThan(SAMPLES / 4);
  await validate(documents).catch((error: unknown) => {
    throw new Error(`seed ${seed}: ${(error as Error).message}`);
  });
});

it('is valid for a VMI without any default', async () => {
  await validate([(await renderAsIs(vmi())).xml]);
});

it('passes virt-xml-validate too', async () => {
  const file = join(dir, 'plain.xml');
  await writeFile(file, (await render(vmi())).xml);
  await run('virt-xml-validate', [file, 'domain']);
});

it('would notice an invalid domain', async () => {
  await expect(validate(['<domain type="qemu"><name>x</name><bogus/></domain>'])).rejects.toThrow('bogus');
});
