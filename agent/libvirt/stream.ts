// A libvirt stream (console, screenshot) as a Node Duplex: data both ways, back-pressure both ways, finish, abort.
import { Duplex } from 'node:stream';
import { ConnectionClosedError, ProtocolError } from './errors.ts';
import { PacketType, STREAM_PAYLOAD_MAX, Status } from './frame.ts';
import type { Frame } from './frame.ts';
import { readError } from './types.ts';
import { XdrReader } from './xdr.ts';

/** What a stream needs of the connection that carries it. */
export interface StreamCarrier {
  send(status: number, payload: Buffer, sent: (error?: Error | null) => void): void;
  /** True stops reading from the socket, false goes on. */
  congested(congested: boolean): void;
  /** The daemon and we are through with this stream. */
  release(): void;
}

const NOTHING = Buffer.alloc(0);

/**
 * Ends when the daemon ends it. `end()` finishes it in good order, `destroy()` aborts it. A reader that does not keep up stops
 * the whole connection, so a stream that may stall gets a connection of its own.
 */
export class LibvirtStream extends Duplex {
  readonly #carrier: StreamCarrier;
  #over = false;
  #finishing: ((error?: Error | null) => void) | undefined;

  constructor(carrier: StreamCarrier) {
    super({ allowHalfOpen: false });
    this.#carrier = carrier;
  }

  /** A packet of this stream came in. */
  receive(frame: Frame): void {
    if (this.#over) return;
    if (frame.type !== PacketType.stream) {
      this.destroy(new ProtocolError(`a packet of type ${frame.type} inside a stream`));
    } else if (frame.status === Status.error) {
      this.#release();
      this.destroy(errorOf(frame));
    } else if (frame.status === Status.ok) {
      this.#release();
      this.push(null);
      this.#finishing?.();
    } else if (frame.payload.length === 0) {
      this.push(null);
    } else if (!this.push(frame.payload)) {
      this.#carrier.congested(true);
    }
  }

  /** The connection broke, or the call that should have opened the stream failed. */
  fail(error: Error): void {
    this.#release();
    this.destroy(error);
  }

  override _read(): void {
    this.#carrier.congested(false);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const rest = chunk.subarray(STREAM_PAYLOAD_MAX);
    this.#carrier.send(Status.continue, chunk.subarray(0, STREAM_PAYLOAD_MAX), (error) => {
      if (error || rest.length === 0) done(error);
      else this._write(rest, _encoding, done);
    });
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#over) return done();
    this.#finishing = done;
    this.#carrier.send(Status.ok, NOTHING, (error) => {
      if (error) done(error);
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#over) {
      this.#carrier.send(Status.error, NOTHING, () => undefined);
      this.#release();
    }
    // An end that the daemon never confirmed must not leave the writer waiting.
    this.#finishing?.(error ?? new ConnectionClosedError('the stream was aborted'));
    this.#finishing = undefined;
    done(error);
  }

  #release(): void {
    if (this.#over) return;
    this.#over = true;
    this.#carrier.congested(false);
    this.#carrier.release();
  }
}

function errorOf(frame: Frame): Error {
  try {
    return readError(new XdrReader(frame.payload));
  } catch (error) {
    return error as Error;
  }
}
