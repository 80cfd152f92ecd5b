// What the operator allows and what who asks for nothing gets, from the options.
import { fail, type ValueOf } from 'virtloom/plugin';
import { judgeDisk, judgeInterface, type Ceilings } from './admit.ts';
import { AMOUNT, BANDWIDTH_LIMITS, IO_LIMITS, unitsOf, type BandwidthLimits, type IoLimits } from './limits.ts';

export const OPTIONS = {
  type: 'object',
  additionalProperties: false,
  properties: {
    maxBytesPerSecond: AMOUNT,
    maxOperationsPerSecond: AMOUNT,
    maxBandwidth: AMOUNT,
    defaultIoLimits: IO_LIMITS,
    defaultBandwidthLimits: BANDWIDTH_LIMITS,
  },
} as const;

export interface Policy {
  readonly ceilings: Ceilings;
  /** For what a disk or an interface does not say: the operator's defaults, else the ceilings. */
  readonly ioLimits: IoLimits;
  readonly bandwidthLimits: BandwidthLimits;
}

/** Throws VL_PLUGIN_OPTIONS for ceilings that are none, and for defaults above them. */
export function policyOf(options: ValueOf<typeof OPTIONS>): Policy {
  const { defaultIoLimits, defaultBandwidthLimits, ...ceilings } = options;
  const { maxBytesPerSecond, maxOperationsPerSecond, maxBandwidth } = ceilings;
  const refuse = (problem: string) => fail('VL_PLUGIN_OPTIONS', { plugin: 'io-limits', problem });
  for (const [name, ceiling] of Object.entries(ceilings)) {
    if (ceiling !== undefined && unitsOf(ceiling) === undefined)
      throw refuse(`${name} '${ceiling}' must be an amount from 1, such as 10Mi`);
  }
  const way = maxBandwidth === undefined ? undefined : { bytesPerSecond: maxBandwidth };
  const policy: Policy = {
    ceilings,
    ioLimits: {
      ...(maxBytesPerSecond === undefined ? {} : { bytesPerSecond: { total: maxBytesPerSecond } }),
      ...(maxOperationsPerSecond === undefined ? {} : { operationsPerSecond: { total: maxOperationsPerSecond } }),
      ...defaultIoLimits,
    },
    bandwidthLimits: {
      ...(way ? { toGuest: way, fromGuest: way } : {}),
      ...defaultBandwidthLimits,
    },
  };
  const [problem] = [
    ...judgeDisk('defaultIoLimits', policy.ioLimits, ceilings),
    ...judgeInterface('defaultBandwidthLimits', policy.bandwidthLimits, ceilings),
  ];
  if (problem) throw refuse(problem.message);
  return policy;
}
