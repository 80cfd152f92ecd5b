import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from './errors.ts';
import { FrameDecoder, PACKET_MAX, encodeFrame } from './frame.ts';

const frames = fc.array(
  fc.record({
    program: fc.constant(0x20008086),
    procedure: fc.nat(500),
    type: fc.nat(3),
    serial: fc.nat(),
    status: fc.nat(2),
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  }),
  { maxLength: 8 },
);

describe('frames', () => {
  it('come out whole however the bytes arrive', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1 }), (list, cuts) => {
        const decoder = new FrameDecoder();
        let bytes = Buffer.concat(list.map(encodeFrame));
        const out = [];
        for (let turn = 0; bytes.length > 0; turn++) {
          const cut = cuts[turn % cuts.length] ?? 1;
          out.push(...decoder.push(bytes.subarray(0, cut)));
          bytes = bytes.subarray(cut);
        }
        expect(out).toEqual(list.map((frame) => ({ ...frame, version: 1 })));
      }),
    );
  });

  it('any bytes give frames or a ProtocolError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
        const decoder = new FrameDecoder();
        try {
          for (const chunk of chunks) decoder.push(Buffer.from(chunk));
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
    );
  });

  it.each([0, 27, PACKET_MAX + 1, 0xffff_ffff])('refuse a length of %i at once', (length) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(length);
    expect(() => new FrameDecoder().push(bytes)).toThrow(ProtocolError);
  });
});
