// What the VMI may ask for: sound amounts, and no more than the operator lets everyone have.
import type { Cause } from 'virtloom/plugin';
import { unitsOf, type Amount, type Bandwidth, type IoLimits, type Rate } from './limits.ts';

export interface Ceilings {
  readonly maxBytesPerSecond?: Amount;
  readonly maxOperationsPerSecond?: Amount;
}

class Findings {
  readonly causes: Cause[] = [];

  refuse(field: string, message: string): void {
    this.causes.push({ field, reason: 'FieldValueInvalid', message: `${field} ${message}` });
  }

  amount(field: string, amount: Amount | undefined, most?: Amount): number | undefined {
    if (amount === undefined) return undefined;
    const units = unitsOf(amount);
    if (units === undefined) this.refuse(field, `'${amount}' must be an amount from 1, such as 10Mi`);
    const ceiling = most === undefined ? undefined : unitsOf(most);
    if (units !== undefined && ceiling !== undefined && units > ceiling) {
      this.refuse(field, `'${amount}' is more than '${most}', which is the most that the operator allows`);
    }
    return units;
  }
}

function judgeRate(found: Findings, field: string, rate: Rate, most: Amount | undefined): void {
  const total = found.amount(`${field}.total`, rate.total, most);
  const ways = (['read', 'write'] as const).map((way) => found.amount(`${field}.${way}`, rate[way], most));
  if (rate.total !== undefined && (rate.read !== undefined || rate.write !== undefined)) {
    found.refuse(field, 'has total beside read or write: give one or the other');
  }
  const burst = found.amount(`${field}.burst`, rate.burst);
  const steady = Math.max(total ?? 0, ...ways.map((way) => way ?? 0));
  if (burst !== undefined && burst < steady)
    found.refuse(`${field}.burst`, `'${rate.burst}' is less than the steady limit`);
  if (rate.burst === undefined && rate.burstSeconds !== undefined) {
    found.refuse(`${field}.burstSeconds`, 'says how long a burst may be, and there is no burst');
  }
}

export function judgeDisk(field: string, limits: IoLimits, ceilings: Ceilings): Cause[] {
  const found = new Findings();
  const { bytesPerSecond, operationsPerSecond } = limits;
  if (bytesPerSecond) judgeRate(found, `${field}.bytesPerSecond`, bytesPerSecond, ceilings.maxBytesPerSecond);
  if (operationsPerSecond) {
    judgeRate(found, `${field}.operationsPerSecond`, operationsPerSecond, ceilings.maxOperationsPerSecond);
  }
  return found.causes;
}

export function judgeInterface(field: string, bandwidth: Bandwidth): Cause[] {
  const found = new Findings();
  for (const way of ['toGuest', 'fromGuest'] as const) {
    found.amount(`${field}.${way}.bytesPerSecond`, bandwidth[way]?.bytesPerSecond);
    found.amount(`${field}.${way}.burst`, bandwidth[way]?.burst);
  }
  return found.causes;
}
