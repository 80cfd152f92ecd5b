// The little of ASN.1's DER encoding that certificates are made of.

const SEQUENCE = 0x30;
const SET = 0x31;

/** A tag, a length, a content. */
export function tlv(tag: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest >>>= 8) length.unshift(rest & 255);
  return Buffer.concat([Buffer.from([tag, 128 | length.length, ...length]), body]);
}

export function sequence(...content: Buffer[]): Buffer {
  return tlv(SEQUENCE, ...content);
}

export function set(...content: Buffer[]): Buffer {
  return tlv(SET, ...content);
}

/** A non-negative integer from its big-endian bytes. */
export function integer(bytes: Buffer): Buffer {
  const isNegative = ((bytes[0] ?? 0) & 0x80) !== 0;
  return isNegative ? tlv(2, Buffer.from([0]), bytes) : tlv(2, bytes);
}

export function boolean(value: boolean): Buffer {
  return tlv(1, Buffer.from([value ? 0xff : 0]));
}

export function bitString(content: Buffer, unusedBits = 0): Buffer {
  return tlv(3, Buffer.from([unusedBits]), content);
}

export function octetString(content: Buffer): Buffer {
  return tlv(4, content);
}

export function utf8(text: string): Buffer {
  return tlv(12, Buffer.from(text));
}

/** An object identifier in dotted form. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 127];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 127) | 128);
    bytes.push(...groups);
  }
  return tlv(6, Buffer.from(bytes));
}

/** UTCTime until 2049, GeneralizedTime after, as RFC 5280 wants it. */
export function time(date: Date): Buffer {
  const digits = `${date.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050 ? tlv(23, Buffer.from(digits.slice(2))) : tlv(24, Buffer.from(digits));
}

export function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
