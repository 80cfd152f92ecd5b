// The Kubernetes verbs over one endpoint: typed, no discovery, failures as KubeError.
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeError } from './kube-error.ts';
import { endpointFromKubeconfig, endpointInCluster } from './kubeconfig.ts';
import type { Endpoint } from './kubeconfig.ts';
import { apiVersionOf, resourcePath } from './objects.ts';
import type { KubeObject, Resource } from './objects.ts';
import { Transport } from './transport.ts';
import type { Answer } from './transport.ts';
import { WatchDecoder } from './watch-decoder.ts';
import type { WatchEvent } from './watch-decoder.ts';

export { KubeError, isAlreadyExists, isConflict, isGone, isNotFound } from './kube-error.ts';
export type { Status, StatusCause, StatusDetails } from './kube-error.ts';
export type { WatchEvent } from './watch-decoder.ts';

const REQUEST_TIMEOUT_MS = 30_000;
/** How often a request that the server put off (429, 503 with Retry-After) is sent again. */
const PUT_OFF_LIMIT = 5;
const PUT_OFF_MAX_MS = 10_000;

const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

export interface CallOptions {
  signal?: AbortSignal;
  /** Default 30 s, from sending to the answer's end. */
  timeoutMs?: number;
}
export interface ListOptions extends CallOptions {
  labelSelector?: string;
  fieldSelector?: string;
  /** Page size; the answer's `continue` asks for the next page. */
  limit?: number;
  continue?: string;
  resourceVersion?: string;
}
export interface List<T> {
  items: T[];
  resourceVersion: string;
  continue?: string;
}
export interface PatchOptions extends CallOptions {
  /** Default `merge`. */
  type?: keyof typeof PATCH_TYPES;
  subresource?: string;
  fieldManager?: string;
  force?: boolean;
}
export interface DeleteOptions extends CallOptions {
  propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  gracePeriodSeconds?: number;
  preconditions?: { uid?: string; resourceVersion?: string };
}
export interface WatchOptions {
  labelSelector?: string;
  fieldSelector?: string;
  resourceVersion: string;
  /** After this long the server ends the watch. */
  timeoutSeconds: number;
  signal: AbortSignal;
}

export class KubeClient {
  /** Namespace of the kubeconfig's context, or of our pod. */
  readonly namespace: string;
  /** Told of every request's end: verb, plural[/subresource], HTTP status (0: no answer), milliseconds. */
  onRequest: ((verb: string, resource: string, status: number, ms: number) => void) | undefined;
  readonly #transport: Transport;

  constructor(endpoint: Endpoint) {
    this.namespace = endpoint.namespace;
    this.#transport = new Transport(endpoint);
  }

  /** From a kubeconfig's path or its YAML. */
  static fromKubeconfig(pathOrYaml: string): KubeClient {
    return new KubeClient(endpointFromKubeconfig(pathOrYaml));
  }

  /** From the pod's service account. */
  static inCluster(): KubeClient {
    const endpoint = endpointInCluster();
    if (endpoint === undefined) throw new Error('not in a pod with a service account; pass a kubeconfig');
    return new KubeClient(endpoint);
  }

  async get<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: CallOptions = {},
  ): Promise<T> {
    return await this.#json<T>('get', 'GET', resource, path(resource, namespace, name), undefined, options);
  }

  /** One page of objects: all of them, unless `limit` is given. `namespace` undefined means every namespace. */
  async list<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    options: ListOptions = {},
  ): Promise<List<T>> {
    const { labelSelector, fieldSelector, limit, continue: token, resourceVersion } = options;
    const query = queryOf({ labelSelector, fieldSelector, limit, continue: token, resourceVersion });
    const url = resourcePath(resource, namespace) + query;
    const answer = await this.#json<RawList<T>>('list', 'GET', resource, url, undefined, options);
    // Items of a list carry neither apiVersion nor kind on the wire.
    const apiVersion = apiVersionOf(resource);
    const items = answer.items ?? [];
    for (const item of items) {
      item.apiVersion ??= apiVersion;
      item.kind ??= resource.kind;
    }
    const list: List<T> = { items, resourceVersion: answer.metadata?.resourceVersion ?? '' };
    if (answer.metadata?.continue) list.continue = answer.metadata.continue;
    return list;
  }

  async create<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    body: Partial<T> | KubeObject,
    options: CallOptions & { subresource?: string; name?: string } = {},
  ): Promise<T> {
    const url = resourcePath(resource, namespace, options.name, options.subresource);
    const verb = options.subresource === undefined ? 'create' : `create/${options.subresource}`;
    return await this.#json<T>(verb, 'POST', resource, url, body, options);
  }

  /** Replaces the whole object; with `metadata.resourceVersion` only if nobody changed it since (else Conflict). */
  async replace<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    body: T,
    options: CallOptions & { subresource?: string } = {},
  ): Promise<T> {
    const url = path(resource, namespace, name, options.subresource);
    return await this.#json<T>('update', 'PUT', resource, url, body, options, undefined, options.subresource);
  }

  async patch<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    options: PatchOptions = {},
  ): Promise<T> {
    const { type = 'merge', subresource, fieldManager, force } = options;
    const url = path(resource, namespace, name, subresource) + queryOf({ fieldManager, force });
    const headers = { 'content-type': PATCH_TYPES[type] };
    return await this.#json<T>('patch', 'PATCH', resource, url, patch, options, headers, subresource);
  }

  /** Asks for deletion; the object may stay until its finalizers and grace period are done. NotFound is thrown. */
  async delete(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    const { propagationPolicy, gracePeriodSeconds, preconditions } = options;
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy, gracePeriodSeconds, preconditions };
    await this.#json('delete', 'DELETE', resource, path(resource, namespace, name), body, options);
  }

  /**
   * Hands every event to `onEvent` until the server ends the watch (resolves), or it fails (KubeError; `Gone` where the
   * resourceVersion is too old). Bookmarks are asked for.
   */
  async watch<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
  ): Promise<void> {
    const { labelSelector, fieldSelector, resourceVersion, timeoutSeconds, signal } = options;
    const parameters = { labelSelector, fieldSelector, resourceVersion, timeoutSeconds };
    const url = resourcePath(resource, namespace) + queryOf({ watch: 1, allowWatchBookmarks: true, ...parameters });
    const decoder = new WatchDecoder(onEvent);
    // The server ends the watch itself; a little later a silent connection is a dead one.
    const idleMs = timeoutSeconds * 1000 + 15_000;
    const call = { method: 'GET', path: url, signal, timeoutMs: REQUEST_TIMEOUT_MS, idleMs };
    await this.#counted('watch', resource.plural, async () => {
      await this.#transport.stream(call, (chunk) => {
        decoder.push(chunk);
      });
      return 200;
    });
  }

  /** Any request, any answer: no status is an error here, only no answer is. An object as body is sent as JSON. */
  async raw(
    method: string,
    url: string,
    body?: unknown,
    headers?: Record<string, string>,
    options: CallOptions = {},
  ): Promise<{ status: number; body: string }> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await this.#send('raw', method, url.split('?', 1)[0] ?? '', url, text, options, headers);
    return { status: answer.status, body: answer.body };
  }

  /** Closes the connections. Requests under way fail. */
  close(): void {
    this.#transport.close();
  }

  async #json<T>(
    verb: string,
    method: string,
    resource: Resource,
    url: string,
    body: unknown,
    options: CallOptions,
    headers?: Record<string, string>,
    subresource?: string,
  ): Promise<T> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const counted = subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
    const answer = await this.#send(verb, method, counted, url, text, options, headers);
    if (answer.status < 200 || answer.status > 299) {
      throw KubeError.fromBody(answer.status, answer.body, `${method} ${url.split('?', 1)[0] ?? ''}`);
    }
    return JSON.parse(answer.body) as T;
  }

  async #send(
    verb: string,
    method: string,
    counted: string,
    url: string,
    body: string | undefined,
    options: CallOptions,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const { signal, timeoutMs = REQUEST_TIMEOUT_MS } = options;
    const sent = body === undefined ? headers : { 'content-type': 'application/json', ...headers };
    for (let attempt = 1; ; attempt++) {
      let answer: Answer | undefined;
      await this.#counted(verb, counted, async () => {
        answer = await this.#transport.call({ method, path: url, body, headers: sent, signal, timeoutMs });
        return answer.status;
      });
      if (answer === undefined) throw new Error('unreachable: an answer or an error');
      const waitMs = putOffMs(answer);
      if (waitMs === undefined || attempt > PUT_OFF_LIMIT) return answer;
      await sleep(waitMs, undefined, signal === undefined ? undefined : { signal });
    }
  }

  async #counted(verb: string, resource: string, work: () => Promise<number>): Promise<void> {
    if (this.onRequest === undefined) {
      await work();
      return;
    }
    const begin = performance.now();
    let status = 0;
    try {
      status = await work();
    } catch (error) {
      if (error instanceof KubeError) status = error.code;
      throw error;
    } finally {
      this.onRequest(verb, resource, status, performance.now() - begin);
    }
  }
}

interface RawList<T> {
  items?: T[] | null;
  metadata?: { resourceVersion?: string; continue?: string };
}

/** A named object's path; an object of a namespaced kind has a namespace, or the URL would mean something else. */
function path(resource: Resource, namespace: string | undefined, name: string, subresource?: string): string {
  if (name === '') throw new Error(`${resource.kind}: empty name`);
  if (resource.namespaced && !namespace) throw new Error(`${resource.kind} ${name}: give its namespace`);
  return resourcePath(resource, namespace, name, subresource);
}

function queryOf(parameters: Record<string, string | number | boolean | undefined>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) if (value !== undefined) query.set(key, String(value));
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

/** The server did not look at the request and said when to come back (API priority and fairness, start-up). */
function putOffMs(answer: Answer): number | undefined {
  if (answer.status !== 429 && answer.status !== 503) return undefined;
  const seconds = Number(answer.headers['retry-after']);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds * 1000, PUT_OFF_MAX_MS) : undefined;
}
