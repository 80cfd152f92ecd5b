// The controller process: the VMI reconciler and the plugins' controllers, on the replica that leads.
import type { Logger } from 'pino';
import type { Host } from '../core/host.ts';
import type { KubeClient } from '../core/kube/client.ts';
import type { Controller } from '../core/kube/controller.ts';
import { EventRecorder } from '../core/kube/events.ts';
import { Informer } from '../core/kube/informer.ts';
import { LeaderElection } from '../core/kube/lease.ts';
import { PODS, resourceName, type KubeObject, type Resource } from '../core/kube/objects.ts';
import type { Pod } from '../core/launcher-pod.ts';
import { vmiController } from '../core/reconcile.ts';
import type { Facts, Vmi } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { NAMESPACE } from './bootstrap.ts';

export interface ControllersOptions {
  readonly client: KubeClient;
  readonly host: Host;
  readonly cluster: Facts['cluster'];
  /** Who we are in the lease. */
  readonly identity: string;
  readonly log: Logger;
}

const LAUNCHERS = 'kubevirt.io=virt-launcher';

/** Waits for the lease, then runs every controller until stopped. `leading` resolves when they run. */
export function startControllers(options: ControllersOptions): { leading: Promise<void>; stop(): Promise<void> } {
  const { client, host, log } = options;
  const started = Promise.withResolvers<undefined>();
  const election = new LeaderElection({
    client,
    namespace: NAMESPACE,
    name: 'virtloom-controller',
    identity: options.identity,
    log,
    onStarted: async (signal) => {
      const running = await run(options);
      started.resolve(undefined);
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      });
      await running.stop();
    },
  });
  const finished = election.run();
  finished.catch((error: unknown) => {
    log.error({ err: error }, 'leader election ended');
    started.reject(error instanceof Error ? error : new Error(String(error)));
  });
  log.debug({ plugins: host.plugins.map((plugin) => plugin.name) }, 'controllers wait for their lease');
  return {
    leading: started.promise,
    async stop() {
      await election.stop();
      await finished.catch(() => undefined);
    },
  };
}

async function run({ client, host, cluster, log }: ControllersOptions): Promise<{ stop(): Promise<void> }> {
  const informers = new Map<string, Informer<KubeObject>>();
  const informer = <T extends KubeObject>(resource: Resource): Informer<T> => {
    const name = resourceName(resource);
    let found = informers.get(name);
    if (!found) informers.set(name, (found = new Informer<KubeObject>(client, resource, { log })));
    return found as unknown as Informer<T>;
  };
  const pods = new Informer<Pod>(client, PODS, { labelSelector: LAUNCHERS, log });
  const events = new EventRecorder(client, 'virtualmachine-controller', { log });
  const vmis = informer<Vmi>(VMIS);
  const controllers: Controller[] = [
    vmiController({ client, host, vmis, pods, informer, events, cluster, log }),
    ...host.controllers.flatMap((make) => make({ client, events, log, informer })),
  ];
  await Promise.all(controllers.map((controller) => controller.start()));
  return {
    async stop() {
      await Promise.all(controllers.map((controller) => controller.stop()));
      await Promise.all([pods, ...informers.values()].map((one) => one.stop()));
    },
  };
}
