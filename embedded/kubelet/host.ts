// What the kubelet's parts share: this node's facts and the ways to reach runtime, network, images and API.
import { readFile, stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { ImageStore } from '../images/store.ts';
import type { PodNetwork } from './cni.ts';
import type { Exits } from './exits.ts';
import type { Layout } from './layout.ts';
import type { ConfigLookup } from './lookup.ts';
import type { DeviceNode } from './oci-config.ts';
import type { Pod, PodStatus } from './pod-types.ts';
import type { Runtime } from './runtime.ts';

export interface NodeFacts {
  name: string;
  ip: string;
  capacity: Record<string, string>;
  /** Extended resource name -> device nodes that a container which asks for it gets. */
  devices: Map<string, DeviceNode[]>;
  /** This process's bounding set: what containers can be given at most. */
  capabilities: bigint;
  cgroup2: boolean;
  /** Name of the cgroup below which all pods of this instance live, in every hierarchy. */
  cgroup: string;
}

/** Everything a pod's worker needs from around it; the API is behind the three functions. */
export interface Host {
  layout: Layout;
  runtime: Runtime;
  exits: Exits;
  network: PodNetwork;
  images: ImageStore;
  lookup: ConfigLookup;
  node: NodeFacts;
  log: Logger;
  event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Rejects when the API cannot be reached; resolves when written, or when the pod is no more. */
  writeStatus(pod: Pod, status: PodStatus): Promise<void>;
  /** Tells the API that the node has nothing left of a pod that is being deleted. */
  confirmDeleted(pod: Pod): Promise<void>;
}

export async function boundingCapabilities(): Promise<bigint> {
  const text = await readFile('/proc/self/status', 'utf8');
  return BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(text)?.[1] ?? '0'}`);
}

export async function usesCgroup2(): Promise<boolean> {
  return await stat('/sys/fs/cgroup/cgroup.controllers').then(
    () => true,
    () => false,
  );
}

/** A character device's numbers; undefined when this machine has none of that name. */
export async function deviceNode(path: string): Promise<DeviceNode | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isCharacterDevice()) return undefined;
  return { path, major: (found.rdev >> 8) & 0xfff, minor: (found.rdev & 0xff) | ((found.rdev >> 12) & 0xfff00) };
}
