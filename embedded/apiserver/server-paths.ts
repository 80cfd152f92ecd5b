// The paths that name no resource: health, version, discovery, OpenAPI.
import { apiServiceBackend } from './backends.ts';
import { aggregated, coreVersions, discoveryList, groupList, oneGroup, resourceList, VERSION } from './discovery.ts';
import type { Answer, Call, Environment } from './environment.ts';
import { isObject, type JsonObject } from './json.ts';
import { aggregatedDiscovery } from './negotiate.ts';
import { openApiV2, openApiV3, openApiV3Index } from './openapi/openapi.ts';
import { fetchJson, forward } from './proxy.ts';
import { unknownPath } from './status.ts';

const HEALTH = new Set(['/healthz', '/livez', '/readyz', '/healthz/ping', '/livez/ping', '/readyz/ping']);
const PROTOBUF = /application\/com\.github\.proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/;
const OPENAPI_V2_TYPE = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const FOREIGN_TIMEOUT_MS = 2000;

/** Open to everyone, also without credentials. */
export function isPublic(path: string): boolean {
  return HEALTH.has(path) || path === '/version';
}

export async function serverPath(env: Environment, call: Call): Promise<Answer | undefined> {
  const { path } = call.info;
  if (HEALTH.has(path)) return { code: 200, body: 'ok' };
  if (path === '/version' || path === '/version/') return { code: 200, body: VERSION };
  if (path === '/openapi/v2') return openApi2(env, call);
  const clean = path.replace(/\/$/, '');
  if (clean === '/openapi/v3') return { code: 200, body: openApiV3Index(env) };
  const document = /^\/openapi\/v3\/(apis?\/.+)$/.exec(clean)?.[1];
  if (document !== undefined) {
    const found = openApiV3(env, document);
    if (found === undefined) throw unknownPath();
    call.response.setHeader('content-type', 'application/json');
    if (call.query.has('hash')) call.response.setHeader('cache-control', 'private, max-age=3600');
    return { code: 200, body: found };
  }
  if (clean === '/api' || clean === '/apis') return roots(env, call, clean === '/api' ? 'api' : 'apis');
  const [, root, first, second] = clean.split('/');
  if (root === 'api' && first !== undefined) return found(resourceList(env, '', first));
  if (root !== 'apis' || first === undefined) {
    if (clean !== '') throw unknownPath();
    return {
      code: 200,
      body: { paths: ['/api', '/apis', '/healthz', '/livez', '/openapi/v2', '/openapi/v3', '/readyz', '/version'] },
    };
  }
  if (second === undefined) return found(oneGroup(env, first));
  const service = aggregated(env).find((each) => each.group === first && each.version === second);
  if (service === undefined) return found(resourceList(env, first, second));
  const backend = await apiServiceBackend(env, service, call.url.pathname + call.url.search, call.user);
  await forward(call.request, call.response, backend);
  return undefined;
}

function found(body: JsonObject | undefined): Answer {
  if (body === undefined) throw unknownPath();
  return { code: 200, body };
}

async function roots(env: Environment, call: Call, root: 'api' | 'apis'): Promise<Answer> {
  const version = aggregatedDiscovery(call.request.headers.accept ?? '');
  if (version === undefined) {
    return { code: 200, body: root === 'api' ? coreVersions(call.request.headers.host ?? '') : groupList(env) };
  }
  const body = discoveryList(env, root, version, root === 'apis' ? await foreignLists(env, call) : new Map());
  call.response.setHeader(
    'content-type',
    `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
  );
  return { code: 200, body };
}

/** What the aggregated API servers say that they serve. */
async function foreignLists(env: Environment, call: Call): Promise<Map<string, JsonObject>> {
  const lists = new Map<string, JsonObject>();
  await Promise.all(
    aggregated(env).map(async (service) => {
      const path = `/apis/${service.group}/${service.version}`;
      try {
        const list = await fetchJson(await apiServiceBackend(env, service, path, call.user), FOREIGN_TIMEOUT_MS);
        if (isObject(list)) lists.set(`${service.group}/${service.version}`, list);
      } catch {
        // Not reachable now: discovery calls it stale.
      }
    }),
  );
  return lists;
}

function openApi2(env: Environment, call: Call): Answer {
  const accept = call.request.headers.accept ?? '';
  const isProtobuf = PROTOBUF.test(accept);
  // The form with a dot is the valid media type; clients may ask for one with an at sign.
  if (isProtobuf) call.response.setHeader('content-type', OPENAPI_V2_TYPE);
  return { code: 200, body: openApiV2(env, isProtobuf ? 'protobuf' : 'json') };
}
