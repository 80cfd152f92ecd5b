// Random VMIs over every field that the enabled plugins own, made from their schemas: a new plugin's fields are in at once.
import fc from 'fast-check';
import type { Host } from '../core/host.ts';
import type { Schema } from '../core/plugin.ts';
import type { Vmi } from '../core/types.ts';

/** Values that mean something, by the field's name; what is not here gets any text. */
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  bus: ['virtio', 'sata', 'scsi', 'usb'],
  cache: ['none', 'writethrough', 'writeback'],
  io: ['native', 'threads'],
  errorPolicy: ['stop', 'ignore', 'report', 'enospace'],
  ioThreadsPolicy: ['shared', 'auto'],
  pciAddress: ['0000:81:01.0', '0000:04:00.0'],
  macAddress: ['02:00:00:ab:cd:ef', 'DE-AD-00-00-BE-AF'],
  serial: ['S-1', 'a.b_c+d'],
  uuid: ['5d307ca9-b3ef-428c-8861-06e72d69f223'],
  machine: ['q35'],
  architecture: ['amd64'],
  timezone: ['Europe/Madrid', 'UTC'],
  policy: ['force', 'require', 'optional', 'disable', 'forbid'],
  protocol: ['TCP', 'UDP'],
  vmNetworkCIDR: ['10.0.2.0/24', '192.168.7.0/30'],
  state: ['up', 'down'],
  hostname: ['guest', 'a'.repeat(63)],
  subdomain: ['sub.domain'],
  dnsPolicy: ['ClusterFirst', 'Default'],
  nameservers: ['10.0.0.1', 'fd00::1'],
  searches: ['example.org'],
  ntpServers: ['10.0.0.1'],
  action: ['reset', 'poweroff', 'shutdown'],
  image: ['localhost/a:1', 'quay.io/x/y@sha256:' + '0'.repeat(64)],
  path: ['/disk/a.img', '/disk/sub/../a'],
  imagePullPolicy: ['Always', 'IfNotPresent', 'Never'],
  userDataBase64: ['YWJj'],
  networkDataBase64: ['YWJj'],
  topologyKey: ['kubernetes.io/hostname'],
  key: ['a', 'example.org/b'],
  url: ['http://example.org/a.qcow2', 'https://example.org/%61?b=c'],
  effect: ['NoExecute'],
};
const BY_PARENT: Readonly<Record<string, readonly string[]>> = {
  'inputs.type': ['tablet'],
  'inputs.bus': ['usb', 'virtio'],
  'video.type': ['vga', 'bochs', 'cirrus', 'virtio', 'ramfb'],
  'machine.type': ['q35', 'pc-q35-7.2'],
  'interfaces.model': ['virtio', 'e1000', 'e1000e', 'rtl8139'],
  'cpu.model': ['host-model', 'host-passthrough', 'Haswell'],
  'features.name': ['apic', 'vmx', 'aes'],
};
/** Text that XML, paths and shells read as something else; much of it is refused, and what is not has to come out well. */
const ODD = ['a&b', '<x/>', ']]>', '\'"', '$(reboot)', 'a\tb', 'é😀', ' ', '%s', 'constructor', '__proto__', '-', '0'];
/** Without these a rule refuses the rest. */
const ALWAYS = new Set(['userData', 'key', 'effect']);
const SIZES = ['1Mi', '1.5Gi', '2G', 5e6];
const QUANTITIES = ['64Mi', '1Gi', '2G', '500m', '2', '1.5Gi', 1048576, 2];
const INTEGERS: Readonly<Record<string, readonly number[]>> = {
  port: [1, 80, 65535],
  start: [1, 80],
  end: [80, 90],
  option: [224, 254],
  logical: [512, 4096],
  physical: [4096],
  spinlocks: [4096, 8191],
};

/** Once in `times`; fields are many, and each that is there may clash with another. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>, times = 6): fc.Arbitrary<T | undefined> =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: times - 1 }, { arbitrary, weight: 1 });

function texts(name: string, parent: string): fc.Arbitrary<string> {
  const known = BY_PARENT[`${parent}.${name}`] ?? TEXTS[name];
  const odd = fc.oneof(fc.constantFrom(...ODD), fc.string({ unit: 'grapheme', maxLength: 12 }));
  const plain = fc.constantFrom('a', 'b-1', 'some-name');
  return known
    ? fc.oneof({ arbitrary: fc.constantFrom(...known), weight: 60 }, { arbitrary: odd, weight: 1 })
    : fc.oneof({ arbitrary: plain, weight: 5 }, { arbitrary: odd, weight: 1 });
}

/** Values that the schema allows. `name` and `parent` are the field's name and that of the object or list it is in. */
function of(schema: Schema, name: string, parent: string): fc.Arbitrary<unknown> {
  const { type, properties, items, additionalProperties } = schema;
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
  if (schema['x-kubernetes-int-or-string'] === true)
    return fc.constantFrom(...(name === 'capacity' ? SIZES : QUANTITIES));
  if (type === 'boolean') return fc.boolean();
  if (type === 'integer') {
    const { minimum = 0, maximum = 100_000 } = schema as { minimum?: number; maximum?: number };
    const most = Math.max(minimum, Math.min(maximum, 8));
    return INTEGERS[name] ? fc.constantFrom(...INTEGERS[name]) : fc.integer({ min: minimum, max: most });
  }
  if (type === 'array') return fc.array(of(items as Schema, name, parent), { minLength: 1, maxLength: 2 });
  if (type === 'string') return texts(name, parent);
  if (typeof additionalProperties === 'object') {
    const keys = /requests|limits/.test(name) ? ['cpu', 'memory'] : ['a', 'example.org/b', 'constructor'];
    return fc.dictionary(fc.constantFrom(...keys), of(additionalProperties as Schema, name, parent), { maxKeys: 2 });
  }
  return objectOf((properties ?? {}) as Record<string, Schema>, (schema['required'] ?? []) as string[], name);
}

function objectOf(properties: Record<string, Schema>, required: readonly string[], name: string): fc.Arbitrary<object> {
  const fields = Object.entries(properties).map(([key, schema]) => {
    const value = of(schema, key, name);
    return [key, required.includes(key) || ALWAYS.has(key) ? value : maybe(value)] as const;
  });
  return fc.record(Object.fromEntries(fields));
}

/** The properties of a schema without some of them. */
function rest(schema: Schema | undefined, ...taken: string[]): Record<string, Schema> {
  const properties = (schema?.['properties'] ?? {}) as Record<string, Schema>;
  return Object.fromEntries(Object.entries(properties).filter(([key]) => !taken.includes(key)));
}

const at = (schema: Schema | undefined, ...keys: string[]): Schema | undefined =>
  keys.reduce<Schema | undefined>((node, key) => {
    const within =
      key === '[]' ? node?.['items'] : (node?.['properties'] as Record<string, unknown> | undefined)?.[key];
    return within as Schema | undefined;
  }, schema);

/** One of the keys of `keys`, with its value, and perhaps each of the other fields. */
function oneOf(schema: Schema | undefined, keys: readonly string[]): fc.Arbitrary<object> {
  const properties = rest(schema, 'name');
  const others = Object.fromEntries(Object.entries(properties).filter(([key]) => !keys.includes(key)));
  const choices = keys.map((key) => of(properties[key] as Schema, key, key).map((value) => ({ [key]: value })));
  return fc
    .tuple(fc.oneof(...choices), objectOf(others, [], 'interfaces'))
    .map(([chosen, more]) => ({ ...more, ...chosen }));
}

/** VMIs whose disks and interfaces have volumes and networks; whether every rule likes them is for admission to say. */
export function randomVmis(host: Host): fc.Arbitrary<Vmi> {
  const { spec } = host.fields;
  const devices = at(spec, 'domain', 'devices');
  const targets = ['disk', 'disk', 'disk', 'cdrom', 'cdrom', 'lun'].filter((key) => at(devices, 'disks', '[]', key));
  const volume = oneOf(at(spec, 'volumes', '[]'), [...host.diskSources.keys()]);
  const disk = oneOf(at(devices, 'disks', '[]'), targets);
  const network = oneOf(at(spec, 'networks', '[]'), [...host.networkSources.keys()]);
  const nic = oneOf(at(devices, 'interfaces', '[]'), [...host.bindings.keys()]);
  const named = (list: readonly object[], prefix: string) =>
    list.map((one, index) => ({ name: `${prefix}${index}`, ...one }));
  const labels = fc.dictionary(
    fc.constantFrom('app', 'example.org/b', 'constructor', 'toString'),
    fc.constantFrom('a', 'b'),
    { maxKeys: 2 },
  );
  return fc
    .record({
      name: fc.constantFrom(
        'a',
        'guest.example',
        'x'.repeat(63),
        `${'x'.repeat(63)}.${'y'.repeat(63)}.${'z'.repeat(60)}`,
      ),
      labels,
      annotations: labels,
      disks: fc.array(fc.tuple(volume, fc.option(disk, { nil: undefined })), { maxLength: 3 }),
      nics: fc.array(fc.tuple(network, nic), { maxLength: 1 }),
      spec: objectOf(rest(spec, 'domain', 'volumes', 'networks'), [], 'spec'),
      domain: objectOf(rest(at(spec, 'domain'), 'devices', 'memory'), [], 'domain'),
      memory: fc.constantFrom('64Mi', '1Gi', 134217728),
      devices: objectOf(rest(devices, 'disks', 'interfaces'), [], 'devices'),
    })
    .map((given) => {
      const volumes = named(
        given.disks.map(([source]) => source),
        'd',
      );
      const disks = named(
        given.disks.map(([, target]) => target ?? {}),
        'd',
      ).filter((_, index) => given.disks[index]?.[1]);
      const interfaces = named(
        given.nics.map(([, binding]) => binding),
        'n',
      );
      const networks = named(
        given.nics.map(([source]) => source),
        'n',
      );
      const vmi = {
        apiVersion: 'kubevirt.io/v1',
        kind: 'VirtualMachineInstance',
        metadata: {
          name: given.name,
          namespace: 'default',
          uid: '6f1c2d3e-0000-4000-8000-000000000001',
          labels: given.labels,
          annotations: given.annotations,
        },
        spec: {
          ...given.spec,
          domain: {
            ...given.domain,
            memory: { guest: given.memory },
            devices: { ...given.devices, disks, interfaces },
          },
          volumes,
          networks,
        },
      };
      // As JSON has it: what is undefined is not there.
      return JSON.parse(JSON.stringify(vmi)) as Vmi;
    });
}
