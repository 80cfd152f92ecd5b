// What stands in a pod's network namespace: links, addresses and routes, read in one go.
import type { Sandbox } from '../steps.ts';

export interface Address {
  readonly address: string;
  readonly prefix: number;
  readonly broadcast: string | undefined;
}
export interface Link {
  readonly name: string;
  /** bridge, tun, veth, ...; undefined for hardware. */
  readonly kind: string | undefined;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** The bridge that it is a port of. */
  readonly master: string | undefined;
  /** A note on the link, kept by the kernel. */
  readonly alias: string | undefined;
  /** Global IPv4 addresses. */
  readonly ipv4: readonly Address[];
  /** Of a tap: who may open it, by number, or by name where the node has one for the number; and by how many queues. */
  readonly tap: { readonly user: string | undefined; readonly multiQueue: boolean } | undefined;
}
export interface Route {
  /** `default` or a network. */
  readonly to: string;
  readonly via: string | undefined;
  readonly scope: string | undefined;
  readonly source: string | undefined;
  readonly metric: number | undefined;
  readonly onlink: boolean;
  /** `kernel` for those that come with an address. */
  readonly protocol: string | undefined;
  readonly link: string;
}
export interface NetFacts {
  readonly links: ReadonlyMap<string, Link>;
  /** IPv4 routes of the main table. */
  readonly routes: readonly Route[];
  /** IPv4 routes of PARKED_TABLE. */
  readonly parkedRoutes: readonly Route[];
  /** Whether IPv4 packets that come in by this link are forwarded. */
  readonly forwarding: ReadonlyMap<string, boolean>;
}

/** A routing table that no rule looks at: keeps the routes of a pod interface that lost its addresses. */
export const PARKED_TABLE = 1075;

interface IpAddress {
  ifname: string;
  flags: string[];
  mtu: number;
  address?: string;
  master?: string;
  ifalias?: string;
  linkinfo?: { info_kind?: string; info_data?: { user?: number | string; multi_queue?: boolean } };
  addr_info: { family?: string; local?: string; prefixlen?: number; scope?: string; broadcast?: string }[];
}
interface IpRoute {
  dst: string;
  gateway?: string;
  dev?: string;
  scope?: string;
  prefsrc?: string;
  metric?: number;
  protocol?: string;
  flags?: string[];
}
interface IpNetconf {
  family: string;
  interface: string;
  forwarding?: boolean;
}

const QUESTIONS = ['addr show', 'route show table main', 'netconf show', `route show table ${PARKED_TABLE}`];

/** Reads the pod's network namespace: one process. */
export async function readNet(sandbox: Sandbox): Promise<NetFacts> {
  const { stdout } = await sandbox.exec(['ip', '-json', '-details', '-batch', '-'], {
    in: 'net',
    stdin: `${QUESTIONS.join('\n')}\n`,
  });
  return parseFacts(stdout.toString('utf8'));
}

/** Reads the answers of `ip -json -batch`: one array a line. */
export function parseFacts(text: string): NetFacts {
  const answers = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line): unknown => JSON.parse(line));
  if (answers.length !== QUESTIONS.length) {
    throw new Error(`ip gave ${answers.length} answers to ${QUESTIONS.length} questions: ${text.slice(0, 200)}`);
  }
  const [links, routes, netconf, parked] = answers as [IpAddress[], IpRoute[], IpNetconf[], IpRoute[]];
  return {
    links: new Map(links.filter((link) => link.ifname).map((link) => [link.ifname, toLink(link)])),
    routes: routes.filter((route) => route.dst).map(toRoute),
    parkedRoutes: parked.filter((route) => route.dst).map(toRoute),
    forwarding: new Map(
      netconf.filter((one) => one.family === 'inet').map((one) => [one.interface, one.forwarding === true]),
    ),
  };
}

function toLink(link: IpAddress): Link {
  const data = link.linkinfo?.info_data;
  const isTap = link.linkinfo?.info_kind === 'tun';
  return {
    name: link.ifname,
    kind: link.linkinfo?.info_kind,
    mac: link.address ?? '',
    mtu: link.mtu,
    up: link.flags.includes('UP'),
    master: link.master,
    alias: link.ifalias,
    ipv4: link.addr_info.flatMap((one) =>
      one.family === 'inet' && one.scope === 'global' && one.local !== undefined
        ? [{ address: one.local, prefix: one.prefixlen ?? 32, broadcast: one.broadcast }]
        : [],
    ),
    tap: isTap ? { user: data?.user?.toString(), multiQueue: data?.multi_queue === true } : undefined,
  };
}

function toRoute(route: IpRoute): Route {
  return {
    to: route.dst,
    via: route.gateway,
    scope: route.scope,
    source: route.prefsrc,
    metric: route.metric,
    onlink: route.flags?.includes('onlink') ?? false,
    protocol: route.protocol,
    link: route.dev ?? '',
  };
}

/** Runs `ip` commands, one a line, in order; nothing is run when there are none. Stops at the first that fails. */
export async function ipBatch(sandbox: Sandbox, commands: readonly string[]): Promise<void> {
  if (commands.length === 0) return;
  await sandbox.exec(['ip', '-batch', '-'], { in: 'net', stdin: `${commands.join('\n')}\n` });
}

/** Waits for all of them; then throws what the first to fail failed with. Nothing is left running behind a failed step. */
export async function allDone(acts: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(acts)).find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
}
