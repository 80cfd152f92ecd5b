// An embedded Kubernetes API server: starts it on a data directory, and answers how to reach it.
import { join } from 'node:path';
import type { AddressInfo, Socket } from 'node:net';
import type { KeyPair } from '../pki/authority.ts';
import { openKeyring } from '../pki/keyring.ts';
import { Store } from '../store/store.ts';
import { Admission } from './admission/admission.ts';
import { Authenticator, type Token } from './authentication.ts';
import { bootstrap } from './bootstrap.ts';
import { Sweeper } from './controllers/sweeper.ts';
import type { Environment, Log, ResolveKubelet, ResolveService } from './environment.ts';
import { Registry } from './kinds/registry.ts';
import { kubeconfig } from './kubeconfig.ts';
import { Rbac } from './rbac.ts';
import { createApiServer } from './server.ts';

export type { Token } from './authentication.ts';
export type { KubeletAddress, Log, ResolveKubelet, ResolveService, ServiceAddress } from './environment.ts';
export type { KeyPair } from '../pki/authority.ts';

export interface ApiServerOptions {
  /** Holds the database and the certificates; made when missing. One server at a time. */
  dataDir: string;
  /** 0 takes any free one. */
  port: number;
  /** The address to listen on; 127.0.0.1 unless set. */
  host?: string;
  /** Where webhooks and aggregated API servers behind a service listen; undefined where there is none. */
  resolveService: ResolveService;
  /** Where a node's kubelet listens, for logs, exec, attach and port-forward. */
  resolveKubelet: ResolveKubelet;
  tokens?: Token[];
  log: Log;
}

export interface ApiServer {
  url: string;
  port: number;
  /** Of a client in system:masters, YAML. */
  kubeconfig: string;
  /** The CA's certificate, PEM: signs the server, its clients and whatever else the control plane needs. */
  ca: string;
  /** The client certificate with which the server calls aggregated API servers (CN front-proxy-client). */
  frontProxy: KeyPair;
  /** A certificate for a client: user is CN, groups are O. */
  issueClientCert(user: string, groups: string[]): KeyPair;
  /** A certificate for a server of the control plane: webhooks, aggregated API, kubelet. */
  issueServerCert(commonName: string, hosts: string[]): KeyPair;
  /** A kubeconfig for a user of these groups, YAML. */
  kubeconfigFor(user: string, groups: string[]): string;
  stop(): Promise<void>;
}

/** @throws where the port is taken or the data directory cannot be used. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { dataDir, host = '127.0.0.1', log } = options;
  const hosts = ['localhost', '127.0.0.1', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', host];
  const keyring = openKeyring(join(dataDir, 'pki'), [...new Set(hosts)]);
  const store = new Store(join(dataDir, 'store.db'));
  const registry = new Registry(store);
  bootstrap(store, registry);
  const env: Environment = {
    ...{ store, registry, log, frontProxy: keyring.frontProxy },
    rbac: new Rbac(store),
    authenticator: new Authenticator(options.tokens ?? []),
    admission: new Admission(store, options.resolveService, log),
    resolveService: options.resolveService,
    resolveKubelet: options.resolveKubelet,
  };
  const server = createApiServer(env, keyring.server, keyring.ca.cert);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const sweeper = new Sweeper(env);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, host, resolve);
    });
  } catch (error) {
    await store.close();
    throw error;
  }
  sweeper.start();
  const { port } = server.address() as AddressInfo;
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
  log.info({ url }, 'the API server listens');
  return {
    ...{ url, port, ca: keyring.ca.cert, frontProxy: keyring.frontProxy },
    kubeconfig: kubeconfig(url, keyring.ca.cert, 'kubernetes-admin', keyring.admin),
    issueClientCert: (user, groups) => keyring.ca.issueClient(user, groups),
    issueServerCert: (commonName, names) => keyring.ca.issueServer(commonName, names),
    kubeconfigFor: (user, groups) => kubeconfig(url, keyring.ca.cert, user, keyring.ca.issueClient(user, groups)),
    async stop() {
      sweeper.stop();
      // Upgraded connections (exec, consoles) are the server's no longer, yet it would wait for them.
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await store.close();
    },
  };
}
