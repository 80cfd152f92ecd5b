import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from './errors.ts';
import { readDomain, readError, readTypedParam, writeDomain, writeTypedParam } from './types.ts';
import type { TypedParam } from './types.ts';
import { procedures } from './procedures.ts';
import { XdrReader, XdrWriter } from './xdr.ts';

const uuid = fc.uuid();
const params: fc.Arbitrary<TypedParam> = fc.oneof(
  fc.record({ field: fc.string(), type: fc.constant('int' as const), value: fc.integer() }),
  fc.record({ field: fc.string(), type: fc.constant('uint' as const), value: fc.nat() }),
  fc.record({ field: fc.string(), type: fc.constant('double' as const), value: fc.double() }),
  fc.record({
    field: fc.string(),
    type: fc.constant('llong' as const),
    value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  }),
  fc.record({
    field: fc.string(),
    type: fc.constant('ullong' as const),
    value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }),
  fc.record({ field: fc.string(), type: fc.constant('boolean' as const), value: fc.boolean() }),
  fc.record({ field: fc.string(), type: fc.constant('string' as const), value: fc.string({ unit: 'grapheme' }) }),
);

describe('XDR', () => {
  it('reads back what it wrote, in words of four bytes', () => {
    fc.assert(
      fc.property(fc.array(params), fc.option(uuid, { nil: undefined }), (list, id) => {
        const writer = new XdrWriter().array(list, writeTypedParam);
        writer.optional(id, (w, value) => writeDomain(w, { name: 'häuschen', uuid: value, id: -1 }));
        const bytes = writer.bytes();
        expect(bytes.length % 4).toBe(0);
        const reader = new XdrReader(bytes);
        expect(reader.array(4096, readTypedParam)).toEqual(list);
        expect(reader.optional(readDomain)?.uuid).toBe(id);
        reader.end();
      }),
    );
  });

  it('meets any bytes with a value or a ProtocolError, in every procedure', () => {
    const decoders = [...Object.values(procedures).map((each) => each.decode), readError];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(decoders.length - 1), (bytes, index) => {
        try {
          decoders[index]?.(new XdrReader(Buffer.from(bytes)));
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('refuses a length before it spends memory on it', () => {
    const huge = new XdrWriter().uint(0xffff_ffff).bytes();
    expect(() => new XdrReader(huge).opaque(0xffff_ffff)).toThrow('ends 4294967295 bytes too early');
    expect(() => new XdrReader(huge).string(1024)).toThrow('at most 1024');
    expect(() => new XdrReader(huge).array(16, (r) => r.int())).toThrow('at most 16');
    expect(() => new XdrReader(new XdrWriter().int(2).bytes()).bool()).toThrow('a boolean holds 2');
    expect(() => new XdrReader(new XdrWriter().int(2).bytes()).end()).toThrow('4 bytes left over');
  });
});
