// The node's side: the pod interface becomes a port of a bridge beside the guest's tap, and DHCP hands on what it had.
import { randomBytes } from 'node:crypto';
import type { Action, DhcpOptions, GuestNic, Link, NetFacts } from '../../core/index.ts';
import {
  bridgeName,
  guestPortCommands,
  ipBatch,
  isLinkName,
  portName,
  readNet,
  readResolver,
  removeCommands,
  startDhcp,
  stopDhcp,
  tapName,
} from '../../core/index.ts';
import { leaseRoutes } from './lease.ts';
import { originalOf, type Original, parkCommands, parkedTwin, podPort, restoreCommands, twinName } from './parking.ts';

interface Args {
  podInterface: string;
  /** The guest's MAC address; null: the pod interface's. */
  mac: string | null;
  /** The DHCP server's own address on the bridge. */
  server: string;
  hostname: string;
  multiQueue: boolean;
  dhcpOptions: DhcpOptions;
}

const bridge: Action = {
  async apply({ sandbox }, json): Promise<GuestNic> {
    const args = json as unknown as Args;
    const { podInterface } = args;
    const [facts, resolver] = await Promise.all([readNet(sandbox), readResolver(sandbox)]);
    const link = isLinkName(podInterface) ? podPort(facts, podInterface) : undefined;
    const original = link && originalOf(facts, podInterface);
    if (!original) throw new Error(`the pod has no interface ${podInterface}: see what its CNI plugin reports`);

    const inPod = bridgeName(podInterface);
    const tap = tapName(podInterface);
    const { mtu } = link;
    await ipBatch(sandbox, [
      ...guestPortCommands(facts, { bridge: inPod, tap, mtu, uid: sandbox.user.uid, multiQueue: args.multiQueue }),
      `addr replace ${args.server}/32 dev ${inPod}`,
      ...parkCommands(facts, podInterface, original),
      ...moveCommands(facts, podInterface, link, original),
    ]);
    const mac = args.mac ?? original.mac;
    const [address] = original.ipv4;
    // A network without IPAM leaves addresses to whoever answers on it.
    if (address) {
      await startDhcp(
        sandbox,
        {
          link: inPod,
          address: address.address,
          prefix: address.prefix,
          // Others on the network ask here too.
          mac,
          ...leaseRoutes(original),
          mtu,
          hostname: args.hostname,
          resolver,
          options: args.dhcpOptions,
        },
        facts.links.has(inPod),
      );
    }
    return { tap, mtu, mac, ips: original.ipv4.map((one) => one.address) };
  },

  async revert({ sandbox }, json): Promise<void> {
    if (!sandbox) return;
    const { podInterface } = json as unknown as Args;
    const facts = await readNet(sandbox);
    const inPod = bridgeName(podInterface);
    if (facts.links.has(inPod)) await stopDhcp(sandbox, inPod);
    await ipBatch(sandbox, [
      ...returnCommands(facts, podInterface),
      ...removeCommands(facts, [tapName(podInterface), inPod]),
      // The originals go last. By now the twin has its first name again.
      ...(facts.links.has(twinName(podInterface)) || parkedTwin(facts, podInterface)
        ? [`link del dev ${twinName(podInterface)}`]
        : []),
    ]);
  },
};

/** Takes the pod interface's name, MAC and addresses, and makes it a port of the bridge. */
function moveCommands(facts: NetFacts, podInterface: string, link: Link, original: Original): string[] {
  const port = portName(podInterface);
  const inPod = bridgeName(podInterface);
  const commands: string[] = [];
  if (link.name !== port)
    commands.push(`link set dev ${podInterface} down`, `link set dev ${podInterface} name ${port}`);
  if (link.mac === original.mac) {
    commands.push(`link set dev ${port} down`, `link set dev ${port} address ${randomMac()}`);
  }
  commands.push(
    `addr flush dev ${port} scope global`,
    `link set dev ${port} master ${inPod} up`,
    // The guest is behind the tap, whatever echoes from the network.
    `link set dev ${port} type bridge_slave learning off`,
  );
  // Who looks for the pod's interface by name, such as its CNI plugin when the pod goes, finds the twin.
  if (parkedTwin(facts, podInterface)?.name !== podInterface) {
    commands.push(`link set dev ${twinName(podInterface)} name ${podInterface}`);
  }
  return commands;
}

/** Makes the pod interface what it was. Nothing to do before the twin was complete, or once the bridge is gone. */
function returnCommands(facts: NetFacts, podInterface: string): string[] {
  const twin = parkedTwin(facts, podInterface);
  const link = podPort(facts, podInterface);
  const original = originalOf(facts, podInterface);
  const commands: string[] = [];
  if (twin && twin.name !== twinName(podInterface)) {
    commands.push(`link set dev ${twin.name} name ${twinName(podInterface)}`);
  }
  if (!twin || !link || !original || !facts.links.has(bridgeName(podInterface))) return commands;
  commands.push(`link set dev ${link.name} nomaster`, `link set dev ${link.name} down`);
  if (link.name !== podInterface) commands.push(`link set dev ${link.name} name ${podInterface}`);
  return [
    ...commands,
    `link set dev ${podInterface} address ${original.mac} up`,
    ...restoreCommands(podInterface, original),
  ];
}

/** A locally administered unicast address. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export const actions: { readonly [name: string]: Action } = { bridge };
