// A guest's side of a pod interface: what the bindings share. Pure functions, and functions over a Sandbox.
export { dhcpArgv, startDhcp, stopDhcp } from './dhcp.ts';
export type { DhcpOptions, Lease } from './dhcp.ts';
export { allDone, ipBatch, PARKED_TABLE, parseFacts, readNet } from './facts.ts';
export type { Address, Link, NetFacts, Route } from './facts.ts';
export { DEFAULT_MTU, guestNicOf, hostnameOf, parseMac, queuesOf } from './guest.ts';
export type { GuestNic } from './guest.ts';
export { contains, formatIpv4, hostAt, netmask, overlaps, parseIpv4, parseNetwork } from './ipv4.ts';
export type { Ipv4Network } from './ipv4.ts';
export { bridgeName, isLinkName, portName, tapName } from './names.ts';
export { parseResolvConf, readResolver } from './resolv.ts';
export type { Resolver } from './resolv.ts';
export { guestPortCommands, removeCommands } from './tap.ts';
export type { GuestPort } from './tap.ts';
