// Networks and interfaces: names, bindings, addresses, ports.
import { badVmi, type BadCase, DUPLICATE, INVALID, REQUIRED, UNSUPPORTED, WRONG_TYPE } from './case.ts';

const NIC = 'spec.domain.devices.interfaces[0]';
const CIDR = 'spec.networks[0].pod.vmNetworkCIDR';

const badMac = (what: string, macAddress: string, part: string): BadCase =>
  badVmi(`a MAC address that is ${what}`, { [`${NIC}.macAddress`]: macAddress }, [`${NIC}.macAddress`, INVALID, part]);
const badCidr = (cidr: string, part: string): BadCase =>
  badVmi(`vmNetworkCIDR ${cidr}`, { [CIDR]: cidr }, [CIDR, INVALID, part]);
const badPorts = (what: string, ports: object[], ...causes: [string, string, string][]): BadCase =>
  badVmi(
    what,
    { [`${NIC}.ports`]: ports },
    ...causes.map(([field, reason, part]) => [`${NIC}.ports${field}`, reason, part] as const),
  );

export const networks: readonly BadCase[] = [
  badVmi(
    'two networks of one name',
    { 'spec.networks[1]': { name: 'default', pod: {} } },
    ['spec.networks[1].name', DUPLICATE, 'every network must have a unique name'],
    ['spec.interfaces', DUPLICATE, 'more than one interface is connected to a pod network'],
  ),
  badVmi('an interface without a network', { 'spec.domain.devices.interfaces[1]': { name: 'other', bridge: {} } }, [
    'spec.domain.devices.interfaces[1].name',
    INVALID,
    "'other' not found",
  ]),
  badVmi('a network without an interface', { [NIC]: undefined, 'spec.domain.devices.interfaces': [] }, [
    'spec.networks[0].name',
    REQUIRED,
    "'default' not found",
  ]),
  badVmi(
    'two interfaces on one network',
    { 'spec.domain.devices.interfaces[1]': { name: 'default', masquerade: {} } },
    [
      'spec.domain.devices.interfaces[1].name',
      DUPLICATE,
      'Only one interface can be connected to one specific network',
    ],
  ),
  badVmi('two bindings', { [`${NIC}.bridge`]: {} }, [
    NIC,
    INVALID,
    'exactly one binding, but has masquerade and bridge',
  ]),
  badVmi(
    'an unknown binding',
    { [NIC]: { name: 'default', router: {} } },
    [`${NIC}.router`, INVALID, 'unknown field'],
    [NIC, REQUIRED, 'exactly one binding (bridge, masquerade)'],
  ),
  badVmi(
    'a network without a source',
    { 'spec.networks[0]': { name: 'default' } },
    ['spec.networks[0]', REQUIRED, 'exactly one source (pod)'],
    [`${NIC}.name`, INVALID, 'only implemented with pod network'],
  ),
  badVmi('a name that is no name', { [`${NIC}.name`]: 'a/../b', 'spec.networks[0].name': 'a/../b' }, [
    `${NIC}.name`,
    INVALID,
    'can only contain alphabetical characters',
  ]),
  badVmi('an unknown model', { [`${NIC}.model`]: 'ne3k' }, [`${NIC}.model`, UNSUPPORTED, 'model ne3k']),
  badMac('nonsense', 'zz:zz', 'malformed MAC address (zz:zz)'),
  badMac('too long', '02:00:00:00:00:01:02', 'too long MAC address'),
  badMac('multicast', '01:00:5e:00:00:01', 'multicast MAC address'),
  badMac("the in-pod bridge's", '02:00:00:00:00:00', 'reserved for the in-pod bridge'),
  badVmi('a bad PCI address of an interface', { [`${NIC}.pciAddress`]: '81:00' }, [
    `${NIC}.pciAddress`,
    INVALID,
    'malformed PCI address (81:00)',
  ]),
  badPorts('a port of 0', [{ port: 0 }], ['[0]', REQUIRED, 'Port field is mandatory']),
  badPorts('no port', [{ name: 'http' }], ['[0].port', REQUIRED, 'Required value']),
  badPorts(
    'ports out of range, all at once',
    [{ port: 65536 }, { port: -1 }],
    ['[0]', INVALID, '0 < x < 65536'],
    ['[1]', INVALID, '0 < x < 65536'],
  ),
  badPorts('text for a port', [{ port: 'http' }], ['[0].port', WRONG_TYPE, 'must be of type integer']),
  badPorts(
    'an unknown protocol',
    [{ port: 80, protocol: 'SCTP' }],
    ['[0].protocol', INVALID, 'only TCP or UDP allowed'],
  ),
  badPorts(
    'names of ports',
    [
      { name: 'Web_Server', port: 80 },
      { name: 'web', port: 81 },
      { name: 'web', port: 82 },
    ],
    ['[0].name', INVALID, 'Invalid name of the port: Web_Server'],
    ['[2].name', DUPLICATE, 'Duplicate name of the port: web'],
  ),
  badCidr('10.0.2.0/31', '/30 or wider'),
  badCidr('10.0.2.0/33', 'must be an IPv4 network'),
  badCidr('10.0.0.0/4', 'must not be wider than /8'),
  badCidr('fd00::/64', 'must be an IPv4 network'),
  badCidr('10.0.2.0', 'must be an IPv4 network'),
  badCidr('10.0.2.0/24; reboot', 'must be an IPv4 network'),
  badCidr('127.0.0.0/8', 'ordinary unicast addresses'),
  badVmi(
    'DHCP options',
    {
      [`${NIC}.dhcpOptions`]: {
        ntpServers: ['pool.ntp.org'],
        bootFileName: 'a\nb',
        privateOptions: [
          { option: 5, value: 'x' },
          { option: 5, value: 'y' },
        ],
      },
    },
    [`${NIC}.dhcpOptions.ntpServers[0]`, INVALID, 'valid IPv4 addresses'],
    [`${NIC}.dhcpOptions.bootFileName`, INVALID, 'control characters'],
    [`${NIC}.dhcpOptions`, INVALID, 'duplicate DHCPPrivateOptions'],
    [`${NIC}.dhcpOptions.privateOptions[0]`, INVALID, '224 to 254'],
    [`${NIC}.dhcpOptions.privateOptions[1]`, INVALID, '224 to 254'],
  ),
];
