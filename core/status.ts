// Phases and conditions: pure changes of a VMI's status.
import type { Condition, VmiPhase, VmiStatus } from './types.ts';

const FINAL: ReadonlySet<VmiPhase> = new Set<VmiPhase>(['Succeeded', 'Failed']);

export function isFinal(phase: VmiPhase | undefined): boolean {
  return phase !== undefined && FINAL.has(phase);
}

/** The status in another phase, the moment noted in phaseTransitionTimestamps. */
export function enterPhase(status: VmiStatus, phase: VmiPhase, now: Date): VmiStatus {
  if (status.phase === phase) return status;
  const entry = { phase, phaseTransitionTimestamp: seconds(now) };
  return { ...status, phase, phaseTransitionTimestamps: [...(status.phaseTransitionTimestamps ?? []), entry] };
}

/** The list with this condition; its transition time moves only when its status does. */
export function setCondition(
  conditions: readonly Condition[] | undefined,
  next: Pick<Condition, 'type' | 'status' | 'reason' | 'message'>,
  now: Date,
): Condition[] {
  const list = conditions ?? [];
  const old = list.find((one) => one.type === next.type);
  if (old && old.status === next.status && old.reason === next.reason && old.message === next.message) return [...list];
  const fresh: Condition = {
    ...next,
    lastProbeTime: null,
    lastTransitionTime: old?.status === next.status ? (old.lastTransitionTime ?? seconds(now)) : seconds(now),
  };
  return old ? list.map((one) => (one === old ? fresh : one)) : [...list, fresh];
}

export function dropCondition(conditions: readonly Condition[] | undefined, type: string): Condition[] {
  return (conditions ?? []).filter((one) => one.type !== type);
}

export function conditionOf(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((one) => one.type === type);
}

/** RFC 3339 in whole seconds, as Kubernetes' metav1.Time. */
export function seconds(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
