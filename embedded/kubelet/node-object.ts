// Registers this machine as a Node, keeps its status true and its heartbeat lease fresh.
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isAlreadyExists, isNotFound, KubeError } from '../../core/kube/client.ts';
import type { KubeClient } from '../../core/kube/client.ts';
import { LEASES, NODES } from '../../core/kube/objects.ts';
import type { KubeObject } from '../../core/kube/objects.ts';
import type { NodeFacts } from './host.ts';
import { seconds } from './pod-status.ts';
import { run } from './process.ts';

const LEASE_NAMESPACE = 'kube-node-lease';
const HEARTBEAT_MS = 10_000;
const LEASE_SECONDS = 40;
const START_TRIES = 5;
const RETRY_MS = 200;
/** Full status, though nothing changed. */
const STATUS_MS = 300_000;
export const KUBELET_VERSION = 'v1.32.0+virtloom';

export class NodeObject {
  private readonly client: KubeClient;
  private readonly facts: NodeFacts;
  private readonly port: number;
  private readonly log: Logger;
  private readonly since = seconds(new Date());
  private uid = '';
  private timer: NodeJS.Timeout | undefined;
  private statusAt = 0;
  private beating: Promise<void> = Promise.resolve();

  constructor(client: KubeClient, facts: NodeFacts, port: number, log: Logger) {
    this.client = client;
    this.facts = facts;
    this.port = port;
    this.log = log;
  }

  /** Resolves when the node is registered and Ready. */
  async start(): Promise<void> {
    await this.insist(() => this.register());
    await this.insist(() => this.beat());
    this.timer = setInterval(() => {
      this.beating = this.beat().catch((error: unknown) => this.log.warn({ err: error }, 'heartbeat failed'));
    }, HEARTBEAT_MS);
  }

  /** A connection that was lost on the way must not keep a whole node from starting. */
  private async insist(work: () => Promise<void>): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        const unanswered = error instanceof KubeError && error.code === 0;
        if (!unanswered || tries === START_TRIES) throw error;
        this.log.warn({ err: error }, 'the API server did not answer; trying again');
        await sleep(RETRY_MS);
      }
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.beating;
  }

  private async register(): Promise<void> {
    const { name } = this.facts;
    const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch;
    const labels = {
      'kubernetes.io/hostname': name,
      'kubernetes.io/arch': arch,
      'kubernetes.io/os': 'linux',
      'node-role.kubernetes.io/control-plane': '',
    };
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, spec: {} };
    let object: KubeObject;
    try {
      object = await this.client.create<KubeObject>(NODES, undefined, node);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      object = await this.client.patch<KubeObject>(NODES, undefined, name, { metadata: { labels } });
    }
    this.uid = object.metadata.uid ?? '';
  }

  private async beat(): Promise<void> {
    if (Date.now() - this.statusAt > STATUS_MS) {
      await this.writeStatus();
      this.statusAt = Date.now();
    }
    const { name } = this.facts;
    const renewTime = new Date().toISOString().replace('Z', '000Z');
    const spec = { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime };
    try {
      await this.client.patch(LEASES, LEASE_NAMESPACE, name, { spec });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await this.createLease(spec);
    }
  }

  private async createLease(spec: Record<string, unknown>): Promise<void> {
    const { name } = this.facts;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name, uid: this.uid }];
    await this.client.create(LEASES, LEASE_NAMESPACE, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace: LEASE_NAMESPACE, ownerReferences },
      spec,
    });
  }

  private async writeStatus(): Promise<void> {
    const { name, ip, capacity } = this.facts;
    const now = seconds(new Date());
    const condition = (type: string, status: string, reason: string, message: string) => ({
      type,
      status,
      reason,
      message,
      lastHeartbeatTime: now,
      lastTransitionTime: this.since,
    });
    const status = {
      capacity,
      allocatable: capacity,
      addresses: [
        { type: 'InternalIP', address: ip },
        { type: 'Hostname', address: name },
      ],
      conditions: [
        condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
        condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
        condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
        condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: this.port } },
      nodeInfo: await nodeInfo(),
    };
    await this.client.patch(NODES, undefined, name, { status }, { subresource: 'status' });
  }
}

async function nodeInfo(): Promise<Record<string, string>> {
  const text = (file: string) =>
    readFile(file, 'utf8').then(
      (s) => s.trim(),
      () => '',
    );
  const [machineID, bootID, release, runc] = await Promise.all([
    text('/etc/machine-id'),
    text('/proc/sys/kernel/random/boot_id'),
    text('/etc/os-release'),
    run(['runc', '--version']).then(
      ({ stdout }) => /version (\S+)/.exec(stdout)?.[1] ?? '',
      () => '',
    ),
  ]);
  return {
    machineID,
    systemUUID: machineID,
    bootID,
    kernelVersion: os.release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(release)?.[1] ?? 'Linux',
    containerRuntimeVersion: `runc://${runc}`,
    kubeletVersion: KUBELET_VERSION,
    kubeProxyVersion: '',
    operatingSystem: 'linux',
    architecture: { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch,
  };
}
