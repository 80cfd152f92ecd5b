// A VMI that runs, as a manifest that could be rendered: for comparing and explaining.
import { isNotFound, KubeClient } from '../core/kube/client.ts';
import type { KubeObject } from '../core/kube/objects.ts';
import type { Vmi } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { Exit, REFUSED } from './exit.ts';

/** Paths in the pod hold the VMI's uid, which only the API server gives. */
export const NO_UID = '00000000-0000-0000-0000-000000000000';
/** What the cluster notes down about a VMI, and nobody asked for. */
const NOTES = /^(kubevirt\.io\/(vm-generation|nodeName)$|virtloom\.io\/)/;

export async function runningVmi(
  name: string,
  { kubeconfig, namespace }: { readonly kubeconfig: string; readonly namespace?: string },
): Promise<Vmi> {
  const client = KubeClient.fromKubeconfig(kubeconfig);
  try {
    return await client.get<Vmi>(VMIS, namespace ?? client.namespace ?? 'default', name);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new Exit(REFUSED, `no VM ${name} runs: start it, or give a manifest with -f`);
  } finally {
    client.close();
  }
}

/** The VMI as somebody would write it down, under the name that is given. */
export function asManifest(
  { apiVersion, kind, metadata, spec }: Vmi,
  target: { readonly name: string; readonly namespace: string },
): KubeObject {
  const own = (notes: Record<string, string> = {}): Record<string, string> =>
    Object.fromEntries(Object.entries(notes).filter(([key]) => !NOTES.test(key)));
  const { labels, annotations } = metadata;
  return {
    apiVersion,
    kind,
    metadata: { ...target, uid: NO_UID, labels: own(labels), annotations: own(annotations) },
    spec,
  } as unknown as KubeObject;
}
