// The tap that QEMU opens, and the in-pod bridge that it is a port of, as `ip` commands.
import type { NetFacts } from './facts.ts';

export interface GuestPort {
  readonly bridge: string;
  readonly tap: string;
  readonly mtu: number;
  /** User that may open the tap. */
  readonly uid: number;
  readonly multiQueue: boolean;
}

/**
 * Commands that make bridge and tap, or put right those there are. `bridge`: further settings of a new bridge.
 * No IPv6 address comes up on either, so that the guest finds no socket of the pod behind them.
 */
export function guestPortCommands(facts: NetFacts, port: GuestPort, bridge: readonly string[] = []): string[] {
  const commands: string[] = [];
  if (!facts.links.has(port.bridge)) commands.push(`link add name ${port.bridge} type bridge`);
  const settings = ['mtu', String(port.mtu), 'addrgenmode', 'none', ...bridge];
  commands.push(`link set dev ${port.bridge} ${settings.join(' ')} up`);
  const old = facts.links.get(port.tap);
  // A name is taken for the right one: a tap that a guest runs on must not go.
  const owner = old?.tap?.user;
  const isOwn = owner !== undefined && (owner === String(port.uid) || !/^\d+$/.test(owner));
  const fits = isOwn && old?.tap?.multiQueue === port.multiQueue;
  if (old && !fits) commands.push(`link del dev ${port.tap}`);
  if (!fits) {
    commands.push(`tuntap add dev ${port.tap} mode tap user ${port.uid}${port.multiQueue ? ' multi_queue' : ''}`);
  }
  commands.push(`link set dev ${port.tap} mtu ${port.mtu} addrgenmode none master ${port.bridge} up`);
  return commands;
}

/** Commands that take down those of `links` that are there. */
export function removeCommands(facts: NetFacts, links: readonly string[]): string[] {
  return links.filter((name) => facts.links.has(name)).map((name) => `link del dev ${name}`);
}
