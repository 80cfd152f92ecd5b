// The limits as the VMI and the options have them, and as libvirt wants them.
import { el, quantity, type Element, type ValueOf } from 'virtloom/plugin';

export const AMOUNT = { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] } as const;

const RATE = {
  type: 'object',
  additionalProperties: false,
  description: 'A steady limit, and how far and how long it may be exceeded. `total` excludes `read` and `write`.',
  properties: {
    total: AMOUNT,
    read: AMOUNT,
    write: AMOUNT,
    burst: AMOUNT,
    burstSeconds: { type: 'integer', minimum: 1 },
  },
} as const;

export const IO_LIMITS = {
  type: 'object',
  additionalProperties: false,
  properties: { bytesPerSecond: RATE, operationsPerSecond: RATE },
} as const;

const ONE_WAY = {
  type: 'object',
  additionalProperties: false,
  required: ['bytesPerSecond'],
  properties: {
    bytesPerSecond: AMOUNT,
    burst: { ...AMOUNT, description: 'Bytes that may come at once.' },
  },
} as const;

export const BANDWIDTH_LIMITS = {
  type: 'object',
  additionalProperties: false,
  properties: { toGuest: ONE_WAY, fromGuest: ONE_WAY },
} as const;

export type Amount = ValueOf<typeof AMOUNT>;
export type Rate = ValueOf<typeof RATE>;
export type IoLimits = ValueOf<typeof IO_LIMITS>;
export type OneWay = ValueOf<typeof ONE_WAY>;
export type BandwidthLimits = ValueOf<typeof BANDWIDTH_LIMITS>;

/** Whole units of `amount` (10Mi, 2500, 1k); undefined for what is no amount from 1. */
export function unitsOf(amount: Amount | undefined): number | undefined {
  const value = quantity(amount);
  return value !== undefined && value >= 1 ? Math.floor(value) : undefined;
}

/** libvirt's `<iotune>`. */
export function iotune(limits: IoLimits): Element {
  const children: Element[] = [];
  for (const [unit, rate] of [
    ['bytes', limits.bytesPerSecond],
    ['iops', limits.operationsPerSecond],
  ] as const) {
    for (const way of ['total', 'read', 'write'] as const) {
      if (rate?.[way] === undefined) continue;
      children.push(el(`${way}_${unit}_sec`, {}, String(unitsOf(rate[way]))));
      if (rate.burst === undefined) continue;
      children.push(el(`${way}_${unit}_sec_max`, {}, String(unitsOf(rate.burst))));
      children.push(el(`${way}_${unit}_sec_max_length`, {}, String(rate.burstSeconds ?? 1)));
    }
  }
  return el('iotune', {}, ...children);
}
