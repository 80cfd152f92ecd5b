// The fields as the pod has them.
import type { PlanDraft, PodPart, Vmi } from '../../core/index.ts';

const LABEL_MAX = 63;

/** The host name asked for, else the VMI's name up to its first dot, cut to what a DNS label may have. */
export function hostnameOf(vmi: Vmi): string {
  if (vmi.spec.hostname) return vmi.spec.hostname;
  const name = vmi.metadata.name ?? '';
  const dot = name.indexOf('.');
  const label = dot < 0 ? name : name.slice(0, dot);
  // A cut may end at a dash, which a host name may not.
  return label.length <= LABEL_MAX ? label : label.slice(0, LABEL_MAX).replace(/-+$/, '');
}

export function pod(vmi: Vmi, plan: PlanDraft): void {
  const { spec } = vmi;
  const hostname = hostnameOf(vmi);
  const part: PodPart = {
    hostname,
    subdomain: spec.subdomain || undefined,
    nodeSelector: spec.nodeSelector,
    affinity: spec.affinity,
    tolerations: spec.tolerations,
    topologySpreadConstraints: spec.topologySpreadConstraints,
    schedulerName: spec.schedulerName || undefined,
    priorityClassName: spec.priorityClassName || undefined,
    dnsPolicy: spec.dnsPolicy || undefined,
    dnsConfig: spec.dnsConfig,
  };
  // KubeVirt's old name label, which its clients still select by.
  plan.pod.merge({ metadata: { labels: { 'vm.kubevirt.io/name': hostname } }, spec: part });
}
