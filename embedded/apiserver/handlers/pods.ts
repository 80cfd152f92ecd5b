// The subresources of pods that write: binding to a node, and eviction.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { parseBody } from '../decode.ts';
import type { Answer, Call, Environment } from '../environment.ts';
import { asArray, asObject, asString, at, isObject, type JsonObject } from '../json.ts';
import type { Served } from '../kinds/kind.ts';
import { timestamp } from '../metadata.ts';
import { isTrue, type ResourceRequest } from '../request-info.ts';
import { objectSelector } from '../selectors.ts';
import { ApiError, badRequest, conflict } from '../status.ts';
import { deleteObject, deleteOptions } from './delete.ts';
import { writeOptions } from './options.ts';
import { find } from './read.ts';
import { updateObject } from './update.ts';

const SUCCESS = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

export async function bind(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  text: string,
): Promise<Answer> {
  const node = asString(at(parseBody(text, 'application/json'), 'target.name'));
  if (node === '') throw badRequest('target.name: Required value');
  const options = writeOptions(call, 'CreateOptions');
  const produce = (pod: KubeObject): KubeObject => {
    const bound = asString(at(pod, 'spec.nodeName'));
    if (bound !== '')
      throw conflict(served.kind, target.name, `pod ${target.name} is already assigned to node "${bound}"`);
    if (pod.metadata.deletionTimestamp !== undefined) {
      throw conflict(served.kind, target.name, `pod ${target.name} is being deleted, cannot be assigned to a host`);
    }
    return { ...pod, spec: { ...asObject(pod.spec), nodeName: node } };
  };
  const whole = { ...target, subresource: '' };
  await updateObject(env, call, whole, served, { produce, operation: 'Patch', options });
  const scheduled = (pod: KubeObject): KubeObject => {
    const status = asObject(pod.status);
    const others = asArray(status['conditions']).filter((each) => asObject(each)['type'] !== 'PodScheduled');
    const condition = { type: 'PodScheduled', status: 'True', lastTransitionTime: timestamp() };
    return { ...pod, status: { ...status, conditions: [...others, condition] } };
  };
  const ofStatus = { ...target, subresource: 'status' };
  await updateObject(env, call, ofStatus, served, { produce: scheduled, operation: 'Patch', options });
  return { code: 201, body: SUCCESS };
}

export async function evict(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  text: string,
): Promise<Answer> {
  const body = parseBody(text, 'application/json');
  if (!isObject(body)) throw badRequest('the body of the request is not an Eviction');
  const pod = find(env, target, served);
  const options = deleteOptions(call.query, { kind: 'DeleteOptions', ...asObject(body['deleteOptions']) });
  const eviction = body as JsonObject & KubeObject;
  const review = {
    ...{
      operation: 'CREATE' as const,
      served,
      namespace: target.namespace,
      name: target.name,
      subresource: 'eviction',
    },
    ...{ oldObject: undefined, user: call.user, warnings: call.warnings, options: options.raw },
    ...{
      object: { ...eviction, metadata: asObject(eviction.metadata) },
      dryRun: options.dryRun || isTrue(call.query.get('dryRun')),
    },
  };
  await env.admission.mutate(review);
  await env.admission.validate(review);
  const budget = disruptionsLeft(env, pod);
  if (budget !== undefined && budget.left <= 0) {
    const cause = {
      reason: 'DisruptionBudget',
      message: `The disruption budget ${budget.name} does not allow for disrupting the pod right now`,
    };
    throw new ApiError(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
      causes: [cause],
    });
  }
  await deleteObject(env, call, pod, served, options);
  return { code: 201, body: SUCCESS };
}

/** How many of the pods under this pod's budget may still go; undefined where it has no budget. */
function disruptionsLeft(env: Environment, pod: KubeObject): { name: string; left: number } | undefined {
  const { namespace = '', labels = {} } = pod.metadata;
  const phase = at(pod, 'status.phase');
  if (phase === 'Succeeded' || phase === 'Failed' || phase === 'Pending') return undefined;
  for (const budget of env.store.list('policy/poddisruptionbudgets', namespace)) {
    const selects = objectSelector(at(budget, 'spec.selector'));
    if (at(budget, 'spec.selector') === undefined || !selects(labels)) continue;
    const pods = env.store.list('/pods', namespace).filter((each) => selects(each.metadata.labels ?? {}));
    const healthy = pods.filter((each) => each.metadata.deletionTimestamp === undefined && isReady(each)).length;
    const { minAvailable, maxUnavailable } = asObject(budget.spec);
    const left =
      minAvailable === undefined
        ? share(maxUnavailable ?? 0, pods.length) - (pods.length - healthy)
        : healthy - share(minAvailable, pods.length);
    return { name: budget.metadata.name ?? '', left };
  }
  return undefined;
}

function isReady(pod: KubeObject): boolean {
  return asArray(at(pod, 'status.conditions')).some(
    (each) => asObject(each)['type'] === 'Ready' && asObject(each)['status'] === 'True',
  );
}

/** An absolute number, or a percentage of `total` rounded up. */
function share(value: unknown, total: number): number {
  const text = String(value);
  return text.endsWith('%') ? Math.ceil((Number(text.slice(0, -1)) / 100) * total) : Number(text);
}
