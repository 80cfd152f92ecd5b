// Ends every pod of a state directory and removes every trace of them, with no API and no kubelet running.
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { removeCgroup } from './cgroup.ts';
import { PodNetwork } from './cni.ts';
import { readIfThere } from './files.ts';
import { Layout } from './layout.ts';
import { unmountBelow } from './namespaces.ts';
import { removeRemains } from './pods.ts';
import { Runtime } from './runtime.ts';

/** Idempotent. Run it in the network namespace that the kubelet ran in, after the kubelet has stopped. */
export async function removeEverything(stateDir: string): Promise<void> {
  const layout = new Layout(stateDir);
  const text = await readIfThere(path.join(layout.root, 'machine.json'));
  if (text === undefined) return;
  const { podCIDR, bridgeName, cgroup } = JSON.parse(text) as { podCIDR: string; bridgeName: string; cgroup: string };
  const runtime = new Runtime(layout);
  const network = new PodNetwork({ dir: layout.cni, bridgeName, podCIDR });
  await Promise.all((await runtime.list()).map((id) => runtime.delete(id)));
  for (const uid of await readdir(layout.pods).catch(() => [])) await removeRemains({ layout, network, cgroup }, uid);
  await unmountBelow(layout.root);
  await removeCgroup(cgroup);
  await network.remove();
  await rm(layout.root, { recursive: true, force: true });
}
