// For tests: the real API server with the kinds and webhooks of every plugin, in this process; no node, so no guest runs.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { compose } from '../../cli/compose.ts';
import { putRoles } from '../../cli/bootstrap.ts';
import { DEFAULT_CONFIG } from '../../cli/paths.ts';
import { identityOf, type Component } from '../../cli/roles.ts';
import { crdsOf } from '../../core/crd.ts';
import type { Host } from '../../core/host.ts';
import { KubeClient } from '../../core/kube/client.ts';
import {
  CRDS,
  MUTATINGWEBHOOKCONFIGURATIONS,
  VALIDATINGWEBHOOKCONFIGURATIONS,
  type KubeObject,
} from '../../core/kube/objects.ts';
import { startApiServer } from '../../embedded/apiserver/index.ts';
import { webhookConfigurations } from '../../webhooks/configuration.ts';
import { startWebhooks } from '../../webhooks/server.ts';

export interface ControlPlane {
  readonly host: Host;
  /** The administrator. */
  readonly admin: KubeClient;
  /** The administrator's, as text. */
  readonly kubeconfig: string;
  /** One of the platform's own processes. */
  as(component: Component): KubeClient;
  stop(): Promise<void>;
}

export async function startControlPlane(config: string = DEFAULT_CONFIG): Promise<ControlPlane> {
  const log = pino({ level: 'silent' });
  const directory = mkdtempSync(join(tmpdir(), 'vl-control-plane-'));
  const found: { client?: KubeClient } = {};
  const { host } = await compose(config, log, {
    list: async (resource, namespace) => (await found.client?.list<never>(resource, namespace))?.items ?? [],
  });
  const api = await startApiServer({
    dataDir: directory,
    port: 0,
    log,
    resolveService: () => undefined,
    resolveKubelet: () => undefined,
  });
  const clients: KubeClient[] = [];
  const connect = (kubeconfig: string): KubeClient => {
    const client = KubeClient.fromKubeconfig(kubeconfig);
    clients.push(client);
    return client;
  };
  const as = (component: Component): KubeClient => {
    const { user, groups } = identityOf(component);
    return connect(api.kubeconfigFor(user, groups));
  };
  const admin = connect(api.kubeconfig);
  await putRoles(admin, host);
  found.client = as('webhooks');
  const tls = api.issueServerCert('webhooks', ['127.0.0.1']);
  const webhooks = await startWebhooks({ host, tls, port: 0, address: '127.0.0.1', log });
  for (const crd of crdsOf(host)) await admin.create(CRDS, undefined, crd);
  const at = { url: `https://127.0.0.1:${webhooks.port}` };
  const [mutating, validating] = webhookConfigurations(host, { ca: api.ca, at }) as [KubeObject, KubeObject];
  await admin.create(MUTATINGWEBHOOKCONFIGURATIONS, undefined, mutating);
  await admin.create(VALIDATINGWEBHOOKCONFIGURATIONS, undefined, validating);
  return {
    host,
    admin,
    kubeconfig: api.kubeconfig,
    as,
    async stop() {
      for (const client of clients) client.close();
      await webhooks.stop();
      await api.stop();
      rmSync(directory, { recursive: true });
    },
  };
}
