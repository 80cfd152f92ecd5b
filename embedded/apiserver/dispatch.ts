// Leads a checked request about resources to its handler.
import { apiServiceBackend, isKubeletSubresource, kubeletBackend } from './backends.ts';
import { readBody } from './body.ts';
import { parseBody } from './decode.ts';
import { aggregated } from './discovery.ts';
import type { Answer, Call, Environment } from './environment.ts';
import { create } from './handlers/create.ts';
import { remove, removeCollection } from './handlers/delete.ts';
import { patch } from './handlers/patch.ts';
import { bind, evict } from './handlers/pods.ts';
import { get, list } from './handlers/read.ts';
import { review } from './handlers/reviews.ts';
import { scale } from './handlers/scale.ts';
import { replace } from './handlers/update.ts';
import { watch } from './handlers/watch.ts';
import type { Served } from './kinds/kind.ts';
import { type Backend, forward } from './proxy.ts';
import type { ResourceRequest } from './request-info.ts';
import { methodNotAllowed, unknownPath } from './status.ts';

/** The answer; undefined where the handler writes the response itself (watches, proxied requests). */
export async function dispatch(env: Environment, call: Call, target: ResourceRequest): Promise<Answer | undefined> {
  const backend = await backendOf(env, call, target);
  if (backend !== undefined) {
    await forward(call.request, call.response, backend);
    return undefined;
  }
  const served = env.registry.find(target.group, target.version, target.resource);
  if (served === undefined || target.rest.length > 0) throw unknownPath();
  if (served.version.deprecation !== undefined) call.warnings.push(served.version.deprecation);
  if (target.name !== '' && served.kind.namespaced && target.namespace === '') throw unknownPath();
  if (!served.kind.namespaced && target.namespace !== '' && target.resource !== 'namespaces') throw unknownPath();
  if (served.kind.isReview) {
    if (target.verb !== 'create') throw methodNotAllowed();
    const { text, type } = await readBody(call.request);
    return review(env, call, target, served, text, type);
  }
  return target.subresource === '' ? whole(env, call, target, served) : part(env, call, target, served);
}

/** Who answers instead of us, if anybody. */
export async function backendOf(env: Environment, call: Call, target: ResourceRequest): Promise<Backend | undefined> {
  const service = aggregated(env).find((each) => each.group === target.group && each.version === target.version);
  if (service !== undefined) return apiServiceBackend(env, service, call.url.pathname + call.url.search, call.user);
  const isPod = target.group === '' && target.resource === 'pods' && target.name !== '';
  return isPod && isKubeletSubresource(target.subresource) ? kubeletBackend(env, call, target) : undefined;
}

async function whole(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
): Promise<Answer | undefined> {
  switch (target.verb) {
    case 'get':
      return get(env, call, target, served);
    case 'list':
      return list(env, call, target, served);
    case 'watch':
      watch(env, call, target, served);
      return undefined;
  }
  const { text, type } = await readBody(call.request);
  const parsed = (): unknown => (text === '' ? undefined : parseBody(text, type));
  switch (target.verb) {
    case 'create':
      return create(env, call, target, served, parsed());
    case 'update':
      return replace(env, call, target, served, parsed());
    case 'patch':
      return patch(env, call, target, served, text, type);
    case 'delete':
      return remove(env, call, target, served, parsed());
    case 'deletecollection':
      return removeCollection(env, call, target, served, parsed());
    default:
      throw methodNotAllowed();
  }
}

async function part(env: Environment, call: Call, target: ResourceRequest, served: Served): Promise<Answer> {
  const { kind, version } = served;
  const { text, type } = target.verb === 'get' ? { text: '', type: '' } : await readBody(call.request);
  if (target.subresource === 'status' && version.hasStatus) {
    if (target.verb === 'get') return get(env, call, target, served);
    if (target.verb === 'update') return replace(env, call, target, served, parseBody(text, type));
    if (target.verb === 'patch') return patch(env, call, target, served, text, type);
    throw methodNotAllowed();
  }
  if (target.subresource === 'scale' && version.scale !== undefined) {
    return scale(env, call, target, served, version.scale, text, type);
  }
  if (!kind.subresources.includes(target.subresource)) throw unknownPath();
  if (target.subresource === 'finalize') {
    return replace(env, call, { ...target, subresource: '' }, served, parseBody(text, type));
  }
  if (target.verb !== 'create') throw methodNotAllowed();
  return target.subresource === 'binding'
    ? bind(env, call, target, served, text)
    : evict(env, call, target, served, text);
}
