// What goes wrong between us and the API server, as one error with Kubernetes' own code and reason.

export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

/** A Kubernetes Status object (metav1.Status), as the API server answers a failure. */
export interface Status {
  kind?: 'Status';
  apiVersion?: 'v1';
  metadata?: Record<string, never>;
  status?: string;
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code?: number;
}

/** Reasons for a body that is no Status (a proxy's error page), by HTTP code. */
const REASONS: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Gone',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/**
 * A request that failed. `code` is the HTTP status, or 0 where no answer came: then `reason` is `Unreachable` (connection
 * refused, cut, bad certificate) or `Timeout`. `reason` is Kubernetes' StatusReason: NotFound, Conflict, Invalid, ...
 */
export class KubeError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails;

  constructor(code: number, reason: string, message: string, details: StatusDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'KubeError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  /** From an answer's body: a Status, or anything else (then the code speaks for itself). */
  static fromBody(code: number, body: string, what: string): KubeError {
    const status = parseStatus(body);
    if (status === undefined) {
      return new KubeError(code, REASONS[code] ?? 'Unknown', `${what}: ${code} ${body.trim().slice(0, 200)}`.trim());
    }
    return KubeError.fromStatus({ code, ...status }, what);
  }

  static fromStatus(status: Status, what: string): KubeError {
    const code = status.code ?? 500;
    const reason = status.reason ?? REASONS[code] ?? 'Unknown';
    return new KubeError(
      code,
      reason === '' ? 'Unknown' : reason,
      status.message ?? `${what}: ${reason}`,
      status.details,
    );
  }
}

function parseStatus(body: string): Status | undefined {
  if (!body.startsWith('{')) return undefined;
  try {
    const parsed = JSON.parse(body) as { kind?: unknown };
    return parsed.kind === 'Status' ? (parsed as Status) : undefined;
  } catch {
    return undefined;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubeError && error.code === 404;
}

/** The object changed since it was read: read again and retry. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.reason === 'Conflict';
}

export function isAlreadyExists(error: unknown): boolean {
  return error instanceof KubeError && error.reason === 'AlreadyExists';
}

/** The resourceVersion is too old to watch or page from: list again. */
export function isGone(error: unknown): boolean {
  return error instanceof KubeError && (error.code === 410 || error.reason === 'Expired' || error.reason === 'Gone');
}
