// The node's agent: puts together informers, reconciler and server, and takes them apart again without touching a guest.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { Controller, PODS } from '../core/index.ts';
import type { EventRecorder as Events, Facts, KubeClient, Request, Vmi } from '../core/index.ts';
import type { Host } from '../core/host.ts';
import { isNotFound } from '../core/kube/client.ts';
import { EventRecorder } from '../core/kube/events.ts';
import { Informer } from '../core/kube/informer.ts';
import { controllerOf } from '../core/kube/objects.ts';
import { LAUNCHER_LABELS, isOver } from '../core/launcher-pod.ts';
import type { Pod } from '../core/launcher-pod.ts';
import { fromClient } from '../core/reads.ts';
import { NODE_LABEL } from '../core/reconcile.ts';
import { VMI_KIND, VMIS } from '../core/vmi-kind.ts';
import { announce } from './announce.ts';
import { Instances } from './instances.ts';
import { NodeReconciler } from './reconcile.ts';
import { startServer } from './server.ts';
import type { ServerTls } from './server.ts';
import { StepRunner } from './steps.ts';
import { VmiWriter } from './vmi-writer.ts';

export interface AgentOptions {
  readonly client: KubeClient;
  readonly host: Host;
  readonly nodeName: string;
  /** Facts that the controller plans with too. */
  readonly cluster: Facts['cluster'];
  /** Kept between runs of the agent, lost with the node: on a file system that does not outlive a reboot, or no matter if it does. */
  readonly stateDir: string;
  readonly tls: ServerTls;
  /** Where the subresource server reaches this agent; the Node object tells it the port. Port 0: any. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly log: Logger;
  /** Who the events are from; `virt-handler` unless given. */
  readonly events?: Events;
}

export interface Agent {
  readonly port: number;
  /** Guests go on; the next agent of this node adopts them. */
  stop(): Promise<void>;
}

/** Resolves when the agent knows its VMIs, has looked at what an earlier life left, and serves. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { client, host, nodeName, cluster, stateDir, log } = options;
  const scratchDir = join(stateDir, 'scratch');
  await rm(scratchDir, { recursive: true, force: true });
  await mkdir(stateDir, { recursive: true, mode: 0o700 });

  const vmis = new Informer<Vmi>(client, VMIS, { labelSelector: `${NODE_LABEL}=${nodeName}`, log });
  const pods = new Informer<Pod>(client, PODS, {
    labelSelector: `${LAUNCHER_LABELS.app}=${LAUNCHER_LABELS.launcher}`,
    fieldSelector: `spec.nodeName=${nodeName}`,
    log,
  });
  pods.addIndex('vmi', (pod) => vmiOf(pod).map(({ uid }) => uid));

  const steps = new StepRunner({ action: host.action, rewriter: host.rewriter, scratchDir, log });
  const wake = (request: Request): void => controller.enqueue(request);
  const instances = new Instances({
    journalDir: join(stateDir, 'journal'),
    steps,
    wake,
    log,
    exists: async ({ namespace, name, uid }) => {
      const found = await client.get<Vmi>(VMIS, namespace, name).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      });
      return found?.metadata.uid === uid;
    },
  });
  const reconciler = new NodeReconciler({
    host,
    steps,
    instances,
    nodeName,
    cluster,
    objects: fromClient(client),
    log,
    events: options.events ?? new EventRecorder(client, 'virt-handler', { log }),
    writer: new VmiWriter(client, vmis),
    podOf: (vmi) => {
      const all = pods.byIndex('vmi', vmi.metadata.uid ?? '');
      return all.find((pod) => !isOver(pod)) ?? all[0];
    },
  });
  const controller = new Controller({
    name: 'node-agent',
    // Starting a guest is mostly waiting.
    workers: 16,
    log,
    reconcile: (request, signal) => reconciler.reconcile(request, signal),
  })
    .watch(vmis)
    .watch(pods, (pod) => vmiOf(pod).map(({ name }) => ({ namespace: pod.metadata.namespace ?? '', name })));

  // The first VMI should not wait for code to be loaded; what cannot be is told by the step that needs it.
  for (const plugin of host.plugins) void plugin.actions?.().catch(() => undefined);
  const left = await instances.load();
  await controller.start();
  for (const request of left) controller.enqueue(request);
  const server = await startServer({ instances, tls: options.tls, listen: options.listen, log });
  const stopping = new AbortController();
  const announced = announce(client, nodeName, server.port, log, stopping.signal);
  return {
    port: server.port,
    async stop() {
      stopping.abort();
      await announced;
      await server.close();
      await controller.stop();
      await Promise.all([vmis.stop(), pods.stop()]);
      await instances.close();
    },
  };
}

function vmiOf(pod: Pod): { uid: string; name: string }[] {
  const owner = controllerOf(pod);
  return owner?.kind === VMI_KIND.resource.kind ? [{ uid: owner.uid, name: owner.name }] : [];
}
