// Puts together what this machine offers to pods: directories, runtime, network, images, devices.
import { statfs, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Logger } from 'pino';
import type { HostImage } from '../images/image.ts';
import { ImageStore } from '../images/store.ts';
import { PodNetwork } from './cni.ts';
import { Exits } from './exits.ts';
import { ensureDir } from './files.ts';
import { boundingCapabilities, deviceNode, usesCgroup2 } from './host.ts';
import type { Host, NodeFacts } from './host.ts';
import { Layout } from './layout.ts';
import type { DeviceNode } from './oci-config.ts';
import { Runtime } from './runtime.ts';

export interface MachineOptions {
  nodeName: string;
  nodeIP: string;
  stateDir: string;
  /** Default 10.88.0.0/16. */
  podCIDR?: string;
  /** Default vl0; two instances on one machine need two (and two subnets). */
  bridgeName?: string;
  hostImages?: Record<string, HostImage>;
  insecureRegistries?: readonly string[];
  /** True when this machine's KVM really runs guests; finding out is the caller's part. */
  kvm: boolean;
  log: Logger;
}

export type Machine = Omit<Host, 'lookup' | 'event' | 'writeStatus' | 'confirmDeleted'>;

export const DEFAULT_CIDR = '10.88.0.0/16';
export const DEFAULT_BRIDGE = 'vl0';
/** How many containers of a node may ask for a device that all can share. */
const SHARES = '1000';

export async function prepareMachine(options: MachineOptions): Promise<Machine> {
  const { stateDir, podCIDR = DEFAULT_CIDR, bridgeName = DEFAULT_BRIDGE, log } = options;
  const cgroup = `virtloom-${bridgeName}`;
  const layout = new Layout(stateDir);
  if (/[:,\\\s]/.test(layout.root)) {
    // These separate options of an overlay mount and parts of an image name.
    throw new Error(`state directory ${layout.root}: choose a path without ":", ",", "\\" and blanks`);
  }
  await ensureDir(layout.root);
  await ensureDir(layout.pods);
  await writeFile(path.join(layout.root, 'machine.json'), JSON.stringify({ podCIDR, bridgeName, cgroup }));
  const runtime = new Runtime(layout);
  const network = new PodNetwork({ dir: layout.cni, bridgeName, podCIDR });
  const { hostImages = {}, insecureRegistries = [] } = options;
  const images = new ImageStore({ dir: layout.images, hostImages, insecureRegistries });
  const [node] = await Promise.all([
    nodeFacts(options, cgroup),
    runtime.prepare(),
    network.prepare(),
    images.prepare(),
  ]);
  return { layout, runtime, network, images, exits: new Exits(layout.exits), node, log };
}

async function nodeFacts(options: MachineOptions, cgroup: string): Promise<NodeFacts> {
  const wanted: Record<string, string[]> = {
    ...(options.kvm && { 'devices.kubevirt.io/kvm': ['/dev/kvm'] }),
    'devices.kubevirt.io/tun': ['/dev/net/tun'],
    'devices.kubevirt.io/vhost-net': ['/dev/vhost-net'],
  };
  const devices = new Map<string, DeviceNode[]>();
  for (const [resource, paths] of Object.entries(wanted)) {
    const found = (await Promise.all(paths.map(deviceNode))).filter((node) => node !== undefined);
    devices.set(resource, found);
  }
  return {
    name: options.nodeName,
    ip: options.nodeIP,
    capacity: {
      cpu: String(os.availableParallelism()),
      memory: `${Math.floor(os.totalmem() / 1024)}Ki`,
      pods: '110',
      'ephemeral-storage': await diskKi(options.stateDir),
      ...Object.fromEntries([...devices.keys()].map((resource) => [resource, SHARES])),
    },
    devices,
    capabilities: await boundingCapabilities(),
    cgroup2: await usesCgroup2(),
    cgroup,
  };
}

async function diskKi(dir: string): Promise<string> {
  const { blocks, bsize } = await statfs(dir);
  return `${Math.floor((blocks * bsize) / 1024)}Ki`;
}
