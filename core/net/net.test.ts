// The pure parts: addresses, names, resolv.conf, facts, the DHCP server's command line.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dhcpArgv, type Lease } from './dhcp.ts';
import { parseFacts } from './facts.ts';
import { guestNicOf, hostnameOf, parseMac, queuesOf } from './guest.ts';
import { contains, formatIpv4, hostAt, netmask, overlaps, parseIpv4, parseNetwork } from './ipv4.ts';
import { bridgeName, isLinkName, portName, tapName } from './names.ts';
import { parseResolvConf } from './resolv.ts';
import { guestPortCommands } from './tap.ts';
import type { Vmi } from '../types.ts';

describe('IPv4', () => {
  it('reads what it writes', () => {
    fc.assert(fc.property(fc.nat(0xffffffff), (value) => parseIpv4(formatIpv4(value)) === value));
  });

  it.each(['', '1.2.3', '1.2.3.4.5', '256.0.0.1', '01.2.3.4', '1.2.3.-4', ' 1.2.3.4', '::1'])('refuses %j', (text) => {
    expect(parseIpv4(text)).toBeUndefined();
  });

  it('counts in networks', () => {
    const network = parseNetwork('10.0.2.77/24');
    if (!network) throw new Error('no network');
    expect(hostAt(network, 1)).toBe('10.0.2.1');
    expect(netmask(0)).toBe('0.0.0.0');
    expect(netmask(29)).toBe('255.255.255.248');
    expect(contains(network, '10.0.2.255')).toBe(true);
    expect(contains(network, '10.0.3.0')).toBe(false);
    expect(parseNetwork('255.255.255.255/32')?.base).toBe(0xffffffff);
    for (const [other, expected] of [
      ['10.0.0.0/16', true],
      ['10.0.2.128/25', true],
      ['10.0.3.0/24', false],
      ['0.0.0.0/0', true],
    ] as const) {
      const parsed = parseNetwork(other);
      expect(parsed && overlaps(network, parsed), other).toBe(expected);
    }
  });
});

describe('names', () => {
  it('are KubeVirt’s, and fit', () => {
    expect([bridgeName('eth0'), tapName('eth0'), portName('eth0')]).toEqual(['k6t-eth0', 'tap0', 'eth0-nic']);
    expect([bridgeName('net1'), tapName('net1'), portName('net1')]).toEqual(['k6t-net1', 'tap1', 'net1-nic']);
    const hashed = 'pod16477688c0e';
    expect([bridgeName(hashed), tapName(hashed), portName(hashed)]).toEqual([
      'k6t-16477688c0e',
      'tap16477688c0e',
      '16477688c0e-nic',
    ]);
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z][a-z0-9]{2,14}$/), (name) =>
        [bridgeName(name), tapName(name), portName(name)].every((one) => one.length <= 15),
      ),
    );
  });

  it('are safe in a command', () => {
    expect(['eth0', 'eth0.100', 'pod16477688c0e'].every(isLinkName)).toBe(true);
    expect(['', '-a', 'a b', 'eth0\ndown', 'x'.repeat(16), '../e'].some(isLinkName)).toBe(false);
  });
});

describe('resolv.conf', () => {
  it('gives servers that a guest can reach, and the last search line', () => {
    const text = `# comment
nameserver 10.96.0.10
nameserver 127.0.0.53
nameserver fd00::10
domain first.example
search ns.svc.cluster.local svc.cluster.local. bad,domain -x
options ndots:5`;
    expect(parseResolvConf(text)).toEqual({
      nameservers: ['10.96.0.10'],
      search: ['ns.svc.cluster.local', 'svc.cluster.local'],
    });
    expect(parseResolvConf('')).toEqual({ nameservers: [], search: [] });
  });
});

describe('a guest’s NIC', () => {
  it('has the MAC addresses that people write', () => {
    expect(parseMac('DE:AD:00:00:BE:AF')).toBe('de:ad:00:00:be:af');
    expect(parseMac('de-ad-00-00-be-af')).toBe('de:ad:00:00:be:af');
    expect(parseMac('dead.0000.beaf')).toBe('de:ad:00:00:be:af');
    for (const bad of ['', 'de:ad:00:00:be', 'de:ad-00:00:be:af', 'de:ad:00:00:be:zz', 'de:ad:00:00:be:af:00:00']) {
      expect(parseMac(bad), bad).toBeUndefined();
    }
  });

  it('is what a step says it is, or not known', () => {
    const nic = { tap: 'tap0', mtu: 1500, mac: '02:00:00:00:00:01', ips: ['10.0.0.1'] };
    expect(guestNicOf(nic)).toEqual(nic);
    for (const other of [undefined, null, [], 'x', { ...nic, mtu: '1500' }]) expect(guestNicOf(other)).toBeUndefined();
  });

  it('has a host name and queues', () => {
    const vmi = (name: string, spec: object) => ({ metadata: { name }, spec }) as unknown as Vmi;
    expect(hostnameOf(vmi('a.b', {}))).toBe('a');
    expect(hostnameOf(vmi('a.b', { hostname: 'c' }))).toBe('c');
    expect(hostnameOf(vmi(`${'a'.repeat(62)}-b`, {}))).toBe('a'.repeat(62));
    const many = vmi('a', { domain: { cpu: { cores: 8, sockets: 40, threads: 2 } } });
    expect(queuesOf(many, undefined, true)).toBe(256);
    expect(queuesOf(many, '', true)).toBe(256);
    expect(queuesOf(many, 'e1000', true)).toBe(1);
    expect(queuesOf(vmi('a', { domain: { cpu: { cores: 8 } } }), undefined, undefined)).toBe(1);
  });

  it('gets its tap anew where the one there is does not fit', () => {
    const facts = (info: object) =>
      parseFacts(
        [
          [
            { ifname: 'k6t-eth0', flags: ['UP'], mtu: 1500, linkinfo: { info_kind: 'bridge' }, addr_info: [] },
            { ifname: 'tap0', flags: [], mtu: 1500, linkinfo: { info_kind: 'tun', info_data: info }, addr_info: [] },
          ],
          [],
          [],
          [],
        ]
          .map((one) => JSON.stringify(one))
          .join('\n'),
      );
    const port = { bridge: 'k6t-eth0', tap: 'tap0', mtu: 1400, uid: 107, multiQueue: false };
    const up = [
      'link set dev k6t-eth0 mtu 1400 addrgenmode none up',
      'link set dev tap0 mtu 1400 addrgenmode none master k6t-eth0 up',
    ];
    for (const same of [{ user: 107, multi_queue: false }, { user: 'qemu' }]) {
      expect(guestPortCommands(facts(same), port)).toEqual(up);
    }
    const anew = ['link del dev tap0', 'tuntap add dev tap0 mode tap user 107'];
    const [bridge = '', tap = ''] = up;
    for (const other of [{ user: 0 }, { user: 107, multi_queue: true }, {}]) {
      expect(guestPortCommands(facts(other), port)).toEqual([bridge, ...anew, tap]);
    }
  });
});

describe('the DHCP server', () => {
  const lease: Lease = {
    link: 'k6t-eth0',
    address: '10.0.2.2',
    prefix: 24,
    mac: undefined,
    gateway: '10.0.2.1',
    routes: [],
    mtu: 1450,
    hostname: 'testvm',
    resolver: { nameservers: [], search: [] },
    options: {},
  };

  it('serves one address, and DNS to nobody', () => {
    const argv = dhcpArgv(lease);
    for (const one of [
      '--port=0',
      '--leasefile-ro',
      '--interface=k6t-eth0',
      '--dhcp-range=10.0.2.2,10.0.2.2,255.255.255.0,infinite',
    ]) {
      expect(argv).toContain(one);
    }
    expect(argv.filter((one) => one.startsWith('--dhcp-option'))).toEqual([
      '--dhcp-option=option:router,10.0.2.1',
      '--dhcp-option=option:mtu,1450',
      '--dhcp-option=12,testvm',
    ]);
  });

  it('serves one client where others can ask, and no router where there is none', () => {
    const argv = dhcpArgv({ ...lease, mac: '02:00:00:00:00:01', gateway: undefined });
    expect(argv).toContain('--dhcp-host=02:00:00:00:00:01,10.0.2.2,infinite');
    expect(argv).toContain('--dhcp-ignore=tag:!known');
    expect(argv).toContain('--dhcp-option=option:router');
  });
});
