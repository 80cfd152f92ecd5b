// What a run strategy asks for next: a pure decision on the VM, its VMI and the requests that wait.
import { isFinal, type Vmi } from '../../core/index.ts';
import { runStrategyOf, type StartFailure, type StateChangeRequest, type VirtualMachine } from './kind.ts';

export type Decision =
  | { do: 'nothing' }
  | { do: 'start' }
  | { do: 'stop'; /** Start again once it is gone. */ again: boolean }
  | { do: 'wait'; afterMs: number };

const NOTHING: Decision = { do: 'nothing' };

export function decide(vm: VirtualMachine, vmi: Vmi | undefined, now: Date): Decision {
  const [request] = vm.status?.stateChangeRequests ?? [];
  const asksStart = request?.action === 'Start';
  const asksStop = request?.action === 'Stop' && vmi !== undefined && request.uid === vmi.metadata.uid;
  const phase = vmi?.status?.phase;
  const stop = (again = false): Decision =>
    vmi?.metadata.deletionTimestamp === undefined ? { do: 'stop', again } : NOTHING;

  switch (runStrategyOf(vm)) {
    case 'Always':
      if (vmi) return asksStop || isFinal(phase) ? stop() : NOTHING;
      return startOrWait(vm, now);
    case 'RerunOnFailure': {
      if (vmi) return asksStop || isFinal(phase) ? stop(phase === 'Failed' && !asksStop) : NOTHING;
      // The very first start, or the first after a change of strategy, needs no request.
      return asksStart || vm.status?.runStrategy !== 'RerunOnFailure' ? startOrWait(vm, now) : NOTHING;
    }
    case 'Manual':
      if (vmi) return asksStop ? stop() : NOTHING;
      return asksStart ? { do: 'start' } : NOTHING;
    case 'Once':
      // Its VMI stays, to show how it ended.
      return vmi ? NOTHING : { do: 'start' };
    case 'Halted':
      return vmi ? stop() : NOTHING;
  }
}

function startOrWait(vm: VirtualMachine, now: Date): Decision {
  const retryAfter = vm.status?.startFailure?.retryAfterTimestamp;
  const left = retryAfter === undefined ? 0 : Date.parse(retryAfter) - now.getTime();
  return left > 0 ? { do: 'wait', afterMs: left } : { do: 'start' };
}

/** The requests that still wait: a Start is met by a VMI, a Stop by the absence of the one it names. */
export function remaining(requests: readonly StateChangeRequest[], vmi: Vmi | undefined): StateChangeRequest[] {
  const [first, ...rest] = requests;
  if (!first) return [];
  const met = first.action === 'Start' ? vmi !== undefined : first.uid !== vmi?.metadata.uid;
  return met ? remaining(rest, vmi) : [...requests];
}

const MAX_DELAY_S = 300;
const FIRST_DELAY_S = 10;

/**
 * Counts starts that never came to run: 10 s times the square of the failures in a row, with up to half again of jitter,
 * at most 5 minutes. A VMI that ran clears the count.
 */
export function startFailure(
  vm: VirtualMachine,
  vmi: Vmi | undefined,
  now: Date,
  random: () => number,
): StartFailure | undefined {
  const before = vm.status?.startFailure;
  const ran = vmi?.status?.phaseTransitionTimestamps?.some((one) => one.phase === 'Running') ?? false;
  if (ran || !['Always', 'RerunOnFailure', 'Once'].includes(runStrategyOf(vm))) return undefined;
  const uid = vmi?.metadata.uid;
  if (!vmi || uid === undefined || !isFinal(vmi.status?.phase) || before?.lastFailedVMIUID === uid) return before;
  const count = (before?.consecutiveFailCount ?? 0) + 1;
  const delay = Math.min(MAX_DELAY_S, FIRST_DELAY_S * count ** 2 * (1 + random() / 2));
  return {
    consecutiveFailCount: count,
    lastFailedVMIUID: uid,
    retryAfterTimestamp: `${new Date(now.getTime() + delay * 1000).toISOString().slice(0, 19)}Z`,
  };
}
