// Reads what a request is about from its method and URL: a resource, or a path of the server's own.
import { badRequest } from './status.ts';

export interface ResourceRequest {
  verb: string;
  group: string;
  version: string;
  /** Empty for cluster-scoped objects and for all namespaces. */
  namespace: string;
  resource: string;
  /** Empty for the collection. */
  name: string;
  subresource: string;
  /** Path segments after the subresource. */
  rest: string[];
}

export interface RequestInfo {
  path: string;
  /** get, list, watch, create, update, patch, delete, deletecollection; for other paths the method. */
  verb: string;
  /** Absent for paths that name no resource: discovery, health, OpenAPI. */
  resource?: ResourceRequest;
}

const VERBS: Record<string, string> = { POST: 'create', GET: 'get', HEAD: 'get', PUT: 'update', PATCH: 'patch' };
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize']);

export function requestInfo(method: string, url: URL): RequestInfo {
  const path = url.pathname;
  const parts = path.split('/').slice(1).map(decode);
  if (parts.at(-1) === '') parts.pop();
  const plain: RequestInfo = { path, verb: method.toLowerCase() };
  const root = parts.shift();
  if (root !== 'api' && root !== 'apis') return plain;
  const group = root === 'apis' ? parts.shift() : '';
  const version = parts.shift();
  if (group === undefined || version === undefined || parts.length === 0) return plain;

  let namespace = '';
  if (parts[0] === 'namespaces' && parts.length > 1) {
    namespace = parts[1] ?? '';
    // namespaces/x/status is the namespace's own subresource, namespaces/x/pods a collection inside it.
    if (parts.length > 2 && !(group === '' && NAMESPACE_SUBRESOURCES.has(parts[2] ?? ''))) parts.splice(0, 2);
    else namespace = '';
  }
  const [resource = '', name = '', subresource = '', ...rest] = parts;
  return {
    path,
    verb: verbOf(method, name, url.searchParams),
    resource: {
      ...{ verb: verbOf(method, name, url.searchParams), group, version, namespace, resource, name, subresource, rest },
    },
  };
}

function verbOf(method: string, name: string, query: URLSearchParams): string {
  if (method === 'DELETE') return name === '' ? 'deletecollection' : 'delete';
  if (method === 'GET' && name === '') return isTrue(query.get('watch')) ? 'watch' : 'list';
  return VERBS[method] ?? method.toLowerCase();
}

/** A boolean of a query: `1`, `true`, or the bare name. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0';
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest(`the path has a broken escape: ${part}`);
  }
}
