// XDR (RFC 4506) as libvirt's RPC uses it: a reader that trusts no length it finds, and a writer.
import { ProtocolError } from './errors.ts';

/** Reads one payload front to back. Every method throws ProtocolError where the bytes do not hold what they promise. */
export class XdrReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  int(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  uint(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  hyper(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8));
  }

  uhyper(): bigint {
    return this.#bytes.readBigUInt64BE(this.#take(8));
  }

  double(): number {
    return this.#bytes.readDoubleBE(this.#take(8));
  }

  bool(): boolean {
    const value = this.int();
    if (value !== 0 && value !== 1) throw new ProtocolError(`a boolean holds ${value}`);
    return value === 1;
  }

  /** Bytes of a length both sides know. A view, not a copy. */
  fixed(length: number): Buffer {
    const start = this.#take(length);
    this.#pad(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** Bytes that carry their length. `max` in bytes. A view, not a copy. */
  opaque(max: number): Buffer {
    const length = this.uint();
    if (length > max) throw new ProtocolError(`${length} bytes where at most ${max} may stand`);
    return this.fixed(length);
  }

  string(max: number): string {
    return this.opaque(max).toString('utf8');
  }

  optional<T>(read: (reader: XdrReader) => T): T | undefined {
    return this.bool() ? read(this) : undefined;
  }

  array<T>(max: number, read: (reader: XdrReader) => T): T[] {
    const length = this.uint();
    if (length > max) throw new ProtocolError(`a list of ${length} where at most ${max} may stand`);
    const items: T[] = [];
    for (let index = 0; index < length; index++) items.push(read(this));
    return items;
  }

  /** Call after the last field: left-over bytes mean the two sides disagree about the format. */
  end(): void {
    if (this.remaining !== 0) throw new ProtocolError(`${this.remaining} bytes left over after the last field`);
  }

  #take(length: number): number {
    if (length > this.remaining) {
      throw new ProtocolError(`the payload ends ${length - this.remaining} bytes too early`);
    }
    const start = this.#offset;
    this.#offset += length;
    return start;
  }

  #pad(length: number): void {
    this.#take((4 - (length % 4)) % 4);
  }
}

/** Grows as it is written to; `bytes()` gives what was written. */
export class XdrWriter {
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;

  int(value: number): this {
    const start = this.#grow(4);
    this.#bytes.writeInt32BE(value, start);
    return this;
  }

  uint(value: number): this {
    const start = this.#grow(4);
    this.#bytes.writeUInt32BE(value, start);
    return this;
  }

  hyper(value: bigint): this {
    const start = this.#grow(8);
    this.#bytes.writeBigInt64BE(value, start);
    return this;
  }

  uhyper(value: bigint): this {
    const start = this.#grow(8);
    this.#bytes.writeBigUInt64BE(value, start);
    return this;
  }

  double(value: number): this {
    const start = this.#grow(8);
    this.#bytes.writeDoubleBE(value, start);
    return this;
  }

  bool(value: boolean): this {
    return this.int(value ? 1 : 0);
  }

  fixed(value: Uint8Array): this {
    const padded = value.length + ((4 - (value.length % 4)) % 4);
    const start = this.#grow(padded);
    this.#bytes.set(value, start);
    this.#bytes.fill(0, start + value.length, start + padded);
    return this;
  }

  opaque(value: Uint8Array): this {
    return this.uint(value.length).fixed(value);
  }

  string(value: string): this {
    return this.opaque(Buffer.from(value, 'utf8'));
  }

  optional<T>(value: T | undefined, write: (writer: XdrWriter, value: T) => void): this {
    this.bool(value !== undefined);
    if (value !== undefined) write(this, value);
    return this;
  }

  array<T>(values: readonly T[], write: (writer: XdrWriter, value: T) => void): this {
    this.uint(values.length);
    for (const value of values) write(this, value);
    return this;
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(extra: number): number {
    const start = this.#length;
    this.#length += extra;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, start);
      this.#bytes = larger;
    }
    return start;
  }
}
