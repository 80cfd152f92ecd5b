// Refusals as Kubernetes Status documents, in the words that KubeVirt's clients know.
import { KubeError } from '../core/index.ts';

const SINGULAR: Readonly<Record<string, string>> = {
  virtualmachines: 'virtualmachine',
  virtualmachineinstances: 'virtualmachineinstance',
};

/** `virtualmachineinstance.kubevirt.io`, as KubeVirt names the object of an error. */
function nameOf(resource: string): string {
  return `${SINGULAR[resource] ?? resource}.kubevirt.io`;
}

export function badRequest(message: string): KubeError {
  return new KubeError(400, 'BadRequest', message);
}

export function unauthorized(message: string): KubeError {
  return new KubeError(401, 'Unauthorized', message);
}

export function forbidden(message: string): KubeError {
  return new KubeError(403, 'Forbidden', message);
}

export function notFound(resource: string, name: string): KubeError {
  return new KubeError(404, 'NotFound', `${nameOf(resource)} "${name}" not found`, detailsOf(resource, name));
}

export function conflict(resource: string, name: string, why: string): KubeError {
  const message = `Operation cannot be fulfilled on ${nameOf(resource)} "${name}": ${why}`;
  return new KubeError(409, 'Conflict', message, detailsOf(resource, name));
}

export function tooMany(message: string): KubeError {
  return new KubeError(429, 'TooManyRequests', message, { retryAfterSeconds: 10 });
}

export function notImplemented(message: string): KubeError {
  return new KubeError(501, 'NotImplemented', message);
}

export function unavailable(message: string): KubeError {
  return new KubeError(503, 'ServiceUnavailable', message);
}

export function noSuchPath(): KubeError {
  return new KubeError(404, 'NotFound', 'the server could not find the requested resource');
}

function detailsOf(resource: string, name: string): { name: string; group: string; kind: string } {
  return { name, group: 'kubevirt.io', kind: SINGULAR[resource] ?? resource };
}

/** The answer to a request that failed with `error`: what is no KubeError is our own fault and says no more than that. */
export function statusOf(error: unknown): { code: number; body: Record<string, unknown> } {
  const known = error instanceof KubeError ? error : new KubeError(500, 'InternalError', 'Internal error occurred');
  // Code 0: the API server did not answer us.
  const code = known.code === 0 ? 503 : known.code;
  const { reason, message, details } = known;
  const body = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details, code };
  return { code, body };
}
