// Refusals, as Kubernetes words them: an error that knows its HTTP code and its Status body.

export interface Cause {
  reason: string;
  message: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: Cause[];
  retryAfterSeconds?: number;
}

export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: object;
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code: number;
}

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  body(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

/** What refusals say of a resource: its group and plural. */
export interface Named {
  group: string;
  plural: string;
}

/** `pods` or `virtualmachines.kubevirt.io`. */
export function qualified({ group, plural }: Named): string {
  return group === '' ? plural : `${plural}.${group}`;
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

export function notFound(resource: Named, name: string): ApiError {
  const details = { name, group: resource.group, kind: resource.plural };
  return new ApiError(404, 'NotFound', `${qualified(resource)} "${name}" not found`, details);
}

/** The answer to a path that names nothing we serve. */
export function unknownPath(): ApiError {
  return new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function alreadyExists(resource: Named, name: string): ApiError {
  const details = { name, group: resource.group, kind: resource.plural };
  return new ApiError(409, 'AlreadyExists', `${qualified(resource)} "${name}" already exists`, details);
}

export function conflict(resource: Named, name: string, why: string): ApiError {
  const details = { name, group: resource.group, kind: resource.plural };
  const message = `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`;
  return new ApiError(409, 'Conflict', message, details);
}

export const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again';

export function forbidden(resource: Named, name: string, why: string): ApiError {
  const details = { ...(name === '' ? {} : { name }), group: resource.group, kind: resource.plural };
  const subject = name === '' ? qualified(resource) : `${qualified(resource)} "${name}"`;
  return new ApiError(403, 'Forbidden', `${subject} is forbidden: ${why}`, details);
}

/** 422 with one cause a broken field. */
export function invalid(group: string, kind: string, name: string, causes: Cause[]): ApiError {
  const lines = causes.map((cause) => `${cause.field ?? ''}: ${cause.message}`);
  const told = lines.length === 1 ? (lines[0] ?? '') : `[${lines.join(', ')}]`;
  const subject = group === '' ? kind : `${kind}.${group}`;
  return new ApiError(422, 'Invalid', `${subject} "${name}" is invalid: ${told}`, { name, group, kind, causes });
}

export function expired(message: string): ApiError {
  return new ApiError(410, 'Expired', message);
}

export function methodNotAllowed(): ApiError {
  return new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});
}
