// The whole platform in one process: API server, controllers, servers, and one node of this machine.
import { hostname } from 'node:os';
import { join } from 'node:path';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { startAgent } from '../agent/index.ts';
import { detectVirtualization } from '../agent/virtualization.ts';
import { KubeClient } from '../core/kube/client.ts';
import type { KubeObject, Resource } from '../core/kube/objects.ts';
import type { Facts } from '../core/types.ts';
import { startApiServer, type ApiServer } from '../embedded/apiserver/index.ts';
import { startKubelet } from '../embedded/kubelet/index.ts';
import { Authority, type KeyPair } from '../embedded/pki/authority.ts';
import { startScheduler } from '../embedded/scheduler.ts';
import { prepareLauncherImage } from '../launcher/prepare.ts';
import { startSubresources } from '../subresources/index.ts';
import { serveMetrics, Telemetry } from '../telemetry/index.ts';
import { startWebhooks } from '../webhooks/server.ts';
import { bootstrap, NAMESPACE, putRoles } from './bootstrap.ts';
import { compose } from './compose.ts';
import { startControllers } from './controllers.ts';
import { kubeconfigIn } from './paths.ts';
import { METRICS_FILE } from './plugins-top.ts';
import { type Component, identityOf } from './roles.ts';

export interface PlatformOptions {
  readonly stateDir: string;
  readonly config: string;
  readonly port: number;
  readonly podCidr: string;
  readonly bridge: string;
  /** Port of /metrics on loopback; 0 picks a free one. */
  readonly metricsPort: number;
  readonly log: Logger;
  /** Told of every request that one of our processes made to the API server. */
  readonly onRequest?: (component: Component, verb: string, resource: string) => void;
  /** Told what is being done, one line each. */
  readonly progress: (line: string) => void;
}

export interface Platform {
  readonly kubeconfig: string;
  readonly server: string;
  /** Stops the platform; guests go on. */
  stop(): Promise<void>;
}

const LOOPBACK = '127.0.0.1';
const API_SERVICE = { namespace: NAMESPACE, name: 'virt-api', port: 443 };

/** What was started, stopped in reverse. */
class Started {
  readonly #stops: (() => Promise<void>)[] = [];

  add<T extends { stop(): Promise<void> }>(part: T): T {
    this.#stops.push(() => part.stop());
    return part;
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }
}

export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const started = new Started();
  try {
    return await start(options, started);
  } catch (error) {
    await started.stop();
    throw error;
  }
}

async function start(options: PlatformOptions, started: Started): Promise<Platform> {
  const { stateDir, log, progress } = options;
  const nodeName = hostname().toLowerCase();
  await mkdir(stateDir, { recursive: true, mode: 0o711 });

  // Known only when they run, and asked for by what runs before.
  const late: { kubelet?: number; subresources?: number; webhooks?: KubeClient } = {};
  const telemetry = new Telemetry();
  const { config, host } = await compose(options.config, log, {
    metrics: telemetry.metricsOf,
    onTap: telemetry.onTap,
    onStep: telemetry.onStep,
    list: async <T extends KubeObject>(resource: Resource, namespace: string) =>
      (await late.webhooks?.list<T>(resource, namespace))?.items ?? [],
  });
  progress(`${host.plugins.length} plugins: ${host.plugins.map((plugin) => plugin.name).join(', ')}`);

  const kvm = await useKvm(config.useEmulation, options);
  const launcher = await prepareLauncherImage(join(stateDir, 'launcher'), { kvm });
  const launcherImage = config.launcherImage ?? launcher.name;
  const cluster: Facts['cluster'] = { launcherImage, virtType: kvm ? 'kvm' : 'qemu', imageVolumes: true };

  // Our own parts trust each other by an authority of this run alone, which signs nobody else.
  const internal = Authority.create('virtloom-internal');
  const toKubelet = internal.issueClient('kube-apiserver', []);
  const api = started.add(
    await startApiServer({
      dataDir: join(stateDir, 'api'),
      port: options.port,
      log: log.child({ component: 'apiserver' }),
      resolveService: (namespace, name) =>
        namespace === API_SERVICE.namespace && name === API_SERVICE.name && late.subresources !== undefined
          ? { host: LOOPBACK, port: late.subresources }
          : undefined,
      resolveKubelet: (node) =>
        node === nodeName && late.kubelet !== undefined
          ? { url: `https://${LOOPBACK}:${late.kubelet}`, ca: internal.cert, ...toKubelet }
          : undefined,
    }),
  );
  await writeFile(kubeconfigIn(stateDir), api.kubeconfig, { mode: 0o600 });
  progress(`API server at ${api.url}`);

  const admin = KubeClient.fromKubeconfig(api.kubeconfig);
  started.add({ stop: async () => admin.close() });
  await putRoles(admin, host);
  late.webhooks = await clientFor(api, 'webhooks', started, options);
  const serverCert = (name: string, hosts: string[]): KeyPair => internal.issueServer(name, [...hosts, LOOPBACK]);

  const webhooks = started.add(
    await startWebhooks({
      host,
      tls: serverCert('webhooks', []),
      port: 0,
      address: LOOPBACK,
      log: log.child({ component: 'webhooks' }),
    }),
  );
  const subresources = started.add(
    await startSubresources({
      client: await clientFor(api, 'subresources', started, options),
      tls: serverCert('virt-api', [`${API_SERVICE.name}.${API_SERVICE.namespace}.svc`]),
      requestHeaderCA: api.ca,
      requestHeaderNames: ['front-proxy-client'],
      agentTls: { ca: internal.cert, ...internal.issueClient('subresources', []) },
      verbs: host.verbs,
      log: log.child({ component: 'subresources' }),
    }),
  );
  late.subresources = subresources.port;
  await bootstrap({
    client: admin,
    host,
    webhooks: { ca: internal.cert, at: { url: `https://${LOOPBACK}:${webhooks.port}` } },
    subresources: { ca: internal.cert, service: API_SERVICE },
  });
  progress('kinds, webhooks and the aggregated API are in place');

  started.add(
    await startScheduler({
      client: await clientFor(api, 'scheduler', started, options),
      log: log.child({ component: 'scheduler' }),
    }),
  );
  const kubelet = started.add(
    await startKubelet({
      client: await clientFor(api, 'kubelet', started, options),
      nodeName,
      nodeIP: LOOPBACK,
      stateDir: join(stateDir, 'kubelet'),
      podCIDR: options.podCidr,
      bridgeName: options.bridge,
      hostImages: { [launcherImage]: launcher },
      insecureRegistries: config.insecureRegistries,
      kvm,
      tls: { ca: internal.cert, clientNames: ['kube-apiserver'], ...serverCert(nodeName, [nodeName]) },
      log: log.child({ component: 'kubelet' }),
    }),
  );
  late.kubelet = kubelet.server.port;
  started.add(
    await startAgent({
      client: await clientFor(api, 'agent', started, options),
      host,
      nodeName,
      cluster,
      stateDir: join(stateDir, 'agent'),
      tls: { ca: internal.cert, ...serverCert(nodeName, [nodeName]) },
      listen: { host: LOOPBACK, port: 0 },
      log: log.child({ component: 'agent' }),
    }),
  );
  progress(`node ${nodeName} is ready`);

  const controllers = startControllers({
    client: await clientFor(api, 'controller', started, options),
    host,
    cluster,
    // One process at a time holds the state directory, so a new one is the old one and need not wait for its lease to end.
    identity: `embedded-${nodeName}`,
    log: log.child({ component: 'controller' }),
  });
  started.add(controllers);
  await controllers.leading;
  const metrics = started.add(await serveMetrics(telemetry, { port: options.metricsPort, log }));
  await writeFile(join(stateDir, METRICS_FILE), `${metrics.url}\n`);
  started.add({ stop: () => rm(join(stateDir, METRICS_FILE), { force: true }) });
  return { kubeconfig: kubeconfigIn(stateDir), server: api.url, stop: () => started.stop() };
}

async function clientFor(
  api: ApiServer,
  component: Component,
  started: Started,
  { onRequest }: PlatformOptions,
): Promise<KubeClient> {
  const { user, groups } = identityOf(component);
  const client = KubeClient.fromKubeconfig(await api.kubeconfigFor(user, groups));
  if (onRequest) client.onRequest = (verb, resource) => onRequest(component, verb, resource);
  started.add({ stop: async () => client.close() });
  return client;
}

async function useKvm(useEmulation: 'auto' | boolean, { progress, log }: PlatformOptions): Promise<boolean> {
  if (useEmulation === true) return false;
  const found = await detectVirtualization();
  if (found.works) {
    progress('guests run on hardware (KVM)');
    return true;
  }
  if (useEmulation === false) throw new Error(`useEmulation is false, but KVM does not work here: ${found.why}`);
  progress('guests run under software emulation: KVM runs none here');
  log.info({ why: found.why }, 'no KVM');
  return false;
}
