// create: decode, admit, check, store.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { decodeObject, schemaCauses } from '../decode.ts';
import type { Answer, Call, Environment } from '../environment.ts';
import type { Served } from '../kinds/kind.ts';
import { metadataForCreate, validateMetadata } from '../metadata.ts';
import type { ResourceRequest } from '../request-info.ts';
import { alreadyExists, ApiError, badRequest, forbidden, invalid, notFound, qualified } from '../status.ts';
import { strategyOf } from '../strategy/index.ts';
import { present, toStored } from '../versions.ts';
import { optionsObject, type WriteOptions, writeOptions } from './options.ts';
import { shaped } from './read.ts';

const NAMESPACES = { group: '', plural: 'namespaces' };

export async function create(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  body: unknown,
): Promise<Answer> {
  const options = writeOptions(call, 'CreateOptions');
  const sent = decodeObject(body, served, options.fieldValidation, call.warnings);
  if (target.name !== '') throw new ApiError(405, 'MethodNotAllowed', 'POST makes an object in a collection', {});
  const object = await createObject(env, call, target, served, sent, options);
  return { code: 201, body: shaped(object, call, served) };
}

/** Makes an object and answers it as its version shows it. */
export async function createObject(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  sent: KubeObject,
  options: WriteOptions,
): Promise<KubeObject> {
  const { kind, version } = served;
  const namespace = kind.namespaced ? target.namespace : '';
  if (kind.namespaced) checkNamespace(env, sent, namespace, served);
  if (sent.metadata.resourceVersion !== undefined) {
    throw badRequest('resourceVersion should not be set on objects to be created');
  }
  const strategy = strategyOf(kind.storage);
  const context = { store: env.store, registry: env.registry, user: call.user };
  const start: KubeObject = { ...sent, metadata: metadataForCreate(sent.metadata, namespace, kind) };
  if (version.hasStatus && !kind.keepsStatus) Reflect.deleteProperty(start, 'status');
  const prepare = (object: KubeObject): KubeObject => strategy.prepare?.(object, undefined, context) ?? object;

  const review = {
    ...{ operation: 'CREATE' as const, served, namespace, name: start.metadata.name ?? '', subresource: '' },
    ...{ oldObject: undefined, user: call.user, dryRun: options.dryRun, warnings: call.warnings },
    options: optionsObject('CreateOptions', options),
  };
  const prepared = prepare(start);
  const admitted = (await env.admission.mutate({ ...review, object: prepared })) ?? prepared;
  const object =
    admitted === prepared
      ? prepared
      : prepare({
          ...decodeObject(admitted, served, 'Ignore', []),
          metadata: { ...decodeObject(admitted, served, 'Ignore', []).metadata, ...identity(start) },
        });
  const { name = '' } = object.metadata;
  const causes = [...validateMetadata(object, kind), ...schemaCauses(object, served)];
  causes.push(...(strategy.validate?.(object, undefined, context) ?? []));
  if (causes.length > 0) throw invalid(kind.group, kind.kind, name || (start.metadata.generateName ?? ''), causes);
  await env.admission.validate({ ...review, name, object });

  // From here to the write nothing waits: what was checked still holds.
  if (kind.namespaced) checkNamespace(env, sent, namespace, served);
  if (env.store.get(kind.storage, namespace, name) !== undefined) throw alreadyExists(kind, name);
  if (options.dryRun) return object;
  const stored = env.store.create(kind.storage, toStored(object, served));
  await env.store.durable();
  return present(stored, served);
}

/** What admission may not change. */
function identity({ metadata }: KubeObject): Partial<KubeObject['metadata']> {
  const { uid, creationTimestamp, namespace, generation } = metadata;
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(generation === undefined ? {} : { generation }),
  };
}

function checkNamespace(env: Environment, sent: KubeObject, namespace: string, { kind }: Served): void {
  if (namespace === '') throw badRequest(`the namespace of ${qualified(kind)} is missing from the path`);
  const own = sent.metadata.namespace;
  if (own !== undefined && own !== '' && own !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  const found = env.store.get('/namespaces', '', namespace);
  if (found === undefined) throw notFound(NAMESPACES, namespace);
  if (found.metadata.deletionTimestamp === undefined) return;
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  const refusal = forbidden(kind, sent.metadata.name ?? '', why);
  const cause = { reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated` };
  throw new ApiError(403, 'Forbidden', refusal.message, {
    ...refusal.details,
    causes: [{ ...cause, field: 'metadata.namespace' }],
  });
}
