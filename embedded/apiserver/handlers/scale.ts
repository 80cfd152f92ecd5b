// The scale subresource of CRDs: a view of two fields, and a way to write one.
import type { KubeObject } from '../../../core/kube/objects.ts';
import { parseBody } from '../decode.ts';
import type { Answer, Call, Environment } from '../environment.ts';
import { asObject, at, type JsonObject, withAt, without } from '../json.ts';
import type { Scale, Served } from '../kinds/kind.ts';
import { applyJsonPatch } from '../patch/json-patch.ts';
import { mergePatch } from '../patch/merge.ts';
import type { ResourceRequest } from '../request-info.ts';
import { badRequest, invalid, methodNotAllowed } from '../status.ts';
import { invalidValue } from '../schema/validate.ts';
import { present } from '../versions.ts';
import { writeOptions } from './options.ts';
import { find } from './read.ts';
import { updateObject } from './update.ts';

export async function scale(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  served: Served,
  settings: Scale,
  text: string,
  type: string,
): Promise<Answer> {
  const current = present(find(env, target, served), served);
  if (target.verb === 'get') return { code: 200, body: scaleOf(current, settings) };
  if (target.verb !== 'update' && target.verb !== 'patch') throw methodNotAllowed();
  const options = writeOptions(call, target.verb === 'update' ? 'UpdateOptions' : 'PatchOptions');
  const body = parseBody(text, type);
  const produce = (object: KubeObject): KubeObject => {
    const wanted = asObject(target.verb === 'update' ? body : patched(scaleOf(object, settings), body, type));
    const replicas = Number(at(wanted, 'spec.replicas') ?? 0);
    if (!Number.isInteger(replicas) || replicas < 0) {
      const cause = invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0');
      throw invalid('autoscaling', 'Scale', target.name, [cause]);
    }
    const revision = at(wanted, 'metadata.resourceVersion');
    const changed = withAt(object, steps(settings.specReplicasPath), replicas) as KubeObject;
    const metadata = without(changed.metadata, 'resourceVersion');
    const isNamed = target.verb === 'update' && typeof revision === 'string';
    return { ...changed, metadata: isNamed ? { ...metadata, resourceVersion: revision } : metadata };
  };
  const whole = { ...target, subresource: '' };
  const object = await updateObject(env, call, whole, served, { produce, operation: 'Update', options });
  return { code: 200, body: scaleOf(object, settings) };
}

function scaleOf(object: KubeObject, settings: Scale): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = settings.labelSelectorPath === undefined ? undefined : get(object, settings.labelSelectorPath);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: Number(get(object, settings.specReplicasPath) ?? 0) },
    status: {
      replicas: Number(get(object, settings.statusReplicasPath) ?? 0),
      ...(typeof selector === 'string' ? { selector } : {}),
    },
  };
}

function patched(scaleObject: JsonObject, body: unknown, type: string): unknown {
  if (type === 'application/json-patch+json') return applyJsonPatch(scaleObject, body);
  if (type === 'application/merge-patch+json') return mergePatch(scaleObject, body);
  throw badRequest('a scale takes JSON and merge patches');
}

function steps(path: string): string[] {
  return path.replace(/^\./, '').split('.');
}

function get(object: KubeObject, path: string): unknown {
  return at(object, steps(path).join('.'));
}
