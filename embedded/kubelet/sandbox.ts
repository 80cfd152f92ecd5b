// One pod's sandbox: namespaces first, then the network in them; torn down in reverse.
import type { CniResult } from './cni.ts';
import { hostnameOf } from './env.ts';
import { writeEtcFiles } from './etc-files.ts';
import type { Host } from './host.ts';
import type { PodLayout } from './layout.ts';
import { createNamespaces, removeNamespaces, unmountBelow } from './namespaces.ts';
import type { Pod } from './pod-types.ts';

export interface SandboxStart {
  /** Containers can be made (not started) from here on. */
  namespaces: Promise<void>;
  network: Promise<{ ip: string; cni: CniResult }>;
}

export function startSandbox(host: Host, pod: Pod, layout: PodLayout): SandboxStart {
  const attachment = attachmentOf(pod, layout);
  const namespaces = (async () => {
    if (pod.spec.hostNetwork) throw new Error('hostNetwork is not supported on this node: remove it from the pod');
    await Promise.all([
      createNamespaces(layout, hostnameOf(pod.spec.hostname, pod.metadata.name)),
      writeEtcFiles(pod, layout, ''),
    ]);
  })();
  const network = (async () => {
    await namespaces;
    let cni: CniResult;
    try {
      cni = await host.network.add(attachment);
    } catch {
      // A lease from an attempt that a crash cut off makes ADD fail: clear it and ask once more.
      await host.network.del(attachment, undefined);
      cni = await host.network.add(attachment);
    }
    const ip = cni.ips?.[0]?.address.split('/')[0] ?? '';
    await writeEtcFiles(pod, layout, ip);
    return { ip, cni };
  })();
  // Whoever needs them awaits them; a failure before that is no unhandled one.
  namespaces.catch(() => {});
  network.catch(() => {});
  return { namespaces, network };
}

/** Idempotent: leaves neither namespace, link, lease nor mount, whatever was there. */
export async function stopSandbox(
  host: Pick<Host, 'network'>,
  pod: { metadata: Pod['metadata'] },
  layout: PodLayout,
  cni: CniResult | undefined,
): Promise<void> {
  await host.network.del(attachmentOf(pod, layout), cni);
  await removeNamespaces(layout);
  await unmountBelow(layout.root);
}

function attachmentOf(pod: { metadata: Pod['metadata'] }, layout: PodLayout) {
  return {
    containerId: pod.metadata.uid ?? '',
    netns: layout.netns,
    ifname: 'eth0',
    args: { K8S_POD_NAMESPACE: pod.metadata.namespace ?? '', K8S_POD_NAME: pod.metadata.name ?? '' },
  };
}
