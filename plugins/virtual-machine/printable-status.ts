// The one word that sums a VirtualMachine up, as `kubectl get vm` shows it.
import { conditionOf, isFinal, type Vmi } from '../../core/index.ts';
import { runStrategyOf, type VirtualMachine } from './kind.ts';

/** Order matters: several may be true at once, and the first one wins. `starting`: a VMI is on its way that nobody sees yet. */
export function printableStatus(vm: VirtualMachine, vmi: Vmi | undefined, starting: boolean): string {
  if (vm.metadata.deletionTimestamp !== undefined) return 'Terminating';
  const phase = vmi?.status?.phase ?? '';
  if (vmi && !isFinal(phase) && vmi.metadata.deletionTimestamp !== undefined) return 'Stopping';
  const conditions = vmi?.status?.conditions;
  if (vmi && phase === 'Running') {
    return conditionOf(conditions, 'Paused')?.status === 'True' ? 'Paused' : 'Running';
  }
  const scheduled = conditionOf(conditions, 'PodScheduled');
  if (scheduled?.status === 'False' && scheduled.reason === 'Unschedulable') return 'ErrorUnschedulable';
  const synced = conditionOf(conditions, 'Synchronized');
  if (synced?.status === 'False' && (synced.reason === 'ErrImagePull' || synced.reason === 'ImagePullBackOff')) {
    return synced.reason;
  }
  const onItsWay = vmi ? !isFinal(phase) && phase !== 'Unknown' : starting;
  if (onItsWay) return 'Starting';
  const failures = vm.status?.startFailure?.consecutiveFailCount ?? 0;
  const restarts = ['Always', 'RerunOnFailure', 'Once'].includes(runStrategyOf(vm));
  if ((!vmi || isFinal(phase)) && failures > 0 && restarts) return 'CrashLoopBackOff';
  if (!vmi || isFinal(phase)) return 'Stopped';
  return 'Unknown';
}
