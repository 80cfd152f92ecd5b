// The API slices: what all interfaces have in common, whatever binds them.
import type { ApiSlice } from '../../core/index.ts';

const INTERFACE = 'spec.domain.devices.interfaces[]';

export const slices: readonly ApiSlice[] = [
  { path: `${INTERFACE}.model`, schema: { type: 'string' } },
  { path: `${INTERFACE}.macAddress`, schema: { type: 'string' } },
  { path: `${INTERFACE}.bootOrder`, schema: { type: 'integer' } },
  { path: `${INTERFACE}.pciAddress`, schema: { type: 'string' } },
  { path: `${INTERFACE}.acpiIndex`, schema: { type: 'integer' } },
  { path: `${INTERFACE}.state`, schema: { type: 'string' } },
  {
    path: `${INTERFACE}.dhcpOptions`,
    schema: {
      type: 'object',
      properties: {
        bootFileName: { type: 'string', maxLength: 255 },
        tftpServerName: { type: 'string', maxLength: 255 },
        ntpServers: { type: 'array', items: { type: 'string' } },
        privateOptions: {
          type: 'array',
          items: {
            type: 'object',
            required: ['option', 'value'],
            properties: { option: { type: 'integer' }, value: { type: 'string', maxLength: 255 } },
          },
        },
      },
    },
  },
  { path: 'spec.domain.devices.networkInterfaceMultiqueue', schema: { type: 'boolean' } },
];
