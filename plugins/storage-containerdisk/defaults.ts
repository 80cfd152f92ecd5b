// The pull policy of a container disk that names none: Kubernetes' own rule.
import type { DefaultInput, Patch } from '../../core/index.ts';

/** Always for :latest and for images without tag and digest, since these change; else IfNotPresent. */
export function pullPolicyOf(image: string): 'Always' | 'IfNotPresent' {
  if (image.includes('@')) return 'IfNotPresent';
  // A colon before the last slash is a registry's port.
  const tag = image.slice(image.lastIndexOf('/') + 1).split(':')[1];
  return tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent';
}

/** Templates stay as their authors wrote them. */
export function defaultPullPolicies(input: DefaultInput): Patch[] {
  if (input.vmi === undefined || input.kind !== input.vmi.kind) return [];
  const patches: Patch[] = [];
  (input.vmi.spec.volumes ?? []).forEach((volume, index) => {
    const source = volume.containerDisk;
    if (typeof source?.image !== 'string' || source.imagePullPolicy) return;
    patches.push({
      path: ['spec', 'volumes', index, 'containerDisk', 'imagePullPolicy'],
      value: pullPolicyOf(source.image),
      why: `default for ${source.image}`,
    });
  });
  return patches;
}
