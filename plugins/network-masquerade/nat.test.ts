// The node's side for real: a CNI pod, nftables, dnsmasq, and a guest behind the in-pod bridge.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inNet, NODE_IP, startNet, type TestNet } from '../../core/net/testing.ts';
import type { Json } from '../../core/index.ts';
import { buildTiny } from '../../examples/images/tiny/build.ts';
import { actions } from './actions.ts';

const nat = actions['nat'];
if (!nat?.revert) throw new Error('no action nat');
const { apply, revert } = nat;

const GUEST_MAC = '02:aa:00:00:00:01';

function args(over: { [key: string]: Json } = {}): { [key: string]: Json } {
  return {
    podInterface: 'eth0',
    cidr: '10.0.2.0/24',
    ports: [],
    mac: GUEST_MAC,
    hostname: 'testvm',
    multiQueue: false,
    dhcpOptions: {},
    ...over,
  };
}

describe('masquerade in a pod', () => {
  let net: TestNet;
  beforeEach(async () => {
    net = await startNet();
  });
  afterEach(() => net.remove());

  it('gives the guest a lease with everything the pod knows', async () => {
    const result = await apply(net.sandbox.context, args());
    expect(result).toEqual({ tap: 'tap0', mtu: 1450, mac: GUEST_MAC, ips: [net.podIp] });
    const guest = await net.guest(GUEST_MAC);
    expect(await guest.lease()).toMatchObject({
      ip: '10.0.2.2',
      subnet: '255.255.255.0',
      router: '10.0.2.1',
      dns: '10.96.0.10',
      domain: 'vms.svc.cluster.local',
      search: 'vms.svc.cluster.local svc.cluster.local',
      hostname: 'testvm',
      mtu: '1450',
      serverid: '10.0.2.1',
      lease: '4294967295',
    });
    const tap = await inNet(net.pod, 'ip', '-d', 'link', 'show', 'tap0');
    expect(tap).toMatch(/mtu 1450 .*master k6t-eth0/);
    expect(tap).toMatch(/tun type tap .*user (107|qemu|libvirt-qemu)/);
    // Two for what there is, two for what there shall be, one more for DHCP.
    expect(net.sandbox.ran).toEqual(['ip', 'ip', 'sysctl', 'nft', 'dnsmasq']);
  });

  it('passes traffic both ways, and to the pod by loopback', async () => {
    await apply(net.sandbox.context, args());
    const guest = await net.guest(GUEST_MAC);
    await guest.lease();
    await Promise.all([net.serve(guest.namespace, [80, 8080, 49_153]), net.serve(net.node, [9000])]);
    expect(await net.ask(net.node, net.podIp, 80)).toBe(NODE_IP);
    expect(await net.ask(net.node, net.podIp, 8080)).toBe(NODE_IP);
    expect(await net.ask(guest.namespace, NODE_IP, 9000), 'masqueraded').toBe(net.podIp);
    expect(await net.ask(net.pod, '127.0.0.1', 80)).toBe('10.0.2.1');
    expect(await net.ask(net.pod, net.podIp, 80)).toBe(net.podIp);
    expect(await net.ask(net.node, net.podIp, 8080, 'udp')).toBe(NODE_IP);
    expect(await net.ask(guest.namespace, NODE_IP, 9000, 'udp')).toBe(net.podIp);
    for (const [from, to] of [
      [net.node, net.podIp],
      [guest.namespace, NODE_IP],
      [guest.namespace, '10.0.2.1'],
    ] as const) {
      expect(await inNet(from, 'busybox', 'ping', '-c', '1', '-W', '1', to)).toContain(' 0% packet loss');
    }
    expect(await net.ask(net.node, net.podIp, 49_153), 'kept for migration').toBe('ECONNREFUSED');
  });

  it('opens the declared ports and no others', async () => {
    const ports = [
      { protocol: 'TCP', start: 80, end: 80 },
      { protocol: 'TCP', start: 8000, end: 8010 },
      { protocol: 'UDP', start: 81, end: 81 },
    ];
    await apply(net.sandbox.context, args({ ports }));
    const guest = await net.guest(GUEST_MAC);
    await guest.lease();
    await Promise.all([net.serve(guest.namespace, [80, 81, 8005]), net.serve(net.node, [9000])]);
    expect(await net.ask(net.node, net.podIp, 80)).toBe(NODE_IP);
    expect(await net.ask(net.node, net.podIp, 8005)).toBe(NODE_IP);
    expect(await net.ask(net.node, net.podIp, 81)).toBe('ECONNREFUSED');
    expect(await net.ask(net.node, net.podIp, 81, 'udp')).toBe(NODE_IP);
    expect(await net.ask(net.node, net.podIp, 80, 'udp')).toBe('ETIMEDOUT');
    expect(await net.ask(net.pod, '127.0.0.1', 80)).toBe('10.0.2.1');
    expect(await net.ask(net.pod, '127.0.0.1', 81)).toBe('ECONNREFUSED');
    expect(await net.ask(guest.namespace, NODE_IP, 9000)).toBe(net.podIp);
    // Nor by a route to the guest's private address.
    await inNet(net.node, 'ip', 'route', 'add', '10.0.2.0/24', 'via', net.podIp);
    expect(await net.ask(net.node, '10.0.2.2', 81)).toBe('ETIMEDOUT');
  });

  it('keeps the guest from the sockets of the pod, and from addresses not its own', async () => {
    await apply(net.sandbox.context, args());
    const guest = await net.guest(GUEST_MAC);
    await guest.lease();
    await Promise.all([net.serve(net.pod, [7000]), net.serve(net.node, [9000])]);
    expect(await net.ask(guest.namespace, '10.0.2.1', 7000)).toBe('ETIMEDOUT');
    expect(await net.ask(guest.namespace, net.podIp, 7000)).toBe('ETIMEDOUT');
    expect(await net.ask(guest.namespace, NODE_IP, 9000)).toBe(net.podIp);
    // An answer would find its way.
    await inNet(net.node, 'ip', 'route', 'add', '10.0.2.0/24', 'via', net.podIp);
    await inNet(guest.namespace, 'ip', 'addr', 'flush', 'dev', 'eth0');
    await inNet(guest.namespace, 'ip', 'addr', 'add', '10.0.2.7/24', 'dev', 'eth0');
    await inNet(guest.namespace, 'ip', 'route', 'add', 'default', 'via', '10.0.2.1');
    expect(await net.ask(guest.namespace, NODE_IP, 9000)).toBe('ETIMEDOUT');
  });

  it('has another private network where one is asked for, and says when it overlaps the pod', async () => {
    await expect(apply(net.sandbox.context, args({ cidr: '10.77.0.128/25' }))).rejects.toThrow(
      /overlaps 10\.77\.0\.0\/24 on the pod's eth0: give another one in spec.networks\[\].pod.vmNetworkCIDR/,
    );
    await apply(net.sandbox.context, args({ cidr: '192.168.66.8/29' }));
    const guest = await net.guest(GUEST_MAC);
    expect(await guest.lease()).toMatchObject({ ip: '192.168.66.10', router: '192.168.66.9', mask: '29' });
  });

  it('makes the tap anew when its queues change', async () => {
    for (const multiQueue of [false, true, true, false]) {
      await apply(net.sandbox.context, args({ multiQueue }));
      const tap = await inNet(net.pod, 'ip', '-d', 'link', 'show', 'tap0');
      expect(tap.includes('multi_queue on') || tap.includes(' multi_queue '), tap).toBe(multiQueue);
    }
  });

  it('hands on DHCP options', async () => {
    const dhcpOptions = {
      bootFileName: 'pxe/boot,1.0',
      tftpServerName: 'tftp.example.com',
      ntpServers: ['10.0.0.1', '10.0.0.2'],
      privateOptions: [
        { option: 224, value: '10.1.2.3' },
        { option: 225, value: '7' },
      ],
    };
    await apply(net.sandbox.context, args({ dhcpOptions }));
    const guest = await net.guest(GUEST_MAC);
    expect(await guest.lease()).toMatchObject({
      bootfile: 'pxe/boot,1.0',
      tftp: 'tftp.example.com',
      ntpsrv: '10.0.0.1 10.0.0.2',
      opt224: Buffer.from('10.1.2.3').toString('hex'),
      opt225: Buffer.from('7').toString('hex'),
    });
  });

  it('answers DHCP only to the guest', async () => {
    await apply(net.sandbox.context, args());
    const asked = await inNet(
      net.node,
      'busybox',
      'udhcpc',
      '-f',
      '-q',
      '-n',
      '-i',
      'cni0',
      '-t',
      '1',
      '-T',
      '1',
      '-s',
      '/bin/true',
    ).catch((error: unknown) => String(error));
    expect(asked).toMatch(/no lease/);
  });

  it('serves a real guest on its tap', async () => {
    await apply(net.sandbox.context, args());
    net.boot(buildTiny().raw, 'tap0', GUEST_MAC, 1450);
    const info = await net.page(`http://${net.podIp}/cgi-bin/info`);
    expect(info).toContain(`eth0=10.0.2.2/24 ${GUEST_MAC} 1450`);
    expect(info).toMatch(new RegExp(`client=.*${NODE_IP}\\b`));
    expect(info).toContain('hostname=testvm');
  }, 60_000);

  it('does nothing more when run twice, and leaves nothing when reverted twice', async () => {
    const before = await net.snapshot();
    await apply(net.sandbox.context, args());
    const once = await net.snapshot();
    expect(once).not.toBe(before);
    const result = await apply(net.sandbox.context, args());
    expect(await net.snapshot()).toBe(once);
    await apply(net.sandbox.context, args({ hostname: 'other' }));
    const guest = await net.guest(GUEST_MAC);
    expect(await guest.lease()).toMatchObject({ hostname: 'other' });
    await inNet(net.pod, 'ip', 'link', 'del', await guestPort(net));
    await revert(net.sandbox.context, args(), result ?? undefined);
    expect(await net.snapshot()).toBe(before);
    await revert(net.sandbox.context, args(), undefined);
    expect(await net.snapshot()).toBe(before);
    await revert({ ...net.sandbox.context, sandbox: undefined }, args(), undefined);
  });

  it('goes on, or back, from wherever it was killed', async () => {
    const before = await net.snapshot();
    await apply(net.sandbox.context, args());
    const whole = await net.snapshot();
    await revert(net.sandbox.context, args(), undefined);
    for (let lines = 0; lines < 6; lines++) {
      for (const way of ['on', 'back'] as const) {
        net.sandbox.failAt = (argv, stdin) =>
          argv.join(' ') === 'ip -batch -' ? `${stdin.split('\n').slice(0, lines).join('\n')}\n` : undefined;
        await expect(apply(net.sandbox.context, args())).rejects.toThrow('cut off');
        net.sandbox.failAt = undefined;
        if (way === 'on') {
          await apply(net.sandbox.context, args());
          expect(mask(await net.snapshot()), `after ${lines} commands`).toBe(mask(whole));
        }
        await revert(net.sandbox.context, args(), undefined);
        expect(await net.snapshot(), `${way} after ${lines} commands`).toBe(before);
      }
    }
  }, 60_000);
});

/** Taps get a random MAC address, programs a new pid. */
function mask(snapshot: string): string {
  return snapshot.replace(/link\/ether \S+/g, 'link/ether').replace(/pid=\d+/g, 'pid');
}

async function guestPort(net: TestNet): Promise<string> {
  const links = await inNet(net.pod, 'ip', '-o', 'link', 'show', 'type', 'veth');
  return /\d+: (g[0-9a-f]{6})@/.exec(links)?.[1] ?? '';
}
