// Resource quantities of pods ("500m", "1Gi") as numbers that can be added up.
import { quantity as parse } from '../../core/kube/quantity.ts';

/** The value in base units (bytes, cores, pieces), 0 for none; NaN for what is no quantity. */
export function quantity(text: string | number | undefined): number {
  return text === undefined ? 0 : (parse(text) ?? Number.NaN);
}

/** Thousandths, rounded up: the unit in which CPU is added up without float drift. */
export function milli(text: string | number | undefined): number {
  return Math.ceil(Math.round(quantity(text) * 1e6) / 1e3);
}

/** Whole base units, rounded up. */
export function units(text: string | number | undefined): number {
  return Math.ceil(quantity(text));
}
