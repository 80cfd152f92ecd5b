// The daemon's domain events as a typed EventEmitter (and, by node:events `on`, as async iterables).
import { EventEmitter } from 'node:events';
import type { Connection } from './connection.ts';
import { procedures } from './procedures.ts';
import { readDomain, readOptionalString, readString, readTypedParams } from './types.ts';
import type { Domain, TypedParam } from './types.ts';
import type { XdrReader } from './xdr.ts';

/** Each event's data. Numbers are libvirt's own (see constants.ts). */
export interface DomainEventMap {
  lifecycle: [{ domain: Domain; event: number; detail: number }];
  reboot: [{ domain: Domain }];
  watchdog: [{ domain: Domain; action: number }];
  ioError: [{ domain: Domain; path: string; device: string; action: number; reason: string }];
  controlError: [{ domain: Domain }];
  diskChange: [
    { domain: Domain; oldPath: string | undefined; newPath: string | undefined; device: string; reason: number },
  ];
  trayChange: [{ domain: Domain; device: string; reason: number }];
  balloonChange: [{ domain: Domain; actual: bigint }];
  deviceAdded: [{ domain: Domain; device: string }];
  deviceRemoved: [{ domain: Domain; device: string }];
  deviceRemovalFailed: [{ domain: Domain; device: string }];
  agentLifecycle: [{ domain: Domain; state: number; reason: number }];
  migrationIteration: [{ domain: Domain; iteration: number }];
  jobCompleted: [{ domain: Domain; params: TypedParam[] }];
}
export type DomainEventName = keyof DomainEventMap;

interface EventFormat<Name extends DomainEventName> {
  /** What registering asks for (virDomainEventID). */
  id: number;
  /** Which message carries it. */
  procedure: number;
  /** Reads what follows the callback's id. */
  decode: (reader: XdrReader) => DomainEventMap[Name][0];
}

const device = (r: XdrReader) => ({ domain: readDomain(r), device: readString(r) });

const FORMATS: { [Name in DomainEventName]: EventFormat<Name> } = {
  lifecycle: { id: 0, procedure: 318, decode: (r) => ({ domain: readDomain(r), event: r.int(), detail: r.int() }) },
  reboot: { id: 1, procedure: 319, decode: (r) => ({ domain: readDomain(r) }) },
  watchdog: { id: 3, procedure: 321, decode: (r) => ({ domain: readDomain(r), action: r.int() }) },
  ioError: {
    id: 6,
    procedure: 324,
    decode: (r) => ({
      domain: readDomain(r),
      path: readString(r),
      device: readString(r),
      action: r.int(),
      reason: readString(r),
    }),
  },
  controlError: { id: 7, procedure: 325, decode: (r) => ({ domain: readDomain(r) }) },
  diskChange: {
    id: 9,
    procedure: 327,
    decode: (r) => ({
      domain: readDomain(r),
      oldPath: readOptionalString(r),
      newPath: readOptionalString(r),
      device: readString(r),
      reason: r.int(),
    }),
  },
  trayChange: { id: 10, procedure: 328, decode: (r) => ({ ...device(r), reason: r.int() }) },
  balloonChange: { id: 13, procedure: 331, decode: (r) => ({ domain: readDomain(r), actual: r.uhyper() }) },
  deviceRemoved: { id: 15, procedure: 333, decode: device },
  agentLifecycle: {
    id: 18,
    procedure: 348,
    decode: (r) => ({ domain: readDomain(r), state: r.int(), reason: r.int() }),
  },
  deviceAdded: { id: 19, procedure: 354, decode: device },
  migrationIteration: { id: 20, procedure: 359, decode: (r) => ({ domain: readDomain(r), iteration: r.int() }) },
  jobCompleted: { id: 21, procedure: 363, decode: (r) => ({ domain: readDomain(r), params: readTypedParams(r) }) },
  deviceRemovalFailed: { id: 22, procedure: 367, decode: device },
};

const NAME_BY_PROCEDURE = new Map(
  Object.entries(FORMATS).map(([name, format]) => [format.procedure, name as DomainEventName]),
);

/** Emits what the attached connection's daemon tells. Outlives connections: attach the next one when it is there. */
export class DomainEvents extends EventEmitter<DomainEventMap> {
  readonly #names: readonly DomainEventName[];

  constructor(names: readonly DomainEventName[]) {
    super();
    this.#names = names;
  }

  /** Registers with the connection's daemon, for all its domains. Events may come before this settles. */
  async attach(connection: Connection): Promise<void> {
    connection.receiveMessages((procedure, reader) => this.#receive(procedure, reader));
    await Promise.all(
      this.#names.map((name) =>
        connection.call(procedures.connectDomainEventCallbackRegisterAny, { eventId: FORMATS[name].id }),
      ),
    );
  }

  #receive(procedure: number, reader: XdrReader): void {
    const name = NAME_BY_PROCEDURE.get(procedure);
    // The older form of an event (no callback id) or one we did not ask for.
    if (name === undefined) return;
    reader.int();
    const data = FORMATS[name].decode(reader);
    reader.end();
    // A listener's error is its own: it must not end the connection.
    queueMicrotask(() => (this.emit as (event: string, ...args: unknown[]) => boolean).call(this, name, data));
  }
}
