// get and list, in the shape that the client asks for.
import type { KubeObject } from '../../../core/kube/objects.ts';
import type { Answer, Call, Environment } from '../environment.ts';
import { apiVersion, type Served } from '../kinds/kind.ts';
import { shapeOf } from '../negotiate.ts';
import type { ResourceRequest } from '../request-info.ts';
import { fieldSelector, labelSelector, type Predicate, selectedName } from '../selectors.ts';
import { ApiError, badRequest, expired, notFound } from '../status.ts';
import { type IncludeObject, partial, table } from '../table.ts';
import { present } from '../versions.ts';

export const GONE =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.';

export function find(env: Environment, target: ResourceRequest, served: Served): KubeObject {
  const object = env.store.get(served.kind.storage, target.namespace, target.name);
  if (object === undefined) throw notFound(served.kind, target.name);
  return object;
}

export function get(env: Environment, call: Call, target: ResourceRequest, served: Served): Answer {
  const object = present(find(env, target, served), served);
  return { code: 200, body: shaped(object, call, served) };
}

/** One object as the client wants to see it. */
export function shaped(object: KubeObject, call: Call, served: Served): unknown {
  const shape = shapeOf(call.request.headers.accept ?? '');
  if (shape === 'partial') return partial(object);
  if (shape === 'plain') return object;
  const { resourceVersion = '' } = object.metadata;
  return table([object], served.version, includeOf(call), { resourceVersion });
}

export function includeOf(call: Call): IncludeObject {
  const include = call.query.get('includeObject');
  return include === 'None' || include === 'Object' ? include : 'Metadata';
}

/** What a query's selectors let through. */
export function predicateOf(query: URLSearchParams, served: Served): Predicate {
  const labels = labelSelector(query.get('labelSelector') ?? '');
  const fields = fieldSelector(query.get('fieldSelector') ?? '', served.kind, served.version);
  return (object) => labels(object) && fields(object);
}

/** Objects of a collection that a query selects, as they are stored. */
export function select(
  env: Environment,
  query: URLSearchParams,
  target: ResourceRequest,
  served: Served,
): KubeObject[] {
  const { storage, namespaced } = served.kind;
  const matches = predicateOf(query, served);
  const name = selectedName(query.get('fieldSelector') ?? '');
  if (name !== undefined && (target.namespace !== '' || !namespaced)) {
    const object = env.store.get(storage, target.namespace, name);
    return object !== undefined && matches(object) ? [object] : [];
  }
  return env.store.list(storage, target.namespace === '' ? undefined : target.namespace).filter(matches);
}

interface Page {
  revision: number;
  after: string;
}

function pageOf(token: string): Page {
  try {
    const { revision, after } = JSON.parse(Buffer.from(token, 'base64url').toString()) as Page;
    if (Number.isInteger(revision) && typeof after === 'string') return { revision, after };
  } catch {
    // told below
  }
  throw badRequest('continue key is not valid');
}

export function list(env: Environment, call: Call, target: ResourceRequest, served: Served): Answer {
  const { query } = call;
  const { kind, version } = served;
  checkVersion(env, query);
  let items = select(env, query, target, served);
  let revision = env.store.revision;
  const token = query.get('continue') ?? '';
  if (token !== '') {
    const page = pageOf(token);
    // Pages after the first show the present, under the first page's revision: a watch from there brings the rest.
    if (!env.store.remembers(kind.storage, page.revision)) throw new ApiError(410, 'Expired', GONE);
    revision = page.revision;
    items = items.filter((item) => keyOf(item) > page.after);
  }
  const limit = Number(query.get('limit') ?? 0);
  const metadata: Record<string, unknown> = { resourceVersion: String(revision) };
  if (limit > 0 && items.length > limit) {
    const remaining = items.length - limit;
    items = items.slice(0, limit);
    const after = keyOf(items.at(-1));
    metadata['continue'] = Buffer.from(JSON.stringify({ revision, after })).toString('base64url');
    metadata['remainingItemCount'] = remaining;
  }
  const objects = items.map((item) => present(item, served));
  const shape = shapeOf(call.request.headers.accept ?? '');
  if (shape === 'table') return { code: 200, body: table(objects, version, includeOf(call), metadata) };
  if (shape === 'partial') {
    const head = { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata };
    return { code: 200, body: { ...head, items: objects.map(partial) } };
  }
  const head = { kind: `${kind.kind}List`, apiVersion: apiVersion(kind.group, version.name), metadata };
  return { code: 200, body: { ...head, items: objects } };
}

function checkVersion(env: Environment, query: URLSearchParams): void {
  const asked = query.get('resourceVersion') ?? '';
  if (asked === '' || asked === '0') return;
  if (!/^\d+$/.test(asked)) throw badRequest(`resourceVersion: Invalid value: "${asked}"`);
  if (Number(asked) > env.store.revision) {
    const message = `Too large resource version: ${asked}, current: ${String(env.store.revision)}`;
    throw new ApiError(504, 'Timeout', message, {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    });
  }
  if (query.get('resourceVersionMatch') === 'Exact' && Number(asked) !== env.store.revision) {
    throw expired(`The resourceVersion for the provided list is too old.`);
  }
}

function keyOf(object: KubeObject | undefined): string {
  return `${object?.metadata.namespace ?? ''}/${object?.metadata.name ?? ''}`;
}
