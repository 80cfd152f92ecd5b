// IPv4 addresses and networks, as numbers and as text.

export interface Ipv4Network {
  /** First address, as an unsigned number. */
  readonly base: number;
  readonly prefix: number;
}

/** The address as an unsigned number; undefined if `text` is none. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** 255.255.255.0 of 24. */
export function netmask(prefix: number): string {
  return formatIpv4(maskOf(prefix));
}

/** The network that `text` (10.0.2.0/24, 10.0.2.7/24) stands for; undefined if it stands for none. */
export function parseNetwork(text: string): Ipv4Network | undefined {
  const [address = '', bits = '', ...rest] = text.split('/');
  const value = parseIpv4(address);
  if (value === undefined || rest.length > 0 || !/^\d{1,2}$/.test(bits) || Number(bits) > 32) return undefined;
  const prefix = Number(bits);
  return { base: (value & maskOf(prefix)) >>> 0, prefix };
}

/** The address `index` places into the network: 1 is 10.0.2.1 in 10.0.2.0/24. */
export function hostAt(network: Ipv4Network, index: number): string {
  return formatIpv4(network.base + index);
}

export function overlaps(a: Ipv4Network, b: Ipv4Network): boolean {
  const mask = maskOf(Math.min(a.prefix, b.prefix));
  return (a.base & mask) === (b.base & mask);
}

export function contains(network: Ipv4Network, address: string): boolean {
  const value = parseIpv4(address);
  return value !== undefined && overlaps(network, { base: value, prefix: 32 });
}

function maskOf(prefix: number): number {
  return prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
}
