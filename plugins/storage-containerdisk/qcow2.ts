// What a disk image is by its first bytes, read without any program that would act on them.

/** Bytes that `inspect` wants to see, from the image's start. */
export const HEADER_BYTES = 4096;

export type Inspection =
  | { readonly format: 'qcow2' | 'raw' }
  | {
      readonly reason: 'BackingFile' | 'ExternalDataFile' | 'UnsupportedFormat' | 'Corrupt' | 'Empty';
      readonly detail: string;
    };

/** Formats of disks that are neither qcow2 nor raw, by the bytes they start with. */
const OTHERS: readonly (readonly [format: string, magic: string])[] = [
  ['vmdk', 'KDMV'],
  ['vmdk', 'COWD'],
  ['vmdk', '# Disk DescriptorFile'],
  ['vhdx', 'vhdxfile'],
  ['vhd', 'conectix'],
  ['qed', 'QED\0'],
  ['parallels', 'WithoutFreeSpace'],
  ['parallels', 'WithouFreSpacExt'],
  ['gzip', '\x1f\x8b'],
  ['xz', '\xfd7zXZ\0'],
  ['zstd', '\x28\xb5\x2f\xfd'],
];
const VDI_MAGIC = 0xbeda107f;
const VDI_MAGIC_AT = 64;

const QCOW_MAGIC = 0x514649fb;
const DATA_FILE_BIT = 1 << 2;
const CORRUPT_BIT = 1 << 1;

/**
 * Tells format and dangers. A qcow2 image may name other files, which QEMU would then open: nothing of the sort may come
 * out of an image that somebody pushed to a registry.
 */
export function inspect(header: Uint8Array): Inspection {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength);
  if (bytes.length === 0) return { reason: 'Empty', detail: 'is empty' };
  if (bytes.length >= 4 && bytes.readUInt32BE(0) === QCOW_MAGIC) return inspectQcow2(bytes);
  const start = bytes.toString('latin1', 0, 32);
  const other = OTHERS.find(([, magic]) => start.startsWith(magic));
  const isVdi = bytes.length >= VDI_MAGIC_AT + 4 && bytes.readUInt32LE(VDI_MAGIC_AT) === VDI_MAGIC;
  const format = isVdi ? 'vdi' : other?.[0];
  if (format !== undefined) {
    return { reason: 'UnsupportedFormat', detail: `has format ${format}, but must be qcow2 or raw` };
  }
  return { format: 'raw' };
}

function inspectQcow2(bytes: Buffer): Inspection {
  const corrupt = (detail: string): Inspection => ({ reason: 'Corrupt', detail });
  if (bytes.length < 72) return corrupt('is cut off within its qcow2 header');
  const version = bytes.readUInt32BE(4);
  if (version === 1) return { reason: 'UnsupportedFormat', detail: 'has format qcow, but must be qcow2 or raw' };
  if (version !== 2 && version !== 3) return corrupt(`has qcow2 version ${version}`);
  if (bytes.readBigUInt64BE(8) !== 0n) return { reason: 'BackingFile', detail: 'names a backing file' };
  if (bytes.readUInt32BE(32) !== 0) return { reason: 'UnsupportedFormat', detail: 'is encrypted' };
  if (bytes.readBigUInt64BE(24) === 0n) return { reason: 'Empty', detail: 'holds a disk of 0 bytes' };
  if (version === 3) {
    if (bytes.length < 104) return corrupt('is cut off within its qcow2 header');
    const incompatible = bytes.readUInt32BE(76);
    if ((incompatible & DATA_FILE_BIT) !== 0)
      return { reason: 'ExternalDataFile', detail: 'keeps its data in another file' };
    if ((incompatible & CORRUPT_BIT) !== 0) return corrupt('is marked corrupt');
  }
  return { format: 'qcow2' };
}
