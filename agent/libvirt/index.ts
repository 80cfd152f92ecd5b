// The libvirt client's public entry.
export { Connection } from './connection.ts';
export type { CallOptions, ConnectOptions } from './connection.ts';
export * from './constants.ts';
export {
  AuthenticationError,
  ConnectionClosedError,
  DeadlineError,
  ErrorCode,
  LibvirtError,
  ProtocolError,
  isNoDomain,
} from './errors.ts';
export { DomainEvents } from './events.ts';
export type { DomainEventMap, DomainEventName } from './events.ts';
export { procedures } from './procedures.ts';
export type { GuestAddress, GuestInterface, Procedure } from './procedures.ts';
export { ReconnectingConnection } from './reconnect.ts';
export type { ReconnectOptions } from './reconnect.ts';
export { LibvirtStream } from './stream.ts';
export { paramValues } from './types.ts';
export type { Domain, TypedParam, TypedValue } from './types.ts';
