// A pod status as the strategic merge patch that brings the API's copy to it, whatever others wrote beside.
import type { Pod, PodStatus } from './pod-types.ts';

export function statusPatch(pod: Pod, status: PodStatus): Record<string, unknown> {
  const { conditions = [], podIPs, ...rest } = status;
  const movedTo = podIPs?.[0]?.ip;
  const moved = pod.status?.podIPs?.some(({ ip }) => ip !== movedTo) ?? false;
  return {
    // Kubernetes refuses a patch that would change the UID: it never hits a later pod of the same name.
    metadata: { uid: pod.metadata.uid },
    status: {
      ...rest,
      ...(podIPs && { podIPs: moved ? [...podIPs, { $patch: 'replace' }] : podIPs }),
      // Conditions are merged by type, field by field: what a condition no longer says must be taken out by name.
      conditions: conditions.map((c) => ({ ...c, reason: c.reason ?? null, message: c.message ?? null })),
    },
  };
}
