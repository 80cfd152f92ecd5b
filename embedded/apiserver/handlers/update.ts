// update: one path for PUT and every kind of patch, of an object or of its status.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { RevisionConflict } from '../../store/store.ts';
import { decodeObject, schemaCauses } from '../decode.ts';
import type { Answer, Call, Environment } from '../environment.ts';
import { equal, without } from '../json.ts';
import type { Served } from '../kinds/kind.ts';
import { described, metadataForUpdate, validateMetadata } from '../metadata.ts';
import { trackUpdate } from '../patch/apply.ts';
import type { ResourceRequest } from '../request-info.ts';
import { type Cause, conflict, invalid, MODIFIED } from '../status.ts';
import { strategyOf } from '../strategy/index.ts';
import type { Strategy } from '../strategy/strategy.ts';
import { present, toStored } from '../versions.ts';
import { optionsObject, type WriteOptions, writeOptions } from './options.ts';
import { find, shaped } from './read.ts';

export interface Change {
  /** The wanted object, decoded, from the current one. Called again when somebody else wrote in between. */
  produce: (current: KubeObject) => KubeObject;
  /** `Apply` keeps its own books of field owners. */
  operation: 'Update' | 'Patch' | 'Apply';
  options: WriteOptions;
}

const MAX_ATTEMPTS = 5;

export async function replace(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  body: unknown,
): Promise<Answer> {
  const options = writeOptions(call, 'UpdateOptions');
  const sent = decodeObject(body, served, options.fieldValidation, call.warnings);
  if ((sent.metadata.name ?? target.name) !== target.name) {
    const causes: Cause[] = [
      {
        reason: 'FieldValueInvalid',
        message: `Invalid value: ${JSON.stringify(sent.metadata.name)}: must be the name of the URL`,
        field: 'metadata.name',
      },
    ];
    throw invalid(served.kind.group, served.kind.kind, target.name, causes);
  }
  const object = await updateObject(env, call, target, served, { produce: () => sent, operation: 'Update', options });
  return { code: 200, body: shaped(object, call, served) };
}

/** Changes an object and answers it as its version shows it. Writes nothing where nothing changed. */
export async function updateObject(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  change: Change,
): Promise<KubeObject> {
  for (let attempt = 1; ; attempt += 1) {
    const stored = find(env, target, served);
    const old = present(stored, served);
    const wanted = change.produce(old);
    checkPreconditions(old, wanted, target, served);
    try {
      return await attemptUpdate(env, call, target, served, change, stored, old, wanted);
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
      // Who named a revision wanted that one; a patch without one is simply done again on what is there now.
      const insists = change.operation === 'Update' && wanted.metadata.resourceVersion !== undefined;
      if (insists || attempt === MAX_ATTEMPTS) throw conflict(served.kind, target.name, MODIFIED);
    }
  }
}

async function attemptUpdate(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  change: Change,
  stored: KubeObject,
  old: KubeObject,
  wanted: KubeObject,
): Promise<KubeObject> {
  const { kind } = served;
  const { options } = change;
  const { subresource } = target;
  const strategy = strategyOf(kind.storage);
  const context = { store: env.store, registry: env.registry, user: call.user };
  const prepare = (object: KubeObject): KubeObject => {
    const scoped = scopeTo(subresource, old, object, served);
    return subresource === 'status' ? scoped : (strategy.prepare?.(scoped, old, context) ?? scoped);
  };
  const prepared = prepare(wanted);
  const isApply = change.operation === 'Apply';
  const optionsKind = change.operation === 'Update' ? 'UpdateOptions' : 'PatchOptions';
  const review = {
    ...{ operation: 'UPDATE' as const, served, namespace: target.namespace, name: target.name, subresource },
    ...{ oldObject: old, user: call.user, dryRun: options.dryRun, warnings: call.warnings },
    options: optionsObject(optionsKind, options),
  };
  const admitted = (await env.admission.mutate({ ...review, object: prepared })) ?? prepared;
  let object = admitted === prepared ? prepared : prepare(decodeObject(admitted, served, 'Ignore', []));
  const isDescribed = kind.hasGeneration && !equal(described(old), described(object));
  if (isDescribed) {
    const generation = (old.metadata.generation ?? 1) + 1;
    object = { ...object, metadata: { ...object.metadata, generation } };
  }
  if (!isApply) {
    const request = { manager: options.fieldManager, subresource, apiVersion: old.apiVersion };
    const { schema, resolve } = served.version;
    object = trackUpdate(old, object, schema, resolve, request) as KubeObject;
  }
  const causes = validateUpdate(object, old, served, strategy, context, subresource);
  if (causes.length > 0) throw invalid(kind.group, kind.kind, target.name, causes);
  await env.admission.validate({ ...review, object });

  if (env.store.get(kind.storage, target.namespace, target.name) !== stored) throw new RevisionConflict('changed');
  if (equal(withoutRevision(old), withoutRevision(object))) return old;
  if (options.dryRun) return object;
  const next = toStored(object, served);
  const result = isFinished(object, served)
    ? env.store.delete(kind.storage, stored)
    : env.store.update(kind.storage, stored, next);
  await env.store.durable();
  return present(result, served);
}

/** The part of the object that this path may change; the rest is the old object's. */
function scopeTo(subresource: string, old: KubeObject, wanted: KubeObject, { kind, version }: Served): KubeObject {
  const metadata = withRevision(metadataForUpdate(old.metadata, wanted.metadata), old);
  if (subresource === 'status') {
    const { managedFields } = wanted.metadata;
    const kept = kind.custom ? { ...old.metadata, ...(managedFields ? { managedFields } : {}) } : metadata;
    return { ...old, metadata: kept, ...statusOf(wanted) };
  }
  if (!version.hasStatus) return { ...wanted, metadata };
  return { ...without(wanted, 'status'), metadata, ...statusOf(old) };
}

function statusOf(object: KubeObject): { status?: unknown } {
  return object.status === undefined ? {} : { status: object.status };
}

function withRevision(metadata: KubeObject['metadata'], old: KubeObject): KubeObject['metadata'] {
  const { resourceVersion } = old.metadata;
  return resourceVersion === undefined ? metadata : { ...metadata, resourceVersion };
}

function withoutRevision(object: KubeObject): KubeObject {
  return { ...object, metadata: without(object.metadata, 'resourceVersion') };
}

function checkPreconditions(old: KubeObject, wanted: KubeObject, target: ResourceRequest, { kind }: Served): void {
  const { uid, resourceVersion } = wanted.metadata;
  if (uid !== undefined && uid !== '' && uid !== old.metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid ?? ''}`;
    throw conflict(kind, target.name, why);
  }
  const given = resourceVersion ?? '';
  if (given !== '' && given !== '0' && given !== old.metadata.resourceVersion) {
    throw conflict(kind, target.name, MODIFIED);
  }
}

function validateUpdate(
  object: KubeObject,
  old: KubeObject,
  served: Served,
  strategy: Strategy,
  context: Parameters<NonNullable<Strategy['validate']>>[2],
  subresource: string,
): Cause[] {
  const causes = [...validateMetadata(object, served.kind), ...schemaCauses(object, served)];
  if (subresource !== 'status') causes.push(...(strategy.validate?.(object, old, context) ?? []));
  if (old.metadata.deletionTimestamp === undefined) return causes;
  const before = new Set(old.metadata.finalizers ?? []);
  const added = (object.metadata.finalizers ?? []).filter((finalizer) => !before.has(finalizer));
  if (added.length === 0) return causes;
  const message = `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`;
  return [...causes, { reason: 'FieldValueForbidden', message, field: 'metadata.finalizers' }];
}

/** An object on its way out goes when its last finalizer does, and nobody still has time to shut it down. */
export function isFinished(object: KubeObject, { kind }: Served): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0 || kind.storage === '/namespaces') return false;
  return deletionGracePeriodSeconds === 0;
}
