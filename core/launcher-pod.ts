// What the VMI reconciler reads off a launcher pod.
import type { KubeObject } from './kube/objects.ts';
import type { Condition } from './types.ts';

export interface ContainerStatus {
  readonly name: string;
  readonly image?: string;
  readonly ready?: boolean;
  readonly containerID?: string;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly terminated?: {
      readonly exitCode?: number;
      readonly reason?: string;
      readonly message?: string;
      readonly finishedAt?: string;
    };
  };
}

export interface Pod extends KubeObject {
  spec?: { readonly nodeName?: string };
  status?: {
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly conditions?: readonly Condition[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly qosClass?: string;
  };
}

export const LAUNCHER_LABELS = { app: 'kubevirt.io', launcher: 'virt-launcher' } as const;

export function isOver(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** All its containers run and are ready. */
export function isUp(pod: Pod): boolean {
  const containers = pod.status?.containerStatuses ?? [];
  return (
    pod.status?.phase === 'Running' &&
    containers.length > 0 &&
    containers.every((container) => container.ready === true)
  );
}

/** The pod's own word on why it cannot be scheduled. */
export function unschedulable(pod: Pod): Condition | undefined {
  return pod.status?.conditions?.find(
    (one) => one.type === 'PodScheduled' && one.status === 'False' && one.reason === 'Unschedulable',
  );
}

const TROUBLE = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'ErrImageNeverPull',
  'InvalidImageName',
  'CreateContainerConfigError',
  'CreateContainerError',
  'CrashLoopBackOff',
  'RunContainerError',
]);

/** Why a container (or an image volume) of the pod does not come up, if it says so. */
export function trouble(pod: Pod): { reason: string; message: string } | undefined {
  const containers = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const { name, state } of containers) {
    const reason = state?.waiting?.reason;
    if (reason !== undefined && TROUBLE.has(reason)) {
      return { reason, message: `container ${name}: ${state?.waiting?.message ?? reason}` };
    }
  }
  return undefined;
}
