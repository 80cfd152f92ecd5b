// The node's side: bridge, tap, NAT and DHCP in the pod's network namespace.
import type { Action, DhcpOptions, GuestNic, Link, NetFacts, Sandbox } from '../../core/index.ts';
import {
  allDone,
  bridgeName,
  guestPortCommands,
  ipBatch,
  isLinkName,
  overlaps,
  parseNetwork,
  readNet,
  readResolver,
  removeCommands,
  startDhcp,
  stopDhcp,
  tapName,
} from '../../core/index.ts';
import { BRIDGE_MAC, guestNetwork } from './network.ts';
import { dropScript, type Forward, rulesScript } from './rules.ts';

interface Args {
  podInterface: string;
  cidr: string;
  ports: Forward[];
  mac: string | null;
  hostname: string;
  multiQueue: boolean;
  dhcpOptions: DhcpOptions;
}

const nat: Action = {
  async apply({ sandbox }, json): Promise<GuestNic> {
    const args = json as unknown as Args;
    const { podInterface } = args;
    const [facts, resolver] = await Promise.all([readNet(sandbox), readResolver(sandbox)]);
    const pod = podLink(facts, podInterface);
    const network = guestNetwork(args.cidr);
    if (typeof network === 'string') throw new Error(`vmNetworkCIDR ${args.cidr} ${network}`);
    refuseOverlap(facts, args.cidr, bridgeName(podInterface));

    const bridge = bridgeName(podInterface);
    const tap = tapName(podInterface);
    const port = { bridge, tap, mtu: pod.mtu, uid: sandbox.user.uid, multiQueue: args.multiQueue };
    const forwarded = forwardedBefore(facts, podInterface, bridge);
    await ipBatch(sandbox, [
      ...guestPortCommands(facts, port, ['address', BRIDGE_MAC, 'alias', forwarded ? FORWARDED : NOT_FORWARDED]),
      `addr replace ${network.gateway}/${network.prefix} dev ${bridge}`,
    ]);
    const podIps = pod.ipv4.map((one) => one.address);
    await allDone([
      sysctl(sandbox, [
        `net/ipv4/conf/${podInterface}/forwarding=1`,
        `net/ipv4/conf/${bridge}/forwarding=1`,
        // Lets a process of the pod reach the guest's ports at 127.0.0.1.
        `net/ipv4/conf/${bridge}/route_localnet=1`,
      ]),
      nft(sandbox, rulesScript({ podInterface, bridge, podIps, network, forwards: args.ports })),
      startDhcp(
        sandbox,
        {
          link: bridge,
          address: network.guest,
          prefix: network.prefix,
          mac: undefined,
          gateway: network.gateway,
          routes: [],
          mtu: pod.mtu,
          hostname: args.hostname,
          resolver,
          options: args.dhcpOptions,
        },
        facts.links.has(bridge),
      ),
    ]);
    return { tap, mtu: pod.mtu, mac: args.mac ?? pod.mac, ips: podIps };
  },

  async revert({ sandbox }, json): Promise<void> {
    if (!sandbox) return;
    const { podInterface } = json as unknown as Args;
    const bridge = bridgeName(podInterface);
    const facts = await readNet(sandbox);
    // The bridge is made first and goes last: without it there is nothing else.
    if (!facts.links.has(bridge)) return;
    await allDone([
      stopDhcp(sandbox, bridge),
      nft(sandbox, dropScript(podInterface)),
      ...(forwardedBefore(facts, podInterface, bridge)
        ? []
        : [sysctl(sandbox, [`net/ipv4/conf/${podInterface}/forwarding=0`])]),
    ]);
    await ipBatch(sandbox, removeCommands(facts, [tapName(podInterface), bridge]));
  },
};

/** On the bridge, for revert: whether the pod's interface forwarded before. */
const FORWARDED = 'forwarded';
const NOT_FORWARDED = 'not-forwarded';

function forwardedBefore(facts: NetFacts, podInterface: string, bridge: string): boolean {
  const note = facts.links.get(bridge)?.alias;
  if (note === FORWARDED || note === NOT_FORWARDED) return note === FORWARDED;
  return facts.forwarding.get(podInterface) ?? false;
}

function podLink(facts: NetFacts, name: string): Link {
  const link = isLinkName(name) ? facts.links.get(name) : undefined;
  if (!link) throw new Error(`the pod has no interface ${name}: see what its CNI plugin reports`);
  if (link.ipv4.length === 0) {
    throw new Error(`the pod's interface ${name} has no IPv4 address, which masquerade needs: check the CNI's IPAM`);
  }
  return link;
}

/** A guest whose private network is also the pod's could not be told from its neighbours. */
function refuseOverlap(facts: NetFacts, cidr: string, bridge: string): void {
  const wanted = parseNetwork(cidr);
  const taken = [
    ...facts.routes.filter((route) => route.to !== 'default').map(({ to, link }) => ({ to, link })),
    ...[...facts.links.values()].flatMap(({ name, ipv4 }) => ipv4.map(({ address }) => ({ to: address, link: name }))),
  ];
  for (const { to, link } of taken) {
    const network = link === bridge ? undefined : parseNetwork(to.includes('/') ? to : `${to}/32`);
    if (wanted && network && overlaps(wanted, network)) {
      throw new Error(
        `the guest's network ${cidr} overlaps ${to} on the pod's ${link}: ` +
          `give another one in spec.networks[].pod.vmNetworkCIDR`,
      );
    }
  }
}

async function sysctl(sandbox: Sandbox, settings: readonly string[]): Promise<void> {
  await sandbox.exec(['sysctl', '-q', '-w', ...settings], { in: 'net' });
}

async function nft(sandbox: Sandbox, script: string): Promise<void> {
  await sandbox.exec(['nft', '-f', '-'], { in: 'net', stdin: script });
}

export const actions: { readonly [name: string]: Action } = { nat };
