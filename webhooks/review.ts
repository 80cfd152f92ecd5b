// AdmissionReview in, AdmissionReview out (admission.k8s.io/v1).
import jsonPatch from 'fast-json-patch';
import { admit, applyDefaults } from '../core/admission.ts';
import { messageOf, VirtloomError } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import type { KubeObject } from '../core/kube/objects.ts';
import { withDefaults } from '../core/record.ts';
import { type AdmissionRequest, isPlatform } from '../core/vmi-admission.ts';
import type { Cause } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';

export interface ReviewRequest {
  uid: string;
  operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  namespace?: string;
  name?: string;
  object?: KubeObject | null;
  oldObject?: KubeObject | null;
  userInfo?: { username?: string; groups?: string[] };
}

export interface ReviewResponse {
  uid: string;
  allowed: boolean;
  warnings?: string[];
  patchType?: 'JSONPatch';
  patch?: string;
  status?: { code: number; reason: string; message: string; details?: { causes: KubeCause[] } };
}

/** metav1.StatusCause. */
interface KubeCause {
  reason: string;
  message: string;
  field: string;
}

function requestOf(review: ReviewRequest): AdmissionRequest | undefined {
  const { operation } = review;
  if (operation === 'CONNECT') return undefined;
  const object = operation === 'DELETE' ? review.oldObject : review.object;
  if (!object) return undefined;
  const metadata = { ...object.metadata };
  if (metadata.namespace === undefined && review.namespace) metadata.namespace = review.namespace;
  return {
    operation,
    object: { ...object, metadata },
    ...(review.oldObject ? { old: review.oldObject } : {}),
    user: { username: review.userInfo?.username ?? '', groups: review.userInfo?.groups ?? [] },
  };
}

/** One message for people (the first cause, and how many more), every cause for programs. */
function denied(uid: string, causes: readonly Cause[], warnings: readonly string[]): ReviewResponse {
  const message = causes.map((cause) => cause.message).join(', ');
  return {
    uid,
    allowed: false,
    ...(warnings.length > 0 ? { warnings: [...warnings] } : {}),
    status: {
      code: 422,
      reason: 'Invalid',
      message,
      details: { causes: causes.map(({ reason, message: text, field }) => ({ reason, message: text, field })) },
    },
  };
}

/** A tap that failed under `failurePolicy: Fail`: the object cannot be judged. */
function broken(uid: string, error: unknown): ReviewResponse {
  const reason = error instanceof VirtloomError ? error.code : 'InternalError';
  return { uid, allowed: false, status: { code: 500, reason, message: messageOf(error) } };
}

/** Defaults and presets, as a JSON patch. */
export async function mutate(host: Host, review: ReviewRequest): Promise<ReviewResponse> {
  const request = requestOf(review);
  const { uid } = review;
  if (!request) return { uid, allowed: true };
  try {
    const { object: filled, record, causes, warnings } = await applyDefaults(host, request);
    if (causes.length > 0) return denied(uid, causes, warnings);
    const isNewVmi = request.operation === 'CREATE' && filled.kind === VMIS.kind;
    const object = isNewVmi ? withDefaults(filled, record) : filled;
    const patch = object === request.object ? [] : jsonPatch.compare(review.object ?? {}, object);
    return {
      uid,
      allowed: true,
      ...(warnings.length > 0 ? { warnings: [...warnings] } : {}),
      ...(patch.length > 0
        ? { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }
        : {}),
    };
  } catch (error) {
    host.log.error({ err: error, kind: request.object.kind, name: review.name }, 'defaults failed');
    return broken(uid, error);
  }
}

/** Every rule; all causes at once. */
export async function validate(host: Host, review: ReviewRequest): Promise<ReviewResponse> {
  const request = requestOf(review);
  const { uid } = review;
  // The platform's own updates change status and metadata of what was admitted before.
  if (!request || (request.operation === 'UPDATE' && isPlatform(request.user))) return { uid, allowed: true };
  // An object on its way out must not be held up by a rule it no longer meets.
  if (request.operation === 'UPDATE' && request.object.metadata.deletionTimestamp !== undefined) {
    return { uid, allowed: true };
  }
  try {
    const { causes, warnings } = await admit(host, request);
    if (causes.length > 0) return denied(uid, causes, warnings);
    return { uid, allowed: true, ...(warnings.length > 0 ? { warnings } : {}) };
  } catch (error) {
    host.log.error({ err: error, kind: request.object.kind, name: review.name }, 'rules failed');
    return broken(uid, error);
  }
}
