// Memory, CPU, machine, firmware; and what the pod and the guest are called.
import { badVmi, type BadCase, INVALID, REQUIRED, TOO_LONG, UNSUPPORTED } from './case.ts';

const GUEST = 'spec.domain.memory.guest';
const CORES = 'spec.domain.cpu.cores';
const FIRMWARE = 'spec.domain.firmware';
const DISABLED = 'SecureBoot requires SMM, which is currently disabled';

const badMemory = (what: string, guest: unknown, part: string | RegExp): BadCase =>
  badVmi(`memory that is ${what}`, { [GUEST]: guest }, [GUEST, INVALID, part]);

export const machine: readonly BadCase[] = [
  badMemory('0', '0', 'must be greater than 0'),
  badMemory('negative', '-64Mi', 'must be greater than 0'),
  badMemory('nonsense', 'lots', 'should match'),
  badMemory('without a number', 'Mi', 'should match'),
  badMemory('more than a machine has', '9Pi', 'must be less than 8Pi'),
  badVmi('no memory', { 'spec.domain.memory': undefined }, [GUEST, REQUIRED, 'no memory requested, at least one of']),
  badVmi('cores of -1', { [CORES]: -1 }, [CORES, INVALID, 'greater than or equal to 0']),
  badVmi('cores of a thousand million', { [CORES]: 1e9 }, ['spec.domain.cpu', INVALID, 'asks for 1000000000 vCPUs']),
  badVmi('cores beyond 32 bits', { [CORES]: 1e12 }, [CORES, INVALID, 'int32']),
  badVmi('topologies that multiply', { 'spec.domain.cpu': { sockets: 100, cores: 100, threads: 100 } }, [
    'spec.domain.cpu',
    INVALID,
    'asks for 1000000 vCPUs',
  ]),
  badVmi(
    'limits below requests, all at once',
    {
      'spec.domain.resources': { requests: { memory: '128Mi', cpu: '2' }, limits: { memory: '64Mi', cpu: '500m' } },
    },
    ['spec.domain.resources.requests.memory', INVALID, "'128Mi' is greater than spec.domain.resources.limits.memory"],
    ['spec.domain.resources.requests.cpu', INVALID, "'2' is greater than spec.domain.resources.limits.cpu"],
  ),
  badVmi('a negative request', { 'spec.domain.resources': { requests: { cpu: '-1' } } }, [
    'spec.domain.resources.requests.cpu',
    INVALID,
    'must be greater than or equal to 0',
  ]),
  badVmi('an unknown machine type', { 'spec.domain.machine': { type: 'pc-i440fx' } }, [
    'spec.domain.machine.type',
    INVALID,
    'is not supported: pc-i440fx (allowed values: [q35* pc-q35*])',
  ]),
  badVmi('an architecture we have not', { 'spec.architecture': 's390x' }, [
    'spec.architecture',
    INVALID,
    'unsupported architecture: s390x',
  ]),
  badVmi('both BIOS and EFI', { [`${FIRMWARE}.bootloader`]: { bios: {}, efi: { secureBoot: false } } }, [
    `${FIRMWARE}.bootloader`,
    INVALID,
    'has both EFI and BIOS configured',
  ]),
  badVmi(
    'secure boot without SMM',
    { [`${FIRMWARE}.bootloader`]: { efi: {} }, 'spec.domain.features': { smm: { enabled: false } } },
    ['spec.domain', INVALID, DISABLED],
  ),
  badVmi('a bad UUID of the firmware', { [`${FIRMWARE}.uuid`]: 'not-a-uuid' }, [
    `${FIRMWARE}.uuid`,
    INVALID,
    'is not a UUID',
  ]),
  badVmi('a serial number with control characters', { [`${FIRMWARE}.serial`]: 'a\u0001b' }, [
    `${FIRMWARE}.serial`,
    INVALID,
    'control character',
  ]),
  badVmi(
    'an unknown policy of a CPU feature',
    { 'spec.domain.cpu': { features: [{ name: 'apic', policy: 'maybe' }] } },
    ['spec.domain.cpu.features[0].policy', UNSUPPORTED, 'uses policy maybe that is not supported'],
  ),
  badVmi('a CPU model with markup', { 'spec.domain.cpu': { model: "'><evil/>" } }, [
    'spec.domain.cpu.model',
    INVALID,
    'should match',
  ]),
  badVmi('a time zone that is none', { 'spec.domain.clock': { timezone: 'Mars/Olympus' } }, [
    'spec.domain.clock.timezone',
    INVALID,
    "'Mars/Olympus' is not a time zone",
  ]),
  badVmi(
    'an input device that is none',
    { 'spec.domain.devices.inputs': [{ name: 'm', type: 'mouse', bus: 'ps2' }] },
    ['spec.domain.devices.inputs[0].bus', INVALID, 'virtio or usb bus'],
    ['spec.domain.devices.inputs[0].type', INVALID, 'only tablet type'],
  ),
  badVmi('a vendor too long', { 'spec.domain.features': { hyperv: { vendorid: { vendorid: 'x'.repeat(13) } } } }, [
    'spec.domain.features.hyperv.vendorid.vendorid',
    TOO_LONG,
    'may not be more than 12',
  ]),
  badVmi(
    'names that DNS has not, all at once',
    { 'spec.hostname': 'Under_Score', 'spec.subdomain': '-x-', 'spec.priorityClassName': 'a b' },
    ['spec.hostname', INVALID, 'does not conform to the kubernetes DNS_LABEL rules'],
    ['spec.subdomain', INVALID, 'does not conform to the kubernetes DNS_SUBDOMAIN rules'],
    ['spec.priorityClassName', INVALID, 'does not conform to the kubernetes DNS_SUBDOMAIN rules'],
  ),
  badVmi('a hostname of 64 characters', { 'spec.hostname': 'h'.repeat(64) }, [
    'spec.hostname',
    INVALID,
    'no more than 63 characters',
  ]),
  badVmi('DNS of no known policy', { 'spec.dnsPolicy': 'Nobody' }, [
    'spec.dnsPolicy',
    UNSUPPORTED,
    'valid values: [ClusterFirst ClusterFirstWithHostNet Default None]',
  ]),
  badVmi('DNS of its own without servers', { 'spec.dnsPolicy': 'None' }, [
    'spec.dnsConfig',
    REQUIRED,
    /dnsConfig|dnsPolicy/,
  ]),
  badVmi('a name server that is no address', { 'spec.dnsConfig': { nameservers: ['dns.example.org'] } }, [
    'spec.dnsConfig.nameservers',
    INVALID,
    'must be valid IP address: dns.example.org',
  ]),
  badVmi('a negative grace period', { 'spec.terminationGracePeriodSeconds': -1 }, [
    'spec.terminationGracePeriodSeconds',
    INVALID,
    'greater than or equal to 0',
  ]),
  badVmi('a node selector with a bad key', { 'spec.nodeSelector': { 'a b': 'c' } }, [
    'spec.nodeSelector',
    INVALID,
    '"a b"',
  ]),
];
