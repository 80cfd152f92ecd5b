// Kubernetes quantities as numbers and back.

/** The text of a quantity, as Kubernetes' own schemas have it. */
export const QUANTITY_PATTERN =
  '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$';

const FORM = /^([+-]?(?:\d+\.?\d*|\.\d+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$/;
const UNITS: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};
export const MIB = 2 ** 20;
/** Past this a number of bytes is no longer exact. */
export const MEMORY_END = 2 ** 53;

/** The number that a quantity means; undefined for anything that is not a quantity. */
export function quantity(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const parts = FORM.exec(value);
  if (!parts) return undefined;
  const suffix = parts[2];
  if (suffix === undefined) return Number(parts[1]);
  const unit = UNITS[suffix];
  return unit === undefined ? Number(parts[1] + suffix) : Number(parts[1]) * unit;
}

/** Thousandths, rounded up as Kubernetes does. 1e-9 is what floating point may be off by. */
export function millis(value: unknown): number | undefined {
  const number = quantity(value);
  return number === undefined ? undefined : Math.ceil(number * 1000 - 1e-9);
}

/** Bytes as a quantity in the largest binary unit, up to Mi, that says them exactly. */
export function bytesText(bytes: number): string {
  if (bytes % MIB === 0) return `${bytes / MIB}Mi`;
  return bytes % 1024 === 0 ? `${bytes / 1024}Ki` : String(bytes);
}

/** Thousandths as a quantity of CPUs. */
export function cpuText(thousandths: number): string {
  return thousandths % 1000 === 0 ? String(thousandths / 1000) : `${thousandths}m`;
}
