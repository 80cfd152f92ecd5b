import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

it('makes a subPath as open as its volume is, and none behind a symbolic link', async () => {
  const source = mkdtempSync(join(tmpdir(), 'vl-volume-'));
  const outside = mkdtempSync(join(tmpdir(), 'vl-outside-'));
  try {
    chmodSync(source, 0o2777);
    symlinkSync(outside, join(source, 'link'));
    const mountsOf = (subPath: string) =>
      containerMounts(
        { name: 'c', image: 'x', volumeMounts: [{ name: 'v', mountPath: '/m', subPath }] },
        new Map([['v', { source, readOnly: false }]]),
      );
    expect((await mountsOf('a/b'))[0]?.source).toBe(join(source, 'a/b'));
    for (const made of ['a', 'a/b']) expect(statSync(join(source, made)).mode & 0o7777).toBe(0o2777);
    await expect(mountsOf('link/x')).rejects.toThrow('leads through a symbolic link');
    expect(readdirSync(outside)).toEqual([]);
  } finally {
    for (const folder of [source, outside]) rmSync(folder, { recursive: true });
  }
});
