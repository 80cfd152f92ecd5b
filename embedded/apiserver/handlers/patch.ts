// patch: turns each kind of patch into the object it wants, and goes the way of updates.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { decodeObject, parseBody } from '../decode.ts';
import type { Answer, Call, Environment } from '../environment.ts';
import { asObject, asString, isObject, type JsonObject } from '../json.ts';
import type { Served } from '../kinds/kind.ts';
import { serverSideApply } from '../patch/apply.ts';
import { applyJsonPatch } from '../patch/json-patch.ts';
import { mergePatch } from '../patch/merge.ts';
import { strategicMerge } from '../patch/strategic.ts';
import { isTrue, type ResourceRequest } from '../request-info.ts';
import { ApiError, badRequest } from '../status.ts';
import { createObject } from './create.ts';
import { writeOptions } from './options.ts';
import { shaped } from './read.ts';
import { updateObject } from './update.ts';

const APPLY = 'application/apply-patch+yaml';

export async function patch(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  text: string,
  type: string,
): Promise<Answer> {
  const body = parseBody(text, type);
  if (type === APPLY) return apply(env, call, target, served, body);
  const options = writeOptions(call, 'PatchOptions');
  const patched = patcher(type, body, served);
  const revision = asString(asObject(asObject(body)['metadata'])['resourceVersion']);
  const produce = (current: KubeObject): KubeObject => {
    const result = patched(current);
    if (!isObject(result)) throw badRequest('the patch leaves no object');
    // Only a revision that the patch itself names is a condition.
    const metadata = { ...asObject(result['metadata']) };
    if (revision === '' && !Array.isArray(body)) Reflect.deleteProperty(metadata, 'resourceVersion');
    const warnings: string[] = [];
    const decoded = decodeObject({ ...result, metadata }, served, options.fieldValidation, warnings);
    call.warnings.splice(0, call.warnings.length, ...warnings);
    return decoded;
  };
  const object = await updateObject(env, call, target, served, { produce, operation: 'Patch', options });
  return { code: 200, body: shaped(object, call, served) };
}

function patcher(type: string, body: unknown, served: Served): (current: KubeObject) => unknown {
  const { kind, version } = served;
  if (type === 'application/json-patch+json') return (current) => applyJsonPatch(current, body);
  if (!isObject(body)) throw badRequest('a merge patch must be an object');
  if (type === 'application/merge-patch+json') return (current) => mergePatch(current, body);
  if (type === 'application/strategic-merge-patch+json' && !kind.custom) {
    const schema = withMetadata(version.resolve(version.schema));
    return (current) => strategicMerge(current, body, schema, version.resolve);
  }
  const custom = ['application/json-patch+json', 'application/merge-patch+json', APPLY];
  const accepted = kind.custom ? custom : [...custom, 'application/strategic-merge-patch+json'];
  const message = `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`;
  throw new ApiError(415, 'UnsupportedMediaType', message, {});
}

function withMetadata(schema: Served['version']['schema']): Served['version']['schema'] {
  return { ...schema, properties: { ...schema.properties, metadata: { $ref: 'V1ObjectMeta' } } };
}

async function apply(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  body: unknown,
): Promise<Answer> {
  const options = writeOptions(call, 'PatchOptions');
  const manager = call.query.get('fieldManager') ?? '';
  if (manager === '')
    throw badRequest(
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
  const applied = checkApplied(body, target, served);
  // Unknown fields are told of once, from what was sent: the live object has none.
  const sent = decodeObject(applied, served, options.fieldValidation, call.warnings);
  const config = onlySent(applied, sent) as JsonObject;
  const request = {
    ...{ manager, subresource: target.subresource, apiVersion: asString(applied['apiVersion']) },
    force: isTrue(call.query.get('force')),
  };
  const { schema, resolve } = served.version;
  const isThere = env.store.get(served.kind.storage, target.namespace, target.name) !== undefined;
  if (!isThere && target.subresource === '') {
    const metadata = { ...asObject(config['metadata']), name: target.name };
    const made = serverSideApply({}, { ...config, metadata }, schema, resolve, request);
    const decoded = decodeObject(made, served, 'Ignore', []);
    const collection = { ...target, name: '' };
    const object = await createObject(env, call, collection, served, decoded, options);
    return { code: 201, body: shaped(object, call, served) };
  }
  const produce = (current: KubeObject): KubeObject => {
    const merged = serverSideApply(current, config, schema, resolve, request);
    const metadata = { ...asObject(merged['metadata']) };
    const { uid, resourceVersion } = asObject(config['metadata']);
    if (resourceVersion === undefined) Reflect.deleteProperty(metadata, 'resourceVersion');
    if (uid !== undefined) metadata['uid'] = uid;
    return decodeObject({ ...merged, metadata }, served, 'Ignore', []);
  };
  const object = await updateObject(env, call, target, served, { produce, operation: 'Apply', options });
  return { code: 200, body: shaped(object, call, served) };
}

function checkApplied(body: unknown, target: ResourceRequest, { kind }: Served): JsonObject {
  if (!isObject(body)) throw badRequest('the applied configuration must be an object');
  if (asString(body['apiVersion']) === '' || asString(body['kind']) === '') {
    throw badRequest('apiVersion and kind must be set in an applied configuration');
  }
  const metadata = asObject(body['metadata']);
  const name = metadata['name'] ?? target.name;
  if (name !== target.name) throw badRequest(`the name of the ${kind.kind} does not match the name of the URL`);
  if (metadata['managedFields'] !== undefined) throw badRequest('metadata.managedFields must be nil');
  return body;
}

/** The decoded object without what decoding added: defaults are not this manager's wish. */
function onlySent(sent: unknown, decoded: unknown): unknown {
  if (Array.isArray(sent) && Array.isArray(decoded)) {
    return decoded.map((item, index) => onlySent((sent as unknown[])[index], item));
  }
  if (!isObject(sent) || !isObject(decoded)) return decoded;
  const kept = Object.entries(decoded).filter(([name]) => Object.hasOwn(sent, name));
  return Object.fromEntries(kept.map(([name, value]) => [name, onlySent(sent[name], value)]));
}
