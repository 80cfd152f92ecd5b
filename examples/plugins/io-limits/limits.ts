// The limits as the VMI has them, and as libvirt and nftables want them.
import { el, quantity, type Element } from 'virtloom/plugin';

const QUANTITY = { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] } as const;

const RATE = {
  type: 'object',
  additionalProperties: false,
  description: 'A steady limit, and how far and how long it may be exceeded. `total` excludes `read` and `write`.',
  properties: {
    total: QUANTITY,
    read: QUANTITY,
    write: QUANTITY,
    burst: QUANTITY,
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
  properties: { bytesPerSecond: QUANTITY, burst: QUANTITY },
} as const;

export const BANDWIDTH = {
  type: 'object',
  additionalProperties: false,
  properties: { toGuest: ONE_WAY, fromGuest: ONE_WAY },
} as const;

export type Amount = number | string;
export interface Rate {
  total?: Amount;
  read?: Amount;
  write?: Amount;
  burst?: Amount;
  burstSeconds?: number;
}
export interface IoLimits {
  bytesPerSecond?: Rate;
  operationsPerSecond?: Rate;
}
export interface OneWay {
  bytesPerSecond: Amount;
  burst?: Amount;
}
export interface Bandwidth {
  toGuest?: OneWay;
  fromGuest?: OneWay;
}

/** Whole units of `amount` (10Mi, 2500, 1k); undefined for what is no amount from 1. */
export function unitsOf(amount: Amount): number | undefined {
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
      const steady = rate?.[way];
      if (steady === undefined) continue;
      children.push(el(`${way}_${unit}_sec`, {}, String(unitsOf(steady))));
      if (rate?.burst === undefined) continue;
      children.push(el(`${way}_${unit}_sec_max`, {}, String(unitsOf(rate.burst))));
      children.push(el(`${way}_${unit}_sec_max_length`, {}, String(rate.burstSeconds ?? 1)));
    }
  }
  return el('iotune', {}, ...children);
}
