// Reads Kubernetes resource quantities ("500m", "1Gi") as numbers.

const SUFFIX: Record<string, number> = {
  '': 1,
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

/** The value in base units (bytes, cores, pieces); NaN for what is no quantity. */
export function quantity(text: string | number | undefined): number {
  if (text === undefined) return 0;
  const match = /^([+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[+-]?[0-9]+\.)([a-zA-Z]*)$/.exec(String(text));
  const factor = match ? SUFFIX[match[2] ?? ''] : undefined;
  return match && factor !== undefined ? Number(match[1]) * factor : Number.NaN;
}

/** Thousandths, rounded up: the unit in which CPU is added up without float drift. */
export function milli(text: string | number | undefined): number {
  return Math.ceil(Math.round(quantity(text) * 1e6) / 1e3);
}

/** Whole base units, rounded up. */
export function units(text: string | number | undefined): number {
  return Math.ceil(quantity(text));
}
