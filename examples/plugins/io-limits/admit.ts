// What may be asked for: sound amounts, and no more than the operator allows, bursts and all.
import type { Cause } from 'virtloom/plugin';
import { unitsOf, type Amount, type BandwidthLimits, type IoLimits, type Rate } from './limits.ts';

export interface Ceilings {
  readonly maxBytesPerSecond?: Amount | undefined;
  readonly maxOperationsPerSecond?: Amount | undefined;
  /** Bytes a second, each way. */
  readonly maxBandwidth?: Amount | undefined;
}

/** QEMU's own limit of rates, and of what a burst may let through. */
const MOST = 1e15;
/** nftables counts a second's bytes in nanoseconds, in 64 bits. */
const MOST_BANDWIDTH = 1e10;
/** A packet on a tap has up to 64 KiB and its headers; one that is larger than the burst never passes. */
export const LEAST_BURST = 128 * 1024;
const MOST_BURST = 2 ** 32 - 1;

class Findings {
  readonly causes: Cause[] = [];

  refuse(field: string, message: string): void {
    this.causes.push({ field, reason: 'FieldValueInvalid', message: `${field} ${message}` });
  }

  /** The amount in units; undefined where there is none, or no sound one. */
  amount(field: string, amount: Amount | undefined, least = 1, most = MOST): number | undefined {
    if (amount === undefined) return undefined;
    const units = unitsOf(amount);
    if (units === undefined) this.refuse(field, `'${amount}' must be an amount from 1, such as 10Mi`);
    else if (units < least) this.refuse(field, `'${amount}' must be at least ${least}`);
    else if (units > most) this.refuse(field, `'${amount}' must be at most ${most}`);
    else return units;
    return undefined;
  }

  /** `units` of all that is asked for together. */
  ceiling(field: string, what: string, units: number, ceiling: Amount | undefined): void {
    const most = unitsOf(ceiling);
    if (most !== undefined && units > most)
      this.refuse(field, `${what} more than '${ceiling}', which is the most that the operator allows`);
  }
}

function judgeRate(found: Findings, field: string, rate: Rate, ceiling: Amount | undefined): void {
  const [total, read, write] = (['total', 'read', 'write'] as const).map((way) =>
    found.amount(`${field}.${way}`, rate[way]),
  );
  const given = [rate.total, rate.read, rate.write].filter((amount) => amount !== undefined);
  const burst = found.amount(`${field}.burst`, rate.burst);
  if (given.length === 0) return found.refuse(field, 'limits nothing: it has neither total nor read nor write');
  if (rate.total !== undefined && given.length > 1)
    return found.refuse(field, 'has total beside read or write: give one or the other');

  if (rate.total !== undefined) found.ceiling(`${field}.total`, `'${rate.total}' is`, total ?? 0, ceiling);
  else if (given.length === 2) found.ceiling(field, 'read and write together are', (read ?? 0) + (write ?? 0), ceiling);
  else if (ceiling !== undefined)
    found.refuse(field, `needs both read and write: together they must stay within the operator's '${ceiling}'`);

  if (rate.burst === undefined) {
    if (rate.burstSeconds !== undefined)
      found.refuse(`${field}.burstSeconds`, 'says how long a burst may be, and there is no burst');
  } else if (burst !== undefined) {
    const what = `'${rate.burst}'`;
    if (burst < Math.max(total ?? 0, read ?? 0, write ?? 0))
      found.refuse(`${field}.burst`, `${what} is less than the steady limit`);
    if (burst * (rate.burstSeconds ?? 1) > MOST)
      found.refuse(`${field}.burst`, `${what} is too much for ${rate.burstSeconds} seconds`);
    const each = given.length > 1 ? `${what}, for reads and for writes, is` : `${what} is`;
    found.ceiling(`${field}.burst`, each, burst * given.length, ceiling);
  }
}

export function judgeDisk(field: string, limits: IoLimits, ceilings: Ceilings): Cause[] {
  const found = new Findings();
  const { bytesPerSecond, operationsPerSecond } = limits;
  if (bytesPerSecond) judgeRate(found, `${field}.bytesPerSecond`, bytesPerSecond, ceilings.maxBytesPerSecond);
  if (operationsPerSecond)
    judgeRate(found, `${field}.operationsPerSecond`, operationsPerSecond, ceilings.maxOperationsPerSecond);
  return found.causes;
}

export function judgeInterface(field: string, limits: BandwidthLimits, { maxBandwidth }: Ceilings): Cause[] {
  const found = new Findings();
  for (const way of ['toGuest', 'fromGuest'] as const) {
    const { bytesPerSecond, burst } = limits[way] ?? {};
    const at = `${field}.${way}`;
    const rate = found.amount(`${at}.bytesPerSecond`, bytesPerSecond, 1, MOST_BANDWIDTH);
    found.ceiling(`${at}.bytesPerSecond`, `'${bytesPerSecond}' is`, rate ?? 0, maxBandwidth);
    const bytes = found.amount(`${at}.burst`, burst, LEAST_BURST, MOST_BURST);
    if (bytes !== undefined && bytes > LEAST_BURST) found.ceiling(`${at}.burst`, `'${burst}' is`, bytes, maxBandwidth);
  }
  return found.causes;
}
