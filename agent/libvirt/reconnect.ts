// A connection that comes back: reconnects with back-off, registers its events again, and tells its owner each time.
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from './connection.ts';
import type { ConnectOptions } from './connection.ts';
import { ConnectionClosedError } from './errors.ts';
import { DomainEvents } from './events.ts';
import type { DomainEventName } from './events.ts';

const BACK_OFF_MS = { first: 20, most: 2_000 };

export interface ReconnectOptions extends ConnectOptions {
  events: readonly DomainEventName[];
  /** A connection is up and its events are registered. What happened in between was not told: read the state afresh. */
  onUp: (connection: Connection) => void;
  /** The connection is gone; the next attempt is under way. */
  onDown?: (why: Error) => void;
}

export class ReconnectingConnection {
  readonly events: DomainEvents;
  readonly #options: ReconnectOptions;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #up = Promise.withResolvers<Connection>();
  #live: Connection | undefined;
  #trouble: unknown;

  constructor(options: ReconnectOptions) {
    this.#options = options;
    this.events = new DomainEvents(options.events);
    this.#done = this.#run();
  }

  /** The live connection, now or when there is one. Rejects with ConnectionClosedError (its cause: the last attempt's error) or the signal's reason. */
  async connection(options: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<Connection> {
    if (this.#live) return this.#live;
    const { timeoutMs = 30_000, signal } = options;
    const end = AbortSignal.any([this.#stop.signal, ...(signal ? [signal] : [])]);
    end.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const aborted = (): void => reject(end.reason);
    const late = (): void =>
      reject(
        new ConnectionClosedError(`no libvirt daemon at ${this.#options.path} within ${timeoutMs} ms`, {
          cause: this.#trouble,
        }),
      );
    const timer = setTimeout(late, timeoutMs);
    end.addEventListener('abort', aborted, { once: true });
    return Promise.race([this.#up.promise, promise]).finally(() => {
      clearTimeout(timer);
      end.removeEventListener('abort', aborted);
    });
  }

  async close(): Promise<void> {
    this.#stop.abort(new ConnectionClosedError('this side closed the connection'));
    this.#live?.close();
    await this.#done;
  }

  async #run(): Promise<void> {
    let wait = BACK_OFF_MS.first;
    while (!this.#stop.signal.aborted) {
      const connection = await this.#attempt();
      if (connection) {
        wait = BACK_OFF_MS.first;
        this.#live = connection;
        this.#up.resolve(connection);
        this.#options.onUp(connection);
        const why = await connection.closed;
        this.#live = undefined;
        this.#up = Promise.withResolvers<Connection>();
        if (!this.#stop.signal.aborted) this.#options.onDown?.(why);
      }
      await sleep(wait, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      wait = Math.min(wait * 2, BACK_OFF_MS.most);
    }
  }

  async #attempt(): Promise<Connection | undefined> {
    let connection: Connection | undefined;
    try {
      connection = await Connection.open(this.#options);
      await this.events.attach(connection);
      if (!this.#stop.signal.aborted) return connection;
    } catch (error) {
      // The next attempt tells whether it lasts; who waits has a deadline of its own and is told this then.
      this.#trouble = error;
    }
    connection?.close();
    return undefined;
  }
}
