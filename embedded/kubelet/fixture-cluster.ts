// Test fixture: API server, scheduler and kubelet in one process (and network namespace) of its own, as `npm start` has them.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import pino from 'pino';
import { KubeClient } from '../../core/kube/client.ts';
import { startApiServer } from '../apiserver/index.ts';
import type { HostImage } from '../images/image.ts';
import { startScheduler } from '../scheduler.ts';
import { startKubelet } from './index.ts';

export interface ClusterOrder {
  dir: string;
  bridgeName: string;
  podCIDR: string;
  hostImages: Record<string, HostImage>;
}

export interface ClusterReport {
  kind: 'started' | 'stopped' | 'requests';
  requests?: Record<string, number>;
}

let stop: (() => Promise<void>) | undefined;
const requests: Record<string, number> = {};

async function start({ dir, ...machine }: ClusterOrder): Promise<void> {
  const log = pino({ level: process.env['VL_LOG'] ?? 'error' }, pino.destination(2));
  let port = 0;
  const api = await startApiServer({
    dataDir: path.join(dir, 'api'),
    port: 0,
    log: { info: () => {}, warn: (f, m) => log.warn(f, m), error: (f, m) => log.error(f, m) },
    resolveService: () => undefined,
    resolveKubelet: () => ({ url: `https://127.0.0.1:${port}`, ca: api.ca, ...api.frontProxy }),
  });
  await writeFile(path.join(dir, 'kubeconfig'), api.kubeconfig, { mode: 0o600 });
  const client = KubeClient.fromKubeconfig(api.kubeconfig);
  client.onRequest = (verb, resource) => {
    const key = `${verb} ${resource}`;
    requests[key] = (requests[key] ?? 0) + 1;
  };
  const scheduler = await startScheduler({ client, log });
  const kubelet = await startKubelet({
    client,
    log,
    nodeName: 'n1',
    nodeIP: '127.0.0.1',
    stateDir: path.join(dir, 'state'),
    kvm: false,
    tls: { ca: api.ca, ...api.issueServerCert('n1', ['127.0.0.1']), clientNames: ['front-proxy-client'] },
    ...machine,
  });
  port = kubelet.server.port;
  stop = async () => {
    await kubelet.stop();
    await scheduler.stop();
    client.close();
    await api.stop();
  };
}

process.on('message', (order: ClusterOrder | 'stop' | 'requests') => {
  const done = (report: ClusterReport) => process.send?.(report);
  if (order === 'requests') done({ kind: 'requests', requests });
  else if (order === 'stop')
    void stop?.()
      .then(() => done({ kind: 'stopped' }))
      .then(() => process.disconnect());
  else void start(order).then(() => done({ kind: 'started' }));
});
