// The API slices of this plugin: which fields of a disk are known, and of what type. What values may stand there: admit.ts.
import type { ApiSlice, Schema } from '../../core/index.ts';

const STRING: Schema = { type: 'string' };
const BOOLEAN: Schema = { type: 'boolean' };
const INTEGER: Schema = { type: 'integer' };

function object(properties: Record<string, Schema>, required: string[] = []): Schema {
  return { type: 'object', properties, ...(required.length > 0 ? { required } : {}) };
}

function ofDisk(field: string, schema: Schema, oneOf?: string): ApiSlice {
  const path = `spec.domain.devices.disks[].${field}`;
  return oneOf === undefined ? { path, schema } : { path, schema, oneOf };
}

export const API: readonly ApiSlice[] = [
  ofDisk('disk', object({ bus: STRING, readonly: BOOLEAN, pciAddress: STRING }), 'target'),
  ofDisk('lun', object({ bus: STRING, readonly: BOOLEAN }), 'target'),
  ofDisk(
    'cdrom',
    object({ bus: STRING, readonly: BOOLEAN, tray: { type: 'string', enum: ['open', 'closed'] } }),
    'target',
  ),
  ofDisk('bootOrder', INTEGER),
  ofDisk('serial', STRING),
  ofDisk('cache', STRING),
  ofDisk('io', STRING),
  ofDisk('errorPolicy', STRING),
  ofDisk('dedicatedIOThread', BOOLEAN),
  ofDisk('shareable', BOOLEAN),
  ofDisk('blockSize', object({ custom: object({ logical: INTEGER, physical: INTEGER }, ['logical', 'physical']) })),
  { path: 'spec.domain.devices.blockMultiQueue', schema: BOOLEAN },
  { path: 'spec.domain.ioThreadsPolicy', schema: STRING },
];
