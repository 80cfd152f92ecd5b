// The node's side for real: a CNI pod whose interface becomes a port, dnsmasq, and a guest with the pod's address.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inNet, NODE_IP, startNet, type TestNet } from '../../core/net/testing.ts';
import type { Json } from '../../core/index.ts';
import { buildTiny } from '../../examples/images/tiny/build.ts';
import { actions } from './actions.ts';

const bridge = actions['bridge'];
if (!bridge?.revert) throw new Error('no action bridge');
const { apply, revert } = bridge;

function args(over: { [key: string]: Json } = {}): { [key: string]: Json } {
  return {
    podInterface: 'eth0',
    mac: null,
    server: '169.254.75.10',
    hostname: 'testvm',
    multiQueue: false,
    dhcpOptions: {},
    ...over,
  };
}

describe('bridge in a pod', () => {
  let net: TestNet;
  beforeEach(async () => {
    net = await startNet();
  });
  afterEach(() => net.remove());

  it("gives the guest the pod's address and MAC, and passes traffic both ways", async () => {
    const result = await apply(net.sandbox.context, args());
    expect(result).toEqual({ tap: 'tap0', mtu: 1450, mac: net.podMac, ips: [net.podIp] });
    expect(net.sandbox.ran).toEqual(['ip', 'ip', 'dnsmasq']);
    const guest = await net.guest(net.podMac);
    expect(await guest.lease()).toMatchObject({
      ip: net.podIp,
      subnet: '255.255.255.0',
      router: NODE_IP,
      dns: '10.96.0.10',
      hostname: 'testvm',
      mtu: '1450',
    });
    await Promise.all([net.serve(guest.namespace, [80]), net.serve(net.node, [9000])]);
    expect(await net.ask(net.node, net.podIp, 80)).toBe(NODE_IP);
    expect(await net.ask(guest.namespace, NODE_IP, 9000)).toBe(net.podIp);
    const neighbour = await inNet(net.node, 'ip', 'neigh', 'show', net.podIp);
    expect(neighbour).toContain(net.podMac);
  });

  it('answers for the address of the pod with no MAC but the guest’s', async () => {
    await apply(net.sandbox.context, args());
    // No guest is there to answer.
    const asked = await inNet(net.node, 'busybox', 'arping', '-c', '2', '-w', '1', '-I', 'cni0', net.podIp).catch(
      String,
    );
    expect(asked).toMatch(/Received 0 response|0 packets received|Error: /);
    expect(await net.ask(net.node, net.podIp, 80)).toMatch(/EHOSTUNREACH|ETIMEDOUT/);
  });

  it('serves the guest alone, among all that ask on the network', async () => {
    await apply(net.sandbox.context, args());
    const other = await net.guest('02:bb:00:00:00:01');
    expect(await other.lease({ tries: 1 })).toBeUndefined();
    const node = ['busybox', 'udhcpc', '-f', '-q', '-n', '-i', 'cni0', '-t', '1', '-T', '1', '-s', '/bin/true'];
    await expect(inNet(net.node, ...node)).rejects.toThrow(/no lease/);
  });

  it('gives a MAC address of its own choice where the manifest has one', async () => {
    const mac = '02:cc:00:00:00:01';
    expect(await apply(net.sandbox.context, args({ mac }))).toMatchObject({ mac });
    const guest = await net.guest(mac);
    expect(await guest.lease()).toMatchObject({ ip: net.podIp });
    await net.serve(net.node, [9000]);
    expect(await net.ask(guest.namespace, NODE_IP, 9000)).toBe(net.podIp);
  });

  it('binds two interfaces side by side, also one whose network has no addresses', async () => {
    const second = 'pod16477688c0e';
    const bridgeOfNode = 'cni-second';
    const mac = await net.addInterface(second, bridgeOfNode);
    const before = await net.snapshot();
    const others = args({ podInterface: second, server: '169.254.75.11' });
    const [, result] = await Promise.all([apply(net.sandbox.context, args()), apply(net.sandbox.context, others)]);
    expect(result).toEqual({ tap: 'tap16477688c0e', mtu: 1450, mac, ips: [] });
    const [one, two] = await Promise.all([net.guest(net.podMac), net.guest(mac, second)]);
    expect(await one.lease()).toMatchObject({ ip: net.podIp });
    expect(await two.lease({ tries: 1 })).toBeUndefined();
    await inNet(net.node, 'ip', 'addr', 'add', '10.88.0.1/24', 'dev', bridgeOfNode);
    await inNet(two.namespace, 'ip', 'addr', 'add', '10.88.0.2/24', 'dev', 'eth0');
    await net.serve(net.node, [9000]);
    expect(await net.ask(two.namespace, '10.88.0.1', 9000)).toBe('10.88.0.2');
    for (const port of await guestPorts(net)) await inNet(net.pod, 'ip', 'link', 'del', port);
    await Promise.all([revert(net.sandbox.context, args(), undefined), revert(net.sandbox.context, others, undefined)]);
    expect(await net.snapshot()).toBe(before);
  });

  it('hands on routes, also where the gateway is outside of the network', async () => {
    await inNet(net.pod, 'ip', 'route', 'add', '10.96.0.0/12', 'via', '10.77.0.9');
    await inNet(net.pod, 'ip', 'route', 'flush', 'default');
    await inNet(net.pod, 'ip', 'addr', 'flush', 'dev', 'eth0');
    await inNet(net.pod, 'ip', 'addr', 'add', `${net.podIp}/32`, 'dev', 'eth0');
    await inNet(net.pod, 'ip', 'route', 'add', NODE_IP, 'dev', 'eth0', 'scope', 'link');
    await inNet(net.pod, 'ip', 'route', 'add', 'default', 'via', NODE_IP, 'dev', 'eth0');
    const before = await net.snapshot();
    await apply(net.sandbox.context, args());
    const guest = await net.guest(net.podMac);
    const lease = await guest.lease();
    expect(lease).toMatchObject({ ip: net.podIp, subnet: '255.255.255.255' });
    expect(lease?.['staticroutes']).toBe(`${NODE_IP}/32 0.0.0.0 0.0.0.0/0 ${NODE_IP}`);
    await net.serve(net.node, [9000]);
    expect(await net.ask(guest.namespace, NODE_IP, 9000)).toBe(net.podIp);
    for (const port of await guestPorts(net)) await inNet(net.pod, 'ip', 'link', 'del', port);
    await revert(net.sandbox.context, args(), undefined);
    expect(await net.snapshot()).toBe(before);
  });

  it('serves a real guest on its tap', async () => {
    await apply(net.sandbox.context, args());
    net.boot(buildTiny().raw, 'tap0', net.podMac, 1450);
    const info = await net.page(`http://${net.podIp}/cgi-bin/info`);
    expect(info).toContain(`eth0=${net.podIp}/24 ${net.podMac} 1450`);
    expect(info).toMatch(new RegExp(`client=.*${NODE_IP}\\b`));
  }, 60_000);

  it('does nothing more when run twice, and leaves nothing when reverted twice', async () => {
    const before = await net.snapshot();
    const result = await apply(net.sandbox.context, args());
    const once = await net.snapshot();
    expect(once).not.toBe(before);
    expect(await apply(net.sandbox.context, args())).toEqual(result);
    expect(await net.snapshot()).toBe(once);
    await revert(net.sandbox.context, args(), result ?? undefined);
    expect(await net.snapshot()).toBe(before);
    await revert(net.sandbox.context, args(), result ?? undefined);
    expect(await net.snapshot()).toBe(before);
    await revert({ ...net.sandbox.context, sandbox: undefined }, args(), undefined);
    await net.serve(net.pod, [80]);
    expect(await net.ask(net.node, net.podIp, 80)).toBe(NODE_IP);
  });

  it('goes on, or back, from wherever it was killed, there and back', async () => {
    const before = await net.snapshot();
    const result = await apply(net.sandbox.context, args());
    const whole = mask(await net.snapshot());
    await revert(net.sandbox.context, args(), undefined);
    for (let lines = 0; lines <= 20; lines++) {
      expect(await cut(net, lines, () => apply(net.sandbox.context, args()))).toBe(true);
      if (lines % 2 === 0) {
        expect(await apply(net.sandbox.context, args())).toEqual(result);
        expect(mask(await net.snapshot()), `on after ${lines} commands`).toBe(whole);
      }
      // The way back is cut as well, at another place each time.
      const back = (lines * 7) % 13;
      await cut(net, back, () => revert(net.sandbox.context, args(), undefined));
      await revert(net.sandbox.context, args(), undefined);
      expect(await net.snapshot(), `back after ${lines} commands and ${back} of the way back`).toBe(before);
    }
  }, 120_000);
});

/** Runs `act` with its batch of commands cut after some; true if it had one. */
async function cut(net: TestNet, lines: number, act: () => Promise<unknown>): Promise<boolean> {
  net.sandbox.failAt = (argv, stdin) =>
    argv.join(' ') === 'ip -batch -' ? `${stdin.split('\n').slice(0, lines).join('\n')}\n` : undefined;
  try {
    await act();
    return false;
  } catch (error) {
    expect(String(error)).toBe('Error: cut off');
    return true;
  } finally {
    net.sandbox.failAt = undefined;
  }
}

/** Taps and ports get a random MAC address, programs a new pid. */
function mask(snapshot: string): string {
  return snapshot.replace(/link\/ether \S+/g, 'link/ether').replace(/pid=\d+/g, 'pid');
}

async function guestPorts(net: TestNet): Promise<string[]> {
  const links = await inNet(net.pod, 'ip', '-o', 'link', 'show', 'type', 'veth');
  return [...links.matchAll(/\d+: (g[0-9a-f]{6})@/g)].map(([, name = '']) => name);
}
