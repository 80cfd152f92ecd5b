// delete and deletecollection: grace periods, finalizers, propagation, preconditions.
import type { KubeObject } from '../../../core/kube/objects.ts';
import type { Answer, Call, Environment } from '../environment.ts';
import { asObject, asString, at, isObject, type JsonObject } from '../json.ts';
import { apiVersion, type Served } from '../kinds/kind.ts';
import { timestamp } from '../metadata.ts';
import { isTrue, type ResourceRequest } from '../request-info.ts';
import { badRequest, conflict, forbidden } from '../status.ts';
import { isBound } from '../strategy/pods.ts';
import { present } from '../versions.ts';
import { find, select, shaped } from './read.ts';
import { isFinished } from './update.ts';

export const FOREGROUND = 'foregroundDeletion';
export const ORPHAN = 'orphan';

interface DeleteOptions {
  gracePeriodSeconds: number | undefined;
  propagation: string;
  preconditions: JsonObject;
  dryRun: boolean;
  raw: JsonObject;
}

export function deleteOptions(query: URLSearchParams, body: unknown): DeleteOptions {
  const sent = isObject(body) && (body['kind'] === 'DeleteOptions' || body['kind'] === undefined) ? body : {};
  const grace = query.get('gracePeriodSeconds') ?? sent['gracePeriodSeconds'];
  const orphans = query.get('orphanDependents') ?? sent['orphanDependents'];
  const asked = query.get('propagationPolicy') ?? asString(sent['propagationPolicy']);
  const propagation =
    asked !== ''
      ? asked
      : orphans === undefined || orphans === null
        ? ''
        : isTrue(String(orphans))
          ? 'Orphan'
          : 'Background';
  if (!['', 'Background', 'Foreground', 'Orphan'].includes(propagation)) {
    throw badRequest(`propagationPolicy: Unsupported value: "${propagation}"`);
  }
  return {
    gracePeriodSeconds: grace === undefined || grace === null ? undefined : Number(grace),
    propagation,
    preconditions: asObject(sent['preconditions']),
    dryRun: query.getAll('dryRun').includes('All') || (Array.isArray(sent['dryRun']) && sent['dryRun'].includes('All')),
    raw: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', ...sent },
  };
}

export async function remove(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  body: unknown,
): Promise<Answer> {
  const { kind } = served;
  const options = deleteOptions(call.query, body);
  const stored = find(env, target, served);
  const result = await deleteObject(env, call, stored, served, options);
  if (result.isGone && kind.storage !== '/pods') {
    const details = { name: target.name, group: kind.group, kind: kind.plural, uid: stored.metadata.uid };
    return { code: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details } };
  }
  return { code: 200, body: shaped(present(result.object, served), call, served) };
}

export async function removeCollection(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  body: unknown,
): Promise<Answer> {
  const options = deleteOptions(call.query, body);
  const items = select(env, call.query, target, served);
  const removed: KubeObject[] = [];
  for (const item of items) removed.push((await deleteObject(env, call, item, served, options)).object);
  const { kind, version } = served;
  const head = { kind: `${kind.kind}List`, apiVersion: apiVersion(kind.group, version.name) };
  const metadata = { resourceVersion: String(env.store.revision) };
  return { code: 200, body: { ...head, metadata, items: removed.map((item) => present(item, served)) } };
}

/** Deletes an object, or marks it as being deleted where something must happen first. */
export async function deleteObject(
  env: Environment,
  call: Pick<Call, 'user' | 'warnings'>,
  first: KubeObject,
  served: Served,
  options: DeleteOptions,
): Promise<{ object: KubeObject; isGone: boolean }> {
  const { kind } = served;
  const { name = '', namespace = '' } = first.metadata;
  await env.admission.validate({
    ...{ operation: 'DELETE', served, namespace, name, subresource: '', object: undefined },
    ...{ oldObject: present(first, served), user: call.user, dryRun: options.dryRun },
    ...{ options: options.raw, warnings: call.warnings },
  });
  // Admission took time: what is there now is what gets deleted.
  const stored = env.store.get(kind.storage, namespace, name);
  if (stored === undefined || stored.metadata.uid !== first.metadata.uid) return { object: first, isGone: true };
  checkPreconditions(stored, options.preconditions, served);
  if (kind.storage === '/namespaces' && PROTECTED.has(name)) {
    throw forbidden(kind, name, 'this namespace may not be deleted');
  }
  const marked = mark(stored, served, options);
  if (options.dryRun) return { object: marked, isGone: isFinished(marked, served) };
  if (isFinished(marked, served)) {
    const object = env.store.delete(kind.storage, stored);
    await env.store.durable();
    return { object, isGone: true };
  }
  const object = marked === stored ? stored : env.store.update(kind.storage, stored, marked);
  await env.store.durable();
  return { object, isGone: false };
}

const PROTECTED = new Set(['default', 'kube-system', 'kube-public']);

/** The object with its deletion time, grace period and the finalizers that propagation asks for. */
function mark(stored: KubeObject, { kind }: Served, options: DeleteOptions): KubeObject {
  const grace = gracePeriod(stored, kind.storage, options);
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = stored.metadata;
  if (deletionTimestamp !== undefined) {
    if (grace >= deletionGracePeriodSeconds) return stored;
    const metadata = { ...stored.metadata, deletionGracePeriodSeconds: grace, deletionTimestamp: inSeconds(grace) };
    return { ...stored, metadata };
  }
  const extra = options.propagation === 'Foreground' ? [FOREGROUND] : options.propagation === 'Orphan' ? [ORPHAN] : [];
  const kept = finalizers.filter((finalizer) => finalizer !== FOREGROUND && finalizer !== ORPHAN);
  const all = options.propagation === '' ? finalizers : [...kept, ...extra];
  const { generation } = stored.metadata;
  const metadata: KubeObject['metadata'] = {
    ...stored.metadata,
    ...(all.length > 0 ? { finalizers: all } : {}),
    ...(generation === undefined ? {} : { generation: generation + 1 }),
    ...{ deletionTimestamp: inSeconds(grace), deletionGracePeriodSeconds: grace },
  };
  if (all.length === 0) Reflect.deleteProperty(metadata, 'finalizers');
  if (kind.storage === '/namespaces')
    return { ...stored, metadata, status: { ...asObject(stored.status), phase: 'Terminating' } };
  return { ...stored, metadata };
}

function gracePeriod(stored: KubeObject, storage: string, options: DeleteOptions): number {
  if (storage !== '/pods') return 0;
  const phase = at(stored, 'status.phase');
  // Nobody would ever report the end of a pod that no node has, or that already ended.
  if (!isBound(stored) || phase === 'Succeeded' || phase === 'Failed') return 0;
  const own = Number(at(stored, 'spec.terminationGracePeriodSeconds') ?? 30);
  return Math.max(0, options.gracePeriodSeconds ?? own);
}

function inSeconds(seconds: number): string {
  return timestamp(new Date(Date.now() + seconds * 1000));
}

function checkPreconditions(stored: KubeObject, preconditions: JsonObject, { kind }: Served): void {
  const { uid, resourceVersion, name = '' } = stored.metadata;
  const wanted = asString(preconditions['uid']);
  if (wanted !== '' && wanted !== uid) {
    const why = `Precondition failed: UID in precondition: ${wanted}, UID in object meta: ${uid ?? ''}`;
    throw conflict(kind, name, why);
  }
  const revision = asString(preconditions['resourceVersion']);
  if (revision !== '' && revision !== resourceVersion) {
    const why = `Precondition failed: ResourceVersion in precondition: ${revision}, ResourceVersion in object meta: ${resourceVersion ?? ''}`;
    throw conflict(kind, name, why);
  }
}
