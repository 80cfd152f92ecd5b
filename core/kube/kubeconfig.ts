// Where the API server is and who we are: kubeconfig files and the in-cluster service account.
//
// Parsing and credential plugins are @kubernetes/client-node's, taken file by file: its main entry loads the types of
// every kind there is, 88 MiB of memory and 0.7 s of start-up that nothing here uses.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { newClusters, newContexts, newUsers } from '@kubernetes/client-node/dist/config_types.js';
import type { Cluster, User } from '@kubernetes/client-node/dist/config_types.js';
import type { Authenticator } from '@kubernetes/client-node/dist/auth.js';
import { parse } from 'yaml';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** TLS parameters, as node:tls takes them. */
export interface TlsIdentity {
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
  servername?: string;
  rejectUnauthorized?: boolean;
}

export interface Endpoint {
  /** `https://host:port`, perhaps with a path prefix. */
  readonly server: URL;
  readonly tls: TlsIdentity;
  /** Namespace of the current context. */
  readonly namespace: string;
  /** Headers that authenticate a request; asked for each request, cached by whoever makes them. */
  readonly authorization: (() => Promise<Record<string, string>>) | undefined;
}

/**
 * Reads a kubeconfig (a path, or the YAML itself) and returns the endpoint of its current context.
 * @throws Error that names the file and what is missing
 */
export function endpointFromKubeconfig(pathOrYaml: string): Endpoint {
  const inline = pathOrYaml.includes('\n');
  const where = inline ? 'kubeconfig' : pathOrYaml;
  const document = parse(inline ? pathOrYaml : readFileSync(pathOrYaml, 'utf8')) as Record<string, unknown> | null;
  if (document === null || typeof document !== 'object') throw new Error(`${where}: not a kubeconfig`);
  const contextName = document['current-context'];
  const context = newContexts(document['contexts']).find((one) => one.name === contextName);
  if (context === undefined) {
    throw new Error(
      `${where}: current-context ${JSON.stringify(contextName ?? '')} is not among contexts; set it with kubectl config use-context`,
    );
  }
  const cluster = newClusters(document['clusters']).find((one) => one.name === context.cluster);
  if (cluster === undefined)
    throw new Error(`${where}: context ${context.name} names cluster ${context.cluster}, which is not there`);
  const user = newUsers(document['users']).find((one) => one.name === context.user);
  const root = inline ? process.cwd() : dirname(resolve(pathOrYaml));
  return endpointOf(cluster, user, context.namespace ?? 'default', root, where);
}

/** The endpoint a pod's service account gives, or undefined outside a cluster. */
export function endpointInCluster(): Endpoint | undefined {
  const host = process.env['KUBERNETES_SERVICE_HOST'];
  const tokenFile = `${SERVICE_ACCOUNT}/token`;
  if (host === undefined || !existsSync(tokenFile)) return undefined;
  const address = host.includes(':') ? `[${host}]` : host;
  const cluster: Cluster = {
    name: 'in-cluster',
    server: `https://${address}:${process.env['KUBERNETES_SERVICE_PORT'] ?? '443'}`,
    caFile: `${SERVICE_ACCOUNT}/ca.crt`,
    skipTLSVerify: false,
  };
  const user: User = { name: 'in-cluster', authProvider: { name: 'tokenFile', config: { tokenFile } } };
  const namespace = readFileSync(`${SERVICE_ACCOUNT}/namespace`, 'utf8').trim();
  return endpointOf(cluster, user, namespace, '/', 'service account');
}

function endpointOf(
  cluster: Cluster,
  user: User | undefined,
  namespace: string,
  root: string,
  where: string,
): Endpoint {
  const server = new URL(cluster.server);
  if (server.protocol !== 'https:') {
    throw new Error(
      `${where}: cluster ${cluster.name} has server ${cluster.server}; only https:// is spoken, credentials must not travel in the clear`,
    );
  }
  if (cluster.proxyUrl !== undefined) {
    throw new Error(
      `${where}: cluster ${cluster.name} sets proxy-url, which is not supported; reach the API server directly`,
    );
  }
  const read = (file: string | null | undefined, data: string | null | undefined): Buffer | undefined => {
    if (file) return readFileSync(resolve(root, file));
    return data ? Buffer.from(data, 'base64') : undefined;
  };
  const tls: TlsIdentity = {};
  const ca = read(cluster.caFile, cluster.caData);
  const cert = read(user?.certFile, user?.certData);
  const key = read(user?.keyFile, user?.keyData);
  if (ca !== undefined) tls.ca = ca;
  if (cert !== undefined) tls.cert = cert;
  if (key !== undefined) tls.key = key;
  if (cluster.tlsServerName) tls.servername = cluster.tlsServerName;
  if (cluster.skipTLSVerify) tls.rejectUnauthorized = false;
  return { server, tls, namespace, authorization: user && authorizationOf(user) };
}

function authorizationOf(user: User): Endpoint['authorization'] {
  const fixed: Record<string, string> = {};
  if (user.token) fixed['authorization'] = `Bearer ${user.token}`;
  else if (user.username) {
    fixed['authorization'] = `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}`;
  }
  if (user.impersonateUser) fixed['impersonate-user'] = user.impersonateUser;
  if (user.exec || user.authProvider) return pluginAuthorization(user, fixed);
  return Object.keys(fixed).length === 0 ? undefined : () => Promise.resolve(fixed);
}

/** Credentials from an exec plugin, a token file that is renewed, or OpenID Connect. */
function pluginAuthorization(user: User, fixed: Record<string, string>): () => Promise<Record<string, string>> {
  let authenticator: Promise<Authenticator> | undefined;
  return async () => {
    authenticator ??= loadAuthenticator(user);
    const options = { headers: {} as Record<string, string> };
    await (await authenticator).applyAuthentication(user, options);
    const headers = { ...fixed };
    for (const [name, value] of Object.entries(options.headers)) headers[name.toLowerCase()] = value;
    return headers;
  };
}

async function loadAuthenticator(user: User): Promise<Authenticator> {
  const { FileAuth } = await import('@kubernetes/client-node/dist/file_auth.js');
  const { ExecAuth } = await import('@kubernetes/client-node/dist/exec_auth.js');
  const light = [new FileAuth(), new ExecAuth()].find((one) => one.isAuthProvider(user));
  if (light !== undefined) return light;
  const { OpenIDConnectAuth } = await import('@kubernetes/client-node/dist/oidc_auth.js');
  const oidc = new OpenIDConnectAuth();
  if (oidc.isAuthProvider(user)) return oidc;
  throw new Error(`user ${user.name}: auth-provider is not one of tokenFile, exec, oidc; use an exec plugin instead`);
}
