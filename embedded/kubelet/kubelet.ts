// The kubelet: joins this machine's pods to the API, as a Node.
import type { Logger } from 'pino';
import { isConflict, isNotFound } from '../../core/kube/client.ts';
import type { KubeClient } from '../../core/kube/client.ts';
import { EventRecorder } from '../../core/kube/events.ts';
import { Informer } from '../../core/kube/informer.ts';
import { PODS } from '../../core/kube/objects.ts';
import type { Host } from './host.ts';
import { apiLookup } from './lookup.ts';
import { prepareMachine } from './node-host.ts';
import type { MachineOptions } from './node-host.ts';
import { NodeObject } from './node-object.ts';
import { Pods } from './pods.ts';
import type { Pod } from './pod-types.ts';
import { startServer } from './server.ts';
import type { ServerTls } from './server.ts';
import { statusPatch } from './status-patch.ts';

const IMAGE_MAX_AGE_MS = 14 * 24 * 3_600_000;

export interface KubeletOptions extends MachineOptions {
  client: KubeClient;
  tls: ServerTls;
  /** Where the kubelet's own server listens; default 127.0.0.1, any free port. */
  listen?: { host?: string; port?: number };
}

export interface Kubelet {
  server: { port: number };
  /** Stops driving; pods keep running and are adopted by the next start with the same state directory. */
  stop(): Promise<void>;
}

/** Resolves when the node is Ready and pods of an earlier start are adopted. */
export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const { client, log, nodeName } = options;
  const machine = await prepareMachine(options);
  const events = new EventRecorder(client, 'kubelet', { log });
  const pods = new Pods({ ...machine, ...apiSide(client, events, log) });
  const informer = new Informer<Pod>(client, PODS, { fieldSelector: `spec.nodeName=${nodeName}`, log });
  informer.start();
  await informer.synced();
  await pods.start(informer.list());
  informer.on(({ type, object, old }) => {
    const replaced = old !== undefined && old.metadata.uid !== object.metadata.uid;
    if (replaced) pods.gone(old.metadata.uid ?? '');
    if (type === 'deleted') pods.gone(object.metadata.uid ?? '');
    else pods.apply(object);
  });
  // Between the list above and the handler something may have changed.
  pods.retain(informer.list());
  for (const pod of informer.list()) pods.apply(pod);
  const server = await startServer({ pods, layout: machine.layout, tls: options.tls, log, ...options.listen });
  const node = new NodeObject(client, machine.node, server.port, log);
  await node.start();
  void machine.images
    .collect(pods.imagesInUse(), IMAGE_MAX_AGE_MS)
    .catch((error: unknown) => log.warn({ err: error }, 'unused images not collected'));
  return {
    server: { port: server.port },
    async stop() {
      await Promise.all([informer.stop(), node.stop(), server.stop()]);
      await pods.stop();
    },
  };
}

function apiSide(
  client: KubeClient,
  events: EventRecorder,
  log: Logger,
): Pick<Host, 'lookup' | 'event' | 'writeStatus' | 'confirmDeleted'> {
  const unlessGone = async (request: Promise<unknown>): Promise<void> => {
    try {
      await request;
    } catch (error) {
      // Gone, or another pod of that name: nothing to tell about ours.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  };
  return {
    lookup: apiLookup(client),
    event: (pod, type, reason, message) => events.event(pod, type, reason, message),
    async writeStatus(pod, status) {
      const { namespace = '', name = '' } = pod.metadata;
      const patch = statusPatch(pod, status);
      await unlessGone(client.patch(PODS, namespace, name, patch, { type: 'strategic', subresource: 'status' }));
      log.debug({ pod: `${namespace}/${name}`, phase: status.phase }, 'status written');
    },
    async confirmDeleted(pod) {
      const { namespace = '', name = '', uid } = pod.metadata;
      const preconditions = uid === undefined ? {} : { uid };
      await unlessGone(client.delete(PODS, namespace, name, { gracePeriodSeconds: 0, preconditions }));
    },
  };
}
