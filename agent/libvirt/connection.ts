// One connection to one libvirt daemon over its unix socket: calls by serial, events, streams, deadlines, the end.
import { connect as connectSocket } from 'node:net';
import type { Socket } from 'node:net';
import { AuthenticationError, ConnectionClosedError, DeadlineError, ProtocolError } from './errors.ts';
import { FrameDecoder, PROGRAM_KEEPALIVE, PROGRAM_REMOTE, PacketType, Status, encodeFrame } from './frame.ts';
import type { Frame } from './frame.ts';
import { KeepAlive } from './keepalive.ts';
import type { KeepAliveOptions } from './keepalive.ts';
import { procedures } from './procedures.ts';
import type { Procedure } from './procedures.ts';
import { LibvirtStream } from './stream.ts';
import { readError } from './types.ts';
import { XdrReader, XdrWriter } from './xdr.ts';

const AUTH_NONE = 0;
const NOTHING = Buffer.alloc(0);

export interface ConnectOptions {
  /** The daemon's socket file. */
  path: string;
  /** Connects in another way than by `path`, which then only names the daemon in messages. */
  dial?: () => Promise<Socket>;
  /** Which driver to open, such as `qemu:///session`. */
  uri: string;
  /** How long connecting, or any call that names no time of its own, may take, in ms. */
  timeoutMs?: number;
  keepAlive?: KeepAliveOptions;
}

export interface CallOptions {
  /** In ms; Infinity for calls that last, such as a migration. */
  timeoutMs?: number;
  /** Gives up waiting; the daemon may still carry the call out. */
  signal?: AbortSignal;
}

interface Pending {
  resolve: (payload: Buffer) => void;
  reject: (error: unknown) => void;
}

export class Connection {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #decoder = new FrameDecoder();
  readonly #pending = new Map<number, Pending>();
  readonly #streams = new Map<number, LibvirtStream>();
  readonly #congested = new Set<number>();
  readonly #keepAlive: KeepAlive;
  readonly #closed = Promise.withResolvers<Error>();
  #why: Error | undefined;
  #serial = 0;
  #onMessage: (procedure: number, reader: XdrReader) => void = () => undefined;

  /** Connects, authenticates (only "none" is spoken) and opens `uri`. */
  static async open(options: ConnectOptions): Promise<Connection> {
    const timeoutMs = options.timeoutMs ?? 30_000;
    const socket = options.dial ? await options.dial() : await openUnixSocket(options.path, timeoutMs);
    const connection = new Connection(socket, timeoutMs, options.keepAlive ?? { intervalMs: 5_000, count: 5 });
    try {
      const { types } = await connection.call(procedures.authList, undefined);
      if (!types.includes(AUTH_NONE)) throw new AuthenticationError(types);
      await connection.call(procedures.connectOpen, { uri: options.uri, flags: 0 });
      return connection;
    } catch (error) {
      connection.#end(error as Error);
      throw error;
    }
  }

  private constructor(socket: Socket, timeoutMs: number, keepAlive: KeepAliveOptions) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#keepAlive = new KeepAlive(
      keepAlive,
      (procedure) => this.#write(PROGRAM_KEEPALIVE, procedure, PacketType.message, 0, Status.ok, NOTHING),
      () => this.#end(new ConnectionClosedError('the daemon answers nothing any more, not even keepalive')),
    );
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#end(new ConnectionClosedError(error.message, { cause: error })));
    socket.on('close', () => this.#end(new ConnectionClosedError('the daemon closed the connection')));
  }

  /** Settles with the reason when the connection is over, for whatever reason; never rejects. */
  get closed(): Promise<Error> {
    return this.#closed.promise;
  }

  /** Where the daemon's event messages go; one receiver. An error it throws ends the connection. */
  receiveMessages(receiver: (procedure: number, reader: XdrReader) => void): void {
    this.#onMessage = receiver;
  }

  /** Rejects with LibvirtError (the daemon says no), DeadlineError, ConnectionClosedError, ProtocolError or the signal's reason. */
  async call<Args, Result>(procedure: Procedure<Args, Result>, args: Args, options: CallOptions = {}): Promise<Result> {
    return this.#exchange(this.#nextSerial(), procedure, args, options);
  }

  /** Makes a call that opens a stream, such as domainOpenConsole. */
  async openStream<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    options: CallOptions = {},
  ): Promise<{ stream: LibvirtStream; result: Result }> {
    const serial = this.#nextSerial();
    const stream = new LibvirtStream({
      send: (status, payload, sent) =>
        this.#write(procedure.program, procedure.number, PacketType.stream, serial, status, payload, sent),
      congested: (congested) => this.#congestion(serial, congested),
      release: () => this.#streams.delete(serial),
    });
    // Registered before the answer is here: the first data may stand in the same read.
    this.#streams.set(serial, stream);
    try {
      return { result: await this.#exchange(serial, procedure, args, options), stream };
    } catch (error) {
      stream.on('error', () => undefined);
      stream.fail(error as Error);
      throw error;
    }
  }

  /** Ends the connection; calls under way fail. Safe to repeat. */
  close(): void {
    this.#end(new ConnectionClosedError('this side closed the connection'));
  }

  async #exchange<Args, Result>(
    serial: number,
    procedure: Procedure<Args, Result>,
    args: Args,
    options: CallOptions,
  ): Promise<Result> {
    options.signal?.throwIfAborted();
    if (this.#why) throw this.#why;
    const writer = new XdrWriter();
    procedure.encode(writer, args);
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const timer = Number.isFinite(timeoutMs)
      ? setTimeout(() => reject(new DeadlineError(`libvirt procedure ${procedure.number}`, timeoutMs)), timeoutMs)
      : undefined;
    const aborted = (): void => reject(options.signal?.reason);
    options.signal?.addEventListener('abort', aborted, { once: true });
    this.#pending.set(serial, { resolve, reject });
    this.#write(procedure.program, procedure.number, PacketType.call, serial, Status.ok, writer.bytes());
    try {
      const reader = new XdrReader(await promise);
      return this.#trusting(() => {
        const result = procedure.decode(reader);
        reader.end();
        return result;
      });
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', aborted);
      this.#pending.delete(serial);
    }
  }

  #nextSerial(): number {
    // 0 is for messages that belong to no call.
    this.#serial = this.#serial === 0xffff_ffff ? 1 : this.#serial + 1;
    return this.#serial;
  }

  #write(
    program: number,
    procedure: number,
    type: number,
    serial: number,
    status: number,
    payload: Buffer,
    sent?: (error?: Error | null) => void,
  ): void {
    if (this.#why) sent?.(this.#why);
    else this.#socket.write(encodeFrame({ program, procedure, type, serial, status, payload }), sent);
  }

  #receive(chunk: Buffer): void {
    this.#keepAlive.heard();
    try {
      this.#trusting(() => {
        for (const frame of this.#decoder.push(chunk)) this.#dispatch(frame);
      });
    } catch {
      // #trusting has ended the connection and told everybody why.
    }
  }

  #dispatch(frame: Frame): void {
    if (this.#why) return;
    if (frame.program === PROGRAM_KEEPALIVE) return this.#keepAlive.packet(frame.procedure);
    if (frame.type === PacketType.message) {
      if (frame.program === PROGRAM_REMOTE) this.#onMessage(frame.procedure, new XdrReader(frame.payload));
      return;
    }
    if (frame.type === PacketType.reply) {
      // No one waits any more where the deadline has passed.
      const pending = this.#pending.get(frame.serial);
      if (frame.status === Status.ok) pending?.resolve(frame.payload);
      else pending?.reject(readError(new XdrReader(frame.payload)));
      return;
    }
    if (frame.type === PacketType.stream || frame.type === PacketType.streamHole) {
      this.#streams.get(frame.serial)?.receive(frame);
      return;
    }
    throw new ProtocolError(`a packet of type ${frame.type}`);
  }

  /** Runs what reads the daemon's bytes; after an error in there nothing of this connection can be trusted. */
  #trusting<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      this.#end(error as Error);
      throw error;
    }
  }

  #congestion(serial: number, congested: boolean): void {
    if (congested) this.#congested.add(serial);
    else if (!this.#congested.delete(serial)) return;
    const stop = this.#congested.size > 0;
    this.#keepAlive.pause(stop);
    if (stop) this.#socket.pause();
    else this.#socket.resume();
  }

  #end(why: Error): void {
    if (this.#why) return;
    this.#why = why;
    this.#keepAlive.stop();
    this.#socket.destroy();
    for (const pending of this.#pending.values()) pending.reject(why);
    this.#pending.clear();
    for (const stream of [...this.#streams.values()]) stream.fail(why);
    this.#closed.resolve(why);
  }
}

/** Rejects with ConnectionClosedError or DeadlineError. */
export function openUnixSocket(path: string, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ path });
    const timer = setTimeout(() => socket.destroy(new DeadlineError(`connecting to ${path}`, timeoutMs)), timeoutMs);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      reject(
        error instanceof DeadlineError
          ? error
          : new ConnectionClosedError(`cannot connect to ${path}: ${error.message}`, { cause: error }),
      );
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', failed);
      resolve(socket);
    });
  });
}
