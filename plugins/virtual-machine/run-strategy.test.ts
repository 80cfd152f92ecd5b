import { describe, expect, it } from 'vitest';
import { admitFor } from '../../core/testing.ts';
import type { Vmi, VmiPhase } from '../../core/index.ts';
import plugin from './index.ts';
import type { RunStrategy, StateChangeRequest, VirtualMachine, VirtualMachineStatus } from './kind.ts';
import { printableStatus } from './printable-status.ts';
import { decide, remaining, startFailure } from './run-strategy.ts';

const NOW = new Date('2026-01-01T00:00:00Z');

function vm(runStrategy: RunStrategy, status: VirtualMachineStatus = {}): VirtualMachine {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name: 'a', namespace: 'default', uid: 'vm-1' },
    spec: { runStrategy, template: { spec: { domain: {} } } },
    status,
  };
}
function vmi(phase: VmiPhase, more: Partial<Vmi['metadata']> = {}): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'a', namespace: 'default', uid: 'vmi-1', ...more },
    spec: { domain: {} },
    status: { phase },
  };
}
const START: StateChangeRequest = { action: 'Start' };
const STOP: StateChangeRequest = { action: 'Stop', uid: 'vmi-1' };

describe('run strategy', () => {
  const cases: [string, VirtualMachine, Vmi | undefined, string][] = [
    ['Always without a VMI', vm('Always'), undefined, 'start'],
    ['Always with a running VMI', vm('Always'), vmi('Running'), 'nothing'],
    ['Always after a shutdown from within', vm('Always'), vmi('Succeeded'), 'stop'],
    ['Always after a crash', vm('Always'), vmi('Failed'), 'stop'],
    ['Always asked to restart', vm('Always', { stateChangeRequests: [STOP, START] }), vmi('Running'), 'stop'],
    [
      'Always whose VMI is already going',
      vm('Always'),
      vmi('Failed', { deletionTimestamp: '2026-01-01T00:00:00Z' }),
      'nothing',
    ],
    [
      'Always after failed starts',
      vm('Always', {
        startFailure: { consecutiveFailCount: 1, lastFailedVMIUID: 'x', retryAfterTimestamp: '2026-01-01T00:00:10Z' },
      }),
      undefined,
      'wait',
    ],
    ['Halted without a VMI', vm('Halted'), undefined, 'nothing'],
    ['Halted with a VMI', vm('Halted'), vmi('Running'), 'stop'],
    ['Manual without a request', vm('Manual'), undefined, 'nothing'],
    ['Manual asked to start', vm('Manual', { stateChangeRequests: [START] }), undefined, 'start'],
    ['Manual asked to stop', vm('Manual', { stateChangeRequests: [STOP] }), vmi('Running'), 'stop'],
    [
      'Manual asked to stop another VMI',
      vm('Manual', { stateChangeRequests: [{ action: 'Stop', uid: 'old' }] }),
      vmi('Running'),
      'nothing',
    ],
    ['Manual after a shutdown', vm('Manual'), vmi('Succeeded'), 'nothing'],
    ['RerunOnFailure at first', vm('RerunOnFailure'), undefined, 'start'],
    ['RerunOnFailure stopped', vm('RerunOnFailure', { runStrategy: 'RerunOnFailure' }), undefined, 'nothing'],
    ['RerunOnFailure after a shutdown', vm('RerunOnFailure'), vmi('Succeeded'), 'stop'],
    ['RerunOnFailure after a crash', vm('RerunOnFailure'), vmi('Failed'), 'stop again'],
    ['Once at first', vm('Once'), undefined, 'start'],
    ['Once after a shutdown', vm('Once'), vmi('Succeeded'), 'nothing'],
  ];
  it.each(cases)('%s', (_, machine, instance, expected) => {
    const decision = decide(machine, instance, NOW);
    expect(decision.do === 'stop' && decision.again ? 'stop again' : decision.do).toBe(expected);
  });

  it('keeps requests until they are met', () => {
    expect(remaining([STOP, START], vmi('Running'))).toEqual([STOP, START]);
    expect(remaining([STOP, START], undefined)).toEqual([START]);
    expect(remaining([STOP, START], vmi('Pending', { uid: 'vmi-2' }))).toEqual([]);
    expect(remaining([START], undefined)).toEqual([START]);
    // A failed VMI that is still going away does not count as the one that was asked for.
    expect(remaining([STOP, START], vmi('Failed', { deletionTimestamp: '2026-01-01T00:00:00Z' }))).toHaveLength(2);
  });

  it('waits longer after each failed start, and forgets them when one ran', () => {
    const first = startFailure(vm('Always'), vmi('Failed'), NOW, () => 0);
    expect(first).toEqual({
      consecutiveFailCount: 1,
      lastFailedVMIUID: 'vmi-1',
      retryAfterTimestamp: '2026-01-01T00:00:10Z',
    });
    const again = vm('Always', first ? { startFailure: first } : {});
    expect(startFailure(again, vmi('Failed'), NOW, () => 0)).toEqual(first);
    expect(startFailure(again, vmi('Failed', { uid: 'vmi-2' }), NOW, () => 0)?.retryAfterTimestamp).toBe(
      '2026-01-01T00:00:40Z',
    );
    const ran = vmi('Failed', { uid: 'vmi-3' });
    ran.status = {
      phase: 'Failed',
      phaseTransitionTimestamps: [{ phase: 'Running', phaseTransitionTimestamp: '2026-01-01T00:00:00Z' }],
    };
    expect(startFailure(again, ran, NOW, () => 0)).toBeUndefined();
  });
});

describe('printable status', () => {
  it.each([
    ['Stopped', vm('Halted'), undefined, false],
    ['Starting', vm('Always'), undefined, true],
    ['Starting', vm('Always'), vmi('Scheduling'), false],
    ['Running', vm('Always'), vmi('Running'), false],
    ['Stopping', vm('Halted'), vmi('Running', { deletionTimestamp: 'x' }), false],
    ['Stopped', vm('Once'), vmi('Succeeded'), false],
  ] as const)('%s', (expected, machine, instance, starting) => {
    expect(printableStatus(machine, instance, starting)).toBe(expected);
  });
});

describe('admission', () => {
  const check = async (spec: unknown) => {
    const object = { ...vm('Always'), spec } as VirtualMachine;
    const { causes } = await admitFor({ plugins: [plugin], object });
    return causes.map((cause) => `${cause.field}: ${cause.reason}: ${cause.message}`);
  };
  const template = { spec: { domain: {} } };

  it('accepts running or runStrategy', async () => {
    expect(await check({ running: false, template })).toEqual([]);
    expect(await check({ runStrategy: 'Manual', template })).toEqual([]);
  });
  it.each([
    [{ running: true, runStrategy: 'Always', template }, 'Running and RunStrategy are mutually exclusive'],
    [{ template }, 'RunStrategy must be specified'],
    [{ runStrategy: 'Sometimes', template }, 'spec.runStrategy: FieldValueInvalid: Invalid RunStrategy (Sometimes)'],
    [{ running: true }, 'spec.template: FieldValueRequired: missing virtual machine template.'],
    [{ running: true, template, instancetype: {} }, 'spec.instancetype belongs to plugin "instancetype"'],
    [
      { running: true, template: { spec: { domain: { nonsense: 1 } } } },
      'unknown field "spec.template.spec.domain.nonsense"',
    ],
  ])('refuses %j', async (spec, expected) => {
    expect((await check(spec)).join('\n')).toContain(expected);
  });
  it('warns of the deprecated field and adds its finalizer', async () => {
    const object = { ...vm('Always'), spec: { running: true, template } } as VirtualMachine;
    const verdict = await admitFor({ plugins: [plugin], object });
    expect(verdict.warnings).toEqual(['spec.running is deprecated, please use spec.runStrategy instead.']);
    expect(verdict.object.metadata.finalizers).toEqual(['kubevirt.io/virtualMachineControllerFinalize']);
  });
});
