// The launcher pod itself: one unprivileged container, its scratch volumes, labels and annotations.
import { createHash } from 'node:crypto';
import type { Facts, PlanDraft, Vmi } from '../../core/index.ts';
import { DEFAULT_ARCHITECTURE } from './firmware.ts';

/** The user that QEMU and libvirtd run as, KubeVirt's number. */
export const LAUNCHER_USER = 107;

const DEFAULT_GRACE_SECONDS = 30;
/** The agent ends the guest at the VMI's own grace period; the kubelet's kill comes after that. */
const GRACE_PADDING_SECONDS = 30;
const LABEL_MAX = 63;
/** Said of the pod by whoever sets its host name, whatever the VMI's says. */
const HOST_NAME_LABEL = 'vm.kubevirt.io/name';
/** The pod's ledger in bytes. */
export const OVERHEAD_ANNOTATION = 'kubevirt.io/memory-overhead-bytes';

/** Where what the launcher writes lives, by the volume's name; all of it ends with the pod. */
const SCRATCH = {
  private: '/var/run/kubevirt-private',
  public: '/var/run/kubevirt',
  'ephemeral-disks': '/var/run/kubevirt-ephemeral-disks',
  'libvirt-runtime': '/var/run/libvirt',
  tmp: '/tmp',
} as const;

/** The VMI's name as a label can carry it: past 63 characters cut and told apart by a hash, as KubeVirt does. */
export function instanceId(name: string): string {
  if (name.length <= LABEL_MAX) return name;
  const hash = createHash('sha1').update(name).digest('hex').slice(0, 8);
  return `${name.slice(0, LABEL_MAX - 9)}-${hash}`;
}

function labels(vmi: Vmi): Record<string, string> {
  const out: Record<string, string> = { ...vmi.metadata.labels };
  delete out[HOST_NAME_LABEL];
  out['kubevirt.io'] = 'virt-launcher';
  out['kubevirt.io/created-by'] = vmi.metadata.uid ?? '';
  out['vmi.kubevirt.io/id'] = instanceId(vmi.metadata.name ?? '');
  return out;
}

function annotations(vmi: Vmi): Record<string, string> {
  const out: Record<string, string> = {};
  const given = vmi.metadata.annotations;
  for (const key in given) {
    // What kubectl and the platform note down about the VMI says nothing about the pod.
    const isNote = key === OVERHEAD_ANNOTATION || /^(kubectl\.kubernetes|virtloom)\.io\//.test(key);
    if (!isNote) out[key] = given[key] as string;
  }
  out['kubevirt.io/domain'] = vmi.metadata.name ?? '';
  out['kubectl.kubernetes.io/default-container'] = 'compute';
  return out;
}

/** What of the pod this plugin writes, here and by its resources. */
export const POD_WRITES = [
  'metadata.labels',
  'metadata.annotations',
  'spec.automountServiceAccountToken',
  'spec.containers[compute]',
  'spec.enableServiceLinks',
  'spec.nodeSelector',
  'spec.restartPolicy',
  'spec.securityContext',
  'spec.terminationGracePeriodSeconds',
  'spec.volumes',
];

export function pod(vmi: Vmi, facts: Facts, plan: PlanDraft): void {
  const scratch = Object.entries(SCRATCH);
  const grace = vmi.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
  plan.pod.merge({
    metadata: { labels: labels(vmi), annotations: annotations(vmi) },
    spec: {
      containers: [
        {
          name: 'compute',
          image: facts.cluster.launcherImage,
          imagePullPolicy: 'IfNotPresent',
          env: [{ name: 'VMI_UID', value: vmi.metadata.uid ?? '' }],
          securityContext: {
            runAsUser: LAUNCHER_USER,
            runAsGroup: LAUNCHER_USER,
            runAsNonRoot: true,
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: scratch.map(([name, mountPath]) => ({ name, mountPath })),
          terminationMessagePolicy: 'FallbackToLogsOnError',
        },
      ],
      volumes: scratch.map(([name]) => ({ name, emptyDir: {} })),
      securityContext: {
        runAsUser: LAUNCHER_USER,
        runAsGroup: LAUNCHER_USER,
        runAsNonRoot: true,
        fsGroup: LAUNCHER_USER,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      nodeSelector: {
        'kubevirt.io/schedulable': 'true',
        'kubernetes.io/arch': vmi.spec.architecture || DEFAULT_ARCHITECTURE,
      },
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: grace + GRACE_PADDING_SECONDS,
      enableServiceLinks: false,
      automountServiceAccountToken: false,
    },
  });
}
