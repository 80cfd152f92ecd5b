// A packet of libvirt's RPC: length, header of six words, payload; cut out of a byte stream and put into it.
import { ProtocolError } from './errors.ts';

export const PROGRAM_REMOTE = 0x20008086;
export const PROGRAM_QEMU = 0x20008087;
export const PROGRAM_KEEPALIVE = 0x6b656570;

export const PacketType = { call: 0, reply: 1, message: 2, stream: 3, streamHole: 6 } as const;
export const Status = { ok: 0, error: 1, continue: 2 } as const;

const LENGTH_BYTES = 4;
const HEADER_BYTES = LENGTH_BYTES + 24;
/** libvirt's own bound for one packet, in bytes. */
export const PACKET_MAX = 33_554_432 + LENGTH_BYTES;
/** The most that one stream packet may carry, in bytes; older daemons refuse more. */
export const STREAM_PAYLOAD_MAX = 262_120;

export interface Frame {
  program: number;
  version: number;
  procedure: number;
  type: number;
  serial: number;
  status: number;
  payload: Buffer;
}

export function encodeFrame(frame: Omit<Frame, 'version'>): Buffer {
  const length = HEADER_BYTES + frame.payload.length;
  if (length > PACKET_MAX) throw new ProtocolError(`a packet of ${length} bytes to send, the bound is ${PACKET_MAX}`);
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(frame.program, 4);
  bytes.writeUInt32BE(1, 8);
  bytes.writeInt32BE(frame.procedure, 12);
  bytes.writeInt32BE(frame.type, 16);
  bytes.writeUInt32BE(frame.serial, 20);
  bytes.writeInt32BE(frame.status, 24);
  frame.payload.copy(bytes, HEADER_BYTES);
  return bytes;
}

/** Takes bytes as they come and gives whole packets. Holds at most one unfinished packet. */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #buffered = 0;
  #needed = LENGTH_BYTES;

  /** Throws ProtocolError on a length that cannot be; the decoder is of no use after that. */
  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    if (this.#buffered < this.#needed) return [];
    let bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#buffered);
    const frames: Frame[] = [];
    this.#needed = LENGTH_BYTES;
    while (bytes.length >= LENGTH_BYTES) {
      const length = bytes.readUInt32BE(0);
      if (length < HEADER_BYTES || length > PACKET_MAX) throw new ProtocolError(`a packet of ${length} bytes`);
      if (bytes.length < length) {
        this.#needed = length;
        break;
      }
      frames.push(decodeFrame(bytes.subarray(0, length)));
      bytes = bytes.subarray(length);
    }
    this.#chunks = bytes.length > 0 ? [bytes] : [];
    this.#buffered = bytes.length;
    return frames;
  }
}

function decodeFrame(bytes: Buffer): Frame {
  const version = bytes.readUInt32BE(8);
  if (version !== 1) throw new ProtocolError(`protocol version ${version}`);
  return {
    program: bytes.readUInt32BE(4),
    version,
    procedure: bytes.readInt32BE(12),
    type: bytes.readInt32BE(16),
    serial: bytes.readUInt32BE(20),
    status: bytes.readInt32BE(24),
    payload: bytes.subarray(HEADER_BYTES),
  };
}
