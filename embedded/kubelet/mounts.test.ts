import { expect, it } from 'vitest';
import { containerMounts } from './volumes.ts';
import type { ReadyVolume } from './volumes.ts';

it('mounts outer paths before what is mounted inside them, whatever order the pod lists them in', async () => {
  const volume = (source: string): ReadyVolume => ({ source, readOnly: false }) as ReadyVolume;
  const ready = new Map([
    ['secret', volume('/v/secret')],
    ['private', volume('/v/private')],
    ['other', volume('/v/other')],
  ]);
  const volumeMounts = [
    { name: 'secret', mountPath: '/var/run/private/secret/user' },
    { name: 'other', mountPath: '/other/' },
    { name: 'private', mountPath: '/var/run/private' },
  ];
  const mounts = await containerMounts({ name: 'compute', image: 'x', volumeMounts }, ready);
  expect(mounts.map((mount) => mount.source)).toEqual(['/v/other', '/v/private', '/v/secret']);
});
