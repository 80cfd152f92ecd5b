// Finds who answers a proxied request: an aggregated API server, or the kubelet of a pod's node.
import type { Call, Environment } from './environment.ts';
import type { Aggregated } from './discovery.ts';
import { asArray, asObject, asString, at } from './json.ts';
import type { Backend } from './proxy.ts';
import type { ResourceRequest } from './request-info.ts';
import { ApiError, badRequest, notFound } from './status.ts';
import type { User } from './user.ts';

export async function apiServiceBackend(
  env: Environment,
  service: Aggregated,
  path: string,
  user: User,
): Promise<Backend> {
  const reference = asObject(at(service.object, 'spec.service'));
  const [namespace, name] = [asString(reference['namespace']), asString(reference['name'])];
  const address = await env.resolveService(namespace, name, Number(reference['port'] ?? 443));
  if (address === undefined) {
    throw new ApiError(503, 'ServiceUnavailable', `no endpoints available for service "${namespace}/${name}"`);
  }
  const bundle = asString(at(service.object, 'spec.caBundle'));
  const isInsecure = at(service.object, 'spec.insecureSkipTLSVerify') === true;
  return {
    ...{ host: address.host, port: address.port, path, serverName: `${name}.${namespace}.svc`, user },
    ca: isInsecure ? undefined : Buffer.from(bundle, 'base64').toString(),
    ...env.frontProxy,
  };
}

/** Subresources of pods that the kubelet answers, and its path for each. */
const KUBELET_PATHS: Record<string, string> = {
  log: 'containerLogs',
  exec: 'exec',
  attach: 'attach',
  portforward: 'portForward',
};

export function isKubeletSubresource(subresource: string): boolean {
  return Object.hasOwn(KUBELET_PATHS, subresource);
}

export async function kubeletBackend(env: Environment, call: Call, target: ResourceRequest): Promise<Backend> {
  const pods = { group: '', plural: 'pods' };
  const pod = env.store.get('/pods', target.namespace, target.name);
  if (pod === undefined) throw notFound(pods, target.name);
  const node = asString(at(pod, 'spec.nodeName'));
  const query = new URLSearchParams(call.query);
  const container = containerOf(pod, query.get('container') ?? '', target);
  if (node === '') throw badRequest(`pod ${target.name} does not have a host assigned`);
  const address = await env.resolveKubelet(node);
  if (address === undefined) {
    throw new ApiError(503, 'ServiceUnavailable', `the kubelet of node "${node}" cannot be reached`);
  }
  query.delete('container');
  const url = new URL(address.url);
  const parts = [KUBELET_PATHS[target.subresource] ?? '', target.namespace, target.name];
  if (target.subresource !== 'portforward') parts.push(container);
  const text = query.toString();
  return {
    host: url.hostname,
    port: Number(url.port),
    path: `/${parts.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`,
    serverName: url.hostname,
    ca: address.ca,
    cert: address.cert,
    key: address.key,
  };
}

/** The container that is meant: the named one, the annotated default, or the only one. */
function containerOf(pod: object, asked: string, target: ResourceRequest): string {
  const named = (list: string): string[] =>
    asArray(at(pod, `spec.${list}`)).map((each) => asString(asObject(each)['name']));
  const containers = named('containers');
  const all = [...containers, ...named('initContainers'), ...named('ephemeralContainers')];
  if (asked !== '') {
    if (all.includes(asked)) return asked;
    throw badRequest(`container ${asked} is not valid for pod ${target.name}`);
  }
  const annotated = asString(asObject(at(pod, 'metadata.annotations'))['kubectl.kubernetes.io/default-container']);
  if (all.includes(annotated)) return annotated;
  const [first] = containers;
  if (containers.length === 1 && first !== undefined) return first;
  if (target.subresource === 'portforward') return '';
  const choice = `choose one of: [${containers.join(' ')}]`;
  throw badRequest(`a container name must be specified for pod ${target.name}, ${choice}`);
}
