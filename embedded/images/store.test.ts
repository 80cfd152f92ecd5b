// Images from a real registry: pulled once, checked by one request, refused in Kubernetes' words, collected.
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest';
import { loginsOf } from './credentials.ts';
import { TestRegistry } from './fixture-registry.ts';
import { defaultPullPolicy, parseReference } from './reference.ts';
import { ImageStore } from './store.ts';

let registry: TestRegistry;
let locked: TestRegistry;
let dir: string;
let store: ImageStore;

beforeAll(async () => {
  [registry, locked] = await Promise.all([TestRegistry.start(), TestRegistry.start({ login: true })]);
});
afterAll(async () => {
  await Promise.all([registry.stop(), locked.stop()]);
});
beforeEach(async () => {
  dir = await mkdtemp('/tmp/vl-images-');
  store = new ImageStore({ dir });
  await store.prepare();
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

describe('an image store', () => {
  test('pulls once, then knows the image by one look', async () => {
    const ref = await registry.push('a/box:1', { '/hello': 'hi' }, ['--config.cmd', '/hello', '--config.user', '107']);
    let pulls = 0;
    const onPulling = () => pulls++;
    const [one, two] = await Promise.all([store.ensure(ref, { onPulling }), store.ensure(ref, { onPulling })]);
    expect(await readFile(path.join(one.rootfs, 'hello'), 'utf8')).toBe('hi');
    expect(one.config).toMatchObject({ cmd: ['/hello'], user: '107' });
    expect(one.imageID).toMatch(new RegExp(`^${registry.host}/a/box@sha256:[0-9a-f]{64}$`));
    expect(two.rootfs).toBe(one.rootfs);
    expect(one.pulled?.bytes).toBeGreaterThan(100);
    expect(await readdir(path.join(dir, 'tmp'))).toEqual([]);
    pulls = 0;
    const begin = performance.now();
    const again = await store.ensure(ref, { policy: 'Always', onPulling });
    expect(again.pulled).toBeUndefined();
    expect(pulls).toBe(0);
    console.log('Always, unchanged:', Math.round(performance.now() - begin), 'ms');
    expect((await new ImageStore({ dir }).ensure(ref)).rootfs).toBe(one.rootfs);
  });

  test('a tag that moved is pulled again with Always only', async () => {
    const ref = await registry.push('b:1', { '/x': 'old' });
    await store.ensure(ref);
    await registry.push('b:1', { '/x': 'new' });
    expect(await readFile(path.join((await store.ensure(ref)).rootfs, 'x'), 'utf8')).toBe('old');
    const fresh = await store.ensure(ref, { policy: 'Always' });
    expect(await readFile(path.join(fresh.rootfs, 'x'), 'utf8')).toBe('new');
    expect((await store.ensure(`${registry.host}/b@${fresh.imageID.split('@')[1] ?? ''}`)).rootfs).toBe(fresh.rootfs);
  });

  test('says what is wrong', async () => {
    const failure = (ref: string, policy?: 'Never') =>
      store.ensure(ref, { policy }).then(
        () => 'pulled',
        (error: { reason: string; message: string }) => `${error.reason}: ${error.message}`,
      );
    expect(await failure(`${registry.host}/none:1`)).toMatch(/^ErrImagePull: failed to pull .*none:1: not found$/);
    expect(await failure(`${registry.host}/none:1`, 'Never')).toMatch(/^ErrImageNeverPull: Container image .* Never$/);
    expect(await failure('Not/Valid')).toMatch(/^InvalidImageName: Failed to apply default image tag "Not\/Valid"/);
    expect(await failure('127.0.0.1:61001/x:1')).toMatch(/^ErrImagePull: .*ECONNREFUSED/);
  });

  test('logs in with a pull secret, and says so when there is none', async () => {
    const ref = await locked.push('private:1', { '/x': 'x' });
    await expect(store.ensure(ref)).rejects.toThrow(/pull access denied.*authorization failed/);
    const auths = { [locked.host]: { auth: Buffer.from('tester:secret').toString('base64') } };
    const data = { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') };
    const image = await store.ensure(ref, { logins: loginsOf(data) });
    expect(await readFile(path.join(image.rootfs, 'x'), 'utf8')).toBe('x');
  });

  test('collects what nobody uses, with its blobs', async () => {
    const used = await store.ensure(await registry.push('used:1', { '/x': 'used' }));
    await store.ensure(await registry.push('unused:1', { '/x': 'unused' }));
    expect(await store.collect(new Set(), 60_000)).toBe(0);
    expect(await store.collect(new Set([used.rootfs]), -1)).toBe(1);
    expect(await readFile(path.join(used.rootfs, 'x'), 'utf8')).toBe('used');
    expect(await readdir(path.join(dir, 'blobs/sha256'))).toHaveLength(3);
    await store.collect(new Set(), -1);
    expect(await readdir(path.join(dir, 'rootfs'))).toEqual([]);
    expect(await readdir(path.join(dir, 'blobs/sha256'))).toEqual([]);
  });
});

describe('references', () => {
  test.each([
    ['busybox', { registry: 'docker.io', repository: 'library/busybox', tag: 'latest' }],
    ['quay.io/a/b:v1', { registry: 'quay.io', repository: 'a/b', tag: 'v1' }],
    ['localhost:5000/x', { registry: 'localhost:5000', repository: 'x', tag: 'latest' }],
    [
      `r.io/x:1@sha256:${'a'.repeat(64)}`,
      { registry: 'r.io', repository: 'x', tag: '1', digest: `sha256:${'a'.repeat(64)}` },
    ],
  ])('%s', (text, parsed) => {
    expect(parseReference(text)).toEqual(parsed);
  });

  test.each(['', 'UPPER', 'a b', 'x:', 'x@sha256:12', '-x', 'x/../y', 'http://x/y', 'x:$(id)'])(
    'refuses %j',
    (text) => {
      expect(() => parseReference(text)).toThrow(/invalid reference format/);
    },
  );

  test('default pull policy', () => {
    expect(['x', 'x:latest', 'x:1', `x@sha256:${'b'.repeat(64)}`].map(defaultPullPolicy)).toEqual([
      'Always',
      'Always',
      'IfNotPresent',
      'IfNotPresent',
    ]);
  });
});
