// A capacity as Kubernetes writes quantities, in bytes that a disk can have.

const MIB = 1024 * 1024;
const UNITS: Record<string, number> = {
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 1024,
  Mi: MIB,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
  Pi: 1024 ** 5,
  Ei: 1024 ** 6,
};

/** Bytes of a quantity, or undefined if it is none. */
export function bytesOf(quantity: unknown): number | undefined {
  if (typeof quantity === 'number') return quantity;
  if (typeof quantity !== 'string') return undefined;
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([mkMGTPE]|[KMGTPE]i))?$/.exec(quantity);
  if (!match) return undefined;
  const [, digits, exponent, unit] = match;
  return Number(digits) * (exponent === undefined ? (UNITS[unit ?? ''] ?? 1) : 10 ** Number(exponent));
}

/** The size of the disk: the capacity rounded down to a whole MiB, as KubeVirt does. */
export function sizeOf(quantity: unknown): number {
  return Math.floor((bytesOf(quantity) ?? 0) / MIB) * MIB;
}
