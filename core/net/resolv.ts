// The part of resolv.conf that a DHCP server hands on.
import type { Sandbox } from '../steps.ts';
import { parseIpv4 } from './ipv4.ts';

export interface Resolver {
  /** IPv4 name servers that a guest can reach: those on loopback are left out. */
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
}

const DOMAIN = /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$/;

export function parseResolvConf(text: string): Resolver {
  const nameservers: string[] = [];
  let search: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined && isReachable(values[0])) nameservers.push(values[0]);
    // The last search or domain line wins, as in the resolver.
    if (keyword === 'search' || keyword === 'domain') search = values.map((one) => one.replace(/\.$/, ''));
  }
  return { nameservers, search: search.filter((domain) => domain.length <= 253 && DOMAIN.test(domain)) };
}

function isReachable(server: string): boolean {
  return parseIpv4(server) !== undefined && !server.startsWith('127.');
}

/** The pod's resolver; a pod without resolv.conf has none. */
export async function readResolver(sandbox: Sandbox): Promise<Resolver> {
  const text = await sandbox.readFile('/etc/resolv.conf').catch(() => '');
  return parseResolvConf(text.toString());
}
