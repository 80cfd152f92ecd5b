// What can go wrong between us and a libvirt daemon, each with a class of its own.

/** libvirt's error numbers (virErrorNumber) that callers tell apart. */
export const ErrorCode = {
  internal: 1,
  operationFailed: 9,
  /** XML that means nothing, and XML that cannot be parsed. */
  xml: 27,
  domainExists: 28,
  xmlSyntax: 35,
  noDomain: 42,
  operationInvalid: 55,
  operationTimeout: 68,
  operationAborted: 78,
  migrateUnsafe: 81,
  operationUnsupported: 84,
  agentUnresponsive: 86,
  deviceMissing: 99,
} as const;

/** The daemon answered a call with an error. `code` and `domain` are libvirt's virErrorNumber and virErrorDomain, `level` is 1 (warning) or 2 (error). */
export class LibvirtError extends Error {
  override readonly name = 'LibvirtError';
  readonly code: number;
  readonly domain: number;
  readonly level: number;

  constructor(fields: { code: number; domain: number; level: number; message: string }) {
    super(fields.message);
    this.code = fields.code;
    this.domain = fields.domain;
    this.level = fields.level;
  }
}

/** The other side sent bytes that are not libvirt's protocol. The connection is closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';

  constructor(what: string) {
    super(`not libvirt's protocol: ${what}; is this the socket of a libvirt daemon?`);
  }
}

/** The connection is gone: calls under way fail with this, and so does every later one. Connect again. */
export class ConnectionClosedError extends Error {
  override readonly name = 'ConnectionClosedError';
}

/** No answer within the deadline. The daemon may still carry the call out: read its state before doing it again. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';

  constructor(what: string, ms: number) {
    super(`${what}: no answer within ${ms} ms; the daemon may still carry it out`);
  }
}

/** The daemon wants an authentication that this client does not speak. */
export class AuthenticationError extends Error {
  override readonly name = 'AuthenticationError';

  constructor(types: readonly number[]) {
    super(
      `the daemon offers only authentication ${types.join(', ')}; set auth_unix_rw = "none" in its libvirtd.conf and guard the socket by its mode`,
    );
  }
}

/** True for the daemon's answer "there is no such domain". */
export function isNoDomain(error: unknown): boolean {
  return error instanceof LibvirtError && error.code === ErrorCode.noDomain;
}
