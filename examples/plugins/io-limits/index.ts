// Limits of disks' I/O by libvirt's iotune, and of interfaces' bandwidth by nftables on the tap.
import { isDeepStrictEqual } from 'node:util';
import { definePlugin, type Patch } from 'virtloom/plugin';
import type { Limit, Way } from './actions.ts';
import { judgeDisk, judgeInterface, LEAST_BURST } from './admit.ts';
import { BANDWIDTH_LIMITS, IO_LIMITS, iotune, unitsOf, type OneWay } from './limits.ts';
import { OPTIONS, policyOf } from './policy.ts';

// A line of its own: TypeScript leaves an import within `export default` as it is when it builds.
const actions = () => import('./actions.ts');

export default definePlugin({
  name: 'io-limits',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'limits of disks’ I/O and of interfaces’ bandwidth, with ceilings and defaults of the operator',
  requires: ['disks', 'interfaces'],
  // They add disks and interfaces, which shall have limits too.
  after: ['presets', 'network-pod'],
  options: OPTIONS,
  writes: { domain: ['devices/disk/iotune'] },
  api: [
    { path: 'spec.domain.devices.disks[].ioLimits', schema: IO_LIMITS },
    { path: 'spec.domain.devices.interfaces[].bandwidthLimits', schema: BANDWIDTH_LIMITS },
  ],
  actions,
  setup(_, options) {
    const policy = policyOf(options);
    return {
      defaultPreset({ vmi, kind, operation }) {
        // A template keeps what its author wrote: the VMI made from it gets what the operator says then.
        if (!vmi || kind !== 'VirtualMachineInstance' || operation !== 'CREATE') return [];
        const { disks = [], interfaces = [] } = vmi.spec.domain.devices ?? {};
        const patch = (list: string, index: number, field: string, mine: object = {}, all: object): Patch[] => {
          const value = { ...all, ...mine };
          if (isDeepStrictEqual(value, mine)) return [];
          return [{ path: ['spec', 'domain', 'devices', list, index, field], value, why: 'io-limits of the operator' }];
        };
        return [
          ...disks.flatMap((disk, index) => patch('disks', index, 'ioLimits', disk.ioLimits, policy.ioLimits)),
          ...interfaces.flatMap((nic, index) =>
            patch('interfaces', index, 'bandwidthLimits', nic.bandwidthLimits, policy.bandwidthLimits),
          ),
        ];
      },

      admit({ vmi, oldVmi, at, operation }) {
        if (!vmi || operation === 'DELETE') return [];
        const { disks = [], interfaces = [] } = vmi.spec.domain.devices ?? {};
        const { disks: oldDisks = [], interfaces: oldInterfaces = [] } = oldVmi?.spec.domain.devices ?? {};
        const path = at('spec.domain.devices');
        // What was allowed once stays: a lower ceiling is for who asks now.
        return [
          ...disks.flatMap(({ name, ioLimits }, index) =>
            ioLimits && !isDeepStrictEqual(ioLimits, oldDisks.find((old) => old.name === name)?.ioLimits)
              ? judgeDisk(`${path}.disks[${index}].ioLimits`, ioLimits, policy.ceilings)
              : [],
          ),
          ...interfaces.flatMap(({ name, bandwidthLimits }, index) =>
            bandwidthLimits &&
            !isDeepStrictEqual(bandwidthLimits, oldInterfaces.find((old) => old.name === name)?.bandwidthLimits)
              ? judgeInterface(`${path}.interfaces[${index}].bandwidthLimits`, bandwidthLimits, policy.ceilings)
              : [],
          ),
        ];
      },

      prepareDomain({ nics, disks }, plan) {
        for (const { name, spec } of disks) {
          if (spec?.ioLimits) plan.domain.find(`disk:${name}`)?.merge(iotune(spec.ioLimits));
        }
        for (const { name, spec, interface: made } of nics) {
          const { toGuest, fromGuest } = spec.bandwidthLimits ?? {};
          if (!toGuest && !fromGuest) continue;
          const tap = made?.children.find(({ tag }) => tag === 'target')?.attrs['dev'];
          if (tap === undefined)
            throw new Error(`interface ${name} has bandwidthLimits, and no tap that could be limited`);
          const args: Limit = { tap, toGuest: wayOf(toGuest), fromGuest: wayOf(fromGuest) };
          plan.step({ id: `bandwidth-${name}`, action: 'limit', args });
        }
      },
    };
  },
});

/** Bytes a second, and bytes of a burst: a tenth of a second's unless told, and room for a few large packets. */
function wayOf(way: OneWay | undefined): Way | null {
  if (!way) return null;
  const rate = unitsOf(way.bytesPerSecond) ?? 1;
  return { rate, burst: unitsOf(way.burst) ?? Math.max(Math.ceil(rate / 10), LEAST_BURST) };
}
