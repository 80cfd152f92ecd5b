// The harness itself: what it starts it finds again, and what a platform leaves behind it counts and removes.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { buildTiny } from '../../examples/images/tiny/build.ts';
import { ok, run, waitFor } from './command.ts';
import { imageVariant } from './images.ts';
import { Platform } from './platform.ts';
import { LOGIN, Registry } from './registry.ts';

const directory = mkdtempSync(join(tmpdir(), 'vl-support-'));
/** Behaves as `virtloom up` does, and leaks one of each kind when it ends. */
const STUB = join(directory, 'stub.sh');
writeFileSync(
  STUB,
  `set -eu
[ "$1" = up ] || exit 0
state=$3
mkdir -p "$state/pods/uid-1"
[ ! -e "$state/fail" ] || { echo 'no luck today'; exit 3; }
ip link show vl-bridge >/dev/null 2>&1 || {
  ip link add vl-bridge type bridge
  nft add table ip vl
  nft add chain ip vl c '{ type filter hook input priority 0; }'
  touch "$state/pods/uid-1/ns"
  unshare --net=$state/pods/uid-1/ns sleep 1000 </dev/null &
}
touch "$state/ready"
while :; do sleep 0.1; done
`,
);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('platform', () => {
  let platform: Platform | undefined;
  afterEach(async () => {
    await platform?.dispose();
    platform = undefined;
  });

  it('counts all a platform has, over a crash and a restart, and removes it', async () => {
    platform = await Platform.start({ cli: ['sh', STUB] });
    const { netns, directory: base, stateDir } = platform;
    // The sleep is one process; unshare has become it.
    const before = await waitFor('the leak is there', async () => {
      const census = await platform?.census();
      return census && census.namespaces.length > 0 && census.mounts.length > 0 ? census : undefined;
    });
    expect(before.processes.some((line) => line.startsWith('sleep 1000'))).toBe(true);
    expect(before.links).toEqual(['vl-bridge']);
    expect(before.nftRules).toEqual(expect.arrayContaining(['chain c {', 'table ip vl {']));
    expect(before.mounts).toEqual(['pods/uid-1/ns']);
    expect(before.files).toEqual(['pods', 'pods/uid-1', 'pods/uid-1/ns']);

    const first = platform.pid;
    await platform.kill9();
    expect(platform.pid).toBeUndefined();
    await platform.up();
    expect(platform.pid).not.toBe(first);
    expect(await platform.exec(['ip', '-br', 'link', 'show', 'vl-bridge'])).toContain('vl-bridge');
    await platform.stop();

    await platform.dispose();
    platform = undefined;
    expect(existsSync(base)).toBe(false);
    expect(existsSync(`/run/netns/${netns}`)).toBe(false);
    expect(await ok(['cat', '/proc/self/mountinfo'])).not.toContain(stateDir);
  });

  it('says what a platform said that does not start', async () => {
    const start = Platform.start({ cli: ['sh', '-c', 'echo no luck today; exit 3'] });
    await expect(start).rejects.toThrow(/status 3:\nno luck today/);
  });
});

describe('registry', () => {
  it('gives what was pushed to it, to those who may', async () => {
    const registry = await Registry.start({ login: true });
    try {
      const image = await registry.push(buildTiny().layout, 'tiny:1');
      expect(image).toMatch(/^127\.0\.0\.1:\d+\/tiny:1$/);
      const inspect = ['skopeo', 'inspect', '--tls-verify=false'];
      const creds = ['--creds', `${LOGIN.user}:${LOGIN.password}`];
      expect(await ok([...inspect, ...creds, `docker://${image}`])).toContain('"Architecture": "amd64"');
      expect((await run([...inspect, '--no-creds', `docker://${image}`])).stderr).toMatch(
        /unauthorized|authentication required/,
      );
    } finally {
      await registry.stop();
    }
  });
});

describe('images', () => {
  it.each([
    ['qcow2', 'disk/disk.qcow2'],
    ['noDisk', 'etc/nothing'],
    ['corrupt', 'disk/disk.qcow2'],
    ['symlinkOut', 'disk/disk.img'],
  ] as const)('%s can be read by others', async (variant, file) => {
    const layout = imageVariant(directory, variant);
    const bundle = join(directory, `${variant}-unpacked`);
    await ok(['umoci', 'raw', 'unpack', '--image', `${layout}:latest`, bundle]);
    expect(await ok(['ls', '-Rl', bundle])).toContain(file.split('/').at(-1));
    expect(await ok(['sh', '-c', 'test -L "$1" || test -f "$1" && echo there', 'sh', join(bundle, file)])).toBe(
      'there\n',
    );
  });
});
