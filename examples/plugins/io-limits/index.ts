// Limits of disks' I/O by libvirt's iotune, and of interfaces' bandwidth by nftables on the tap.
import { definePlugin, type Json } from 'virtloom/plugin';
import { judgeDisk, judgeInterface } from './admit.ts';
import { BANDWIDTH, IO_LIMITS, iotune, unitsOf, type Amount, type OneWay } from './limits.ts';

const AMOUNT = { anyOf: [{ type: 'integer' }, { type: 'string' }] } as const;

// A line of its own: TypeScript leaves an import within `export default` as it is when it builds.
const actions = () => import('./actions.ts');

export default definePlugin({
  name: 'io-limits',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'limits of disks’ I/O and of interfaces’ bandwidth, with ceilings and defaults of the operator',
  requires: ['disks', 'interfaces'],
  options: {
    type: 'object',
    additionalProperties: false,
    properties: {
      // A disk that asks for more is refused, and one that asks for nothing gets this.
      maxBytesPerSecond: AMOUNT,
      maxOperationsPerSecond: AMOUNT,
    },
  },
  writes: { domain: ['devices/disk/iotune'] },
  api: [
    { path: 'spec.domain.devices.disks[].ioLimits', schema: IO_LIMITS },
    { path: 'spec.domain.devices.interfaces[].bandwidth', schema: BANDWIDTH },
  ],
  actions,
  setup: (_, ceilings) => ({
    admit({ vmi, at }) {
      const { disks = [], interfaces = [] } = vmi?.spec.domain.devices ?? {};
      const path = at('spec.domain.devices');
      return [
        ...disks.flatMap(({ ioLimits }, index) =>
          ioLimits ? judgeDisk(`${path}.disks[${index}].ioLimits`, ioLimits, ceilings) : [],
        ),
        ...interfaces.flatMap(({ bandwidth }, index) =>
          bandwidth ? judgeInterface(`${path}.interfaces[${index}].bandwidth`, bandwidth) : [],
        ),
      ];
    },

    prepareDomain({ vmi, nics }, plan) {
      const { disks = [], interfaces = [] } = vmi.spec.domain.devices ?? {};
      for (const { name, ioLimits } of disks) {
        const limits = withDefaults(ioLimits ?? {}, ceilings);
        if (limits) plan.domain.find(`disk:${name}`)?.merge(iotune(limits));
      }
      for (const { name, bandwidth } of interfaces) {
        if (!bandwidth) continue;
        const nic = nics.find((one) => one.name === name);
        const tap = nic?.interface?.children.find(({ tag }) => tag === 'target')?.attrs['dev'];
        if (tap === undefined) throw new Error(`interface ${name} has a bandwidth, and no tap that could be limited`);
        const { toGuest, fromGuest } = bandwidth;
        plan.step({
          id: `bandwidth-${name}`,
          action: 'limit',
          args: { tap, toGuest: argsOf(toGuest), fromGuest: argsOf(fromGuest) },
        });
      }
    },
  }),
});

interface Ceilings {
  readonly maxBytesPerSecond?: Amount;
  readonly maxOperationsPerSecond?: Amount;
}

/** What the disk asks for, and the operator's ceilings where it asks for nothing. Undefined: no limit at all. */
function withDefaults<T extends { bytesPerSecond?: object; operationsPerSecond?: object }>(
  limits: T,
  ceilings: Ceilings,
) {
  const { maxBytesPerSecond, maxOperationsPerSecond } = ceilings;
  const all = {
    ...(maxBytesPerSecond === undefined ? {} : { bytesPerSecond: { total: maxBytesPerSecond } }),
    ...(maxOperationsPerSecond === undefined ? {} : { operationsPerSecond: { total: maxOperationsPerSecond } }),
    ...limits,
  };
  return Object.keys(all).length > 0 ? all : undefined;
}

/** Bytes a second, and bytes of a burst: a tenth of a second's unless told, and room for a few large packets. */
function argsOf(way: OneWay | undefined): Json {
  if (!way) return null;
  const rate = unitsOf(way.bytesPerSecond) ?? 1;
  return { rate, burst: way.burst === undefined ? Math.max(rate / 10, 128 * 1024) : (unitsOf(way.burst) ?? rate) };
}
