// The DHCP server of one guest NIC: a dnsmasq on the in-pod bridge that knows one lease and nothing else.
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { Sandbox } from '../steps.ts';
import { netmask, parseIpv4 } from './ipv4.ts';
import { isLinkName } from './names.ts';
import type { Resolver } from './resolv.ts';

const START_TRIES = 5;

/** KubeVirt's dhcpOptions. */
export interface DhcpOptions {
  bootFileName?: string;
  tftpServerName?: string;
  /** IPv4 addresses. */
  ntpServers?: string[];
  /** Options 224 to 254, sent as text. */
  privateOptions?: { option: number; value: string }[];
}

export interface Lease {
  /** The in-pod bridge. */
  readonly link: string;
  readonly address: string;
  readonly prefix: number;
  /** The one client that is served; undefined where only the guest can ask. */
  readonly mac: string | undefined;
  readonly gateway: string | undefined;
  /** Further routes, as destination and gateway (0.0.0.0: on the link). Clients that get any ignore `gateway`. */
  readonly routes: readonly (readonly [to: string, via: string])[];
  readonly mtu: number;
  readonly hostname: string | undefined;
  readonly resolver: Resolver;
  readonly options: DhcpOptions;
}

/** The server's command line. Values have been checked: by admission (options), by the kernel (addresses). */
export function dhcpArgv(lease: Lease): string[] {
  const { address, link, mac } = lease;
  const mask = netmask(lease.prefix);
  return [
    'dnsmasq',
    '--conf-file=/dev/null',
    '--port=0',
    '--no-hosts',
    '--no-resolv',
    `--interface=${link}`,
    '--except-interface=lo',
    // Binds the socket to the bridge: what comes in by the pod's own interface never reaches it.
    '--bind-interfaces',
    // Nobody else can have the address, so there is nothing to ping for; asking takes seconds.
    '--no-ping',
    '--leasefile-ro',
    '--pid-file=',
    '--log-facility=/dev/null',
    '--user=nobody',
    // A guest keeps its address over a restart of the server, and over PXE's change of client id.
    '--dhcp-authoritative',
    '--dhcp-ignore-clid',
    '--dhcp-lease-max=1',
    ...(mac === undefined
      ? [`--dhcp-range=${address},${address},${mask},infinite`]
      : [
          `--dhcp-range=${address},static,${mask},infinite`,
          `--dhcp-host=${mac},${address},infinite`,
          '--dhcp-ignore=tag:!known',
        ]),
    // The bridge itself may stand outside of the guest's network.
    `--shared-network=${link},${address}`,
    ...options(lease).map((option) => `--dhcp-option=${option}`),
  ];
}

function options(lease: Lease): string[] {
  const { nameservers, search } = lease.resolver;
  const { bootFileName, tftpServerName, ntpServers = [], privateOptions = [] } = lease.options;
  const list = (name: string, values: readonly string[]) => (values.length > 0 ? [`${name},${values.join(',')}`] : []);
  return [
    // Without a value: no such option, also not dnsmasq's own idea of it.
    lease.gateway === undefined ? 'option:router' : `option:router,${lease.gateway}`,
    `option:mtu,${lease.mtu}`,
    ...(lease.hostname ? [`12,${lease.hostname}`] : []),
    ...list('option:classless-static-route', lease.routes.flat()),
    ...list('option:dns-server', nameservers),
    ...list('option:domain-name', search.slice(0, 1)),
    ...list('option:domain-search', search),
    ...list('option:ntp-server', ntpServers),
    ...(tftpServerName ? [`66,${tftpServerName}`] : []),
    ...(bootFileName ? [`67,${bootFileName}`] : []),
    ...privateOptions.flatMap(({ option, value }) => (value === '' ? [] : [`${option},${bytesOf(value)}`])),
  ];
}

/** Text as dnsmasq takes it for bytes, whatever the text looks like; one byte alone has to be a number. */
function bytesOf(text: string): string {
  const bytes = [...Buffer.from(text, 'utf8')];
  return bytes.length === 1 ? String(bytes[0]) : bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/**
 * Starts the server; it is bound and answers when this returns. `mayRun`: one may be there from before, which stays if
 * it is the same and goes if not.
 */
export async function startDhcp(sandbox: Sandbox, lease: Lease, mayRun: boolean): Promise<void> {
  if (!isLinkName(lease.link) || parseIpv4(lease.address) === undefined) {
    throw new Error(`no DHCP server can be made for ${lease.address} on ${lease.link}`);
  }
  const argv = dhcpArgv(lease);
  if (mayRun) {
    const pids = await serversOn(sandbox, lease.link);
    const [pid] = pids;
    if (pids.length === 1 && pid !== undefined && (await argvOf(pid)) === argv.join('\0')) return;
    await end(pids);
  }
  for (let tries = 1; ; tries++) {
    try {
      await sandbox.exec(argv, { in: 'daemon' });
      return;
    } catch (error) {
      // dnsmasq looks at every interface at its start, and gives up when one of another NIC is renamed meanwhile.
      if (tries === START_TRIES || !messageOf(error).includes('failed to find list of interfaces')) throw error;
    }
  }
}

/** Stops the server on this bridge, if there is one. */
export async function stopDhcp(sandbox: Sandbox, link: string): Promise<void> {
  await end(await serversOn(sandbox, link));
}

/** Host process ids of the DHCP servers bound to this link of the pod. */
async function serversOn(sandbox: Sandbox, link: string): Promise<number[]> {
  const { stdout } = await sandbox.exec(['ss', '-Hulnp', 'sport = :67'], { in: 'net' });
  const pids = new Set<number>();
  for (const line of stdout.toString('utf8').split('\n')) {
    if (!line.includes(`%${link}:67 `)) continue;
    for (const [, pid] of line.matchAll(/\("dnsmasq",pid=(\d+),/g)) pids.add(Number(pid));
  }
  return [...pids];
}

async function argvOf(pid: number): Promise<string | undefined> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replace(/\0$/, '');
  } catch {
    return undefined;
  }
}

async function end(pids: readonly number[]): Promise<void> {
  for (const pid of pids) kill(pid, 'SIGTERM');
  const deadline = Date.now() + 2_000;
  for (const pid of pids) {
    // A zombie has no command line; reaping it is its parent's business.
    while (await argvOf(pid)) {
      if (Date.now() > deadline) {
        kill(pid, 'SIGKILL');
        break;
      }
      await pause(5);
    }
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
