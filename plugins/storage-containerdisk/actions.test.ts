// The step against real qemu-img: good images, hostile ones, and death in the middle.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Json, Sandbox } from '../../core/index.ts';
import { contextOf, killedAt, LocalSandbox } from '../../test/local-sandbox.ts';
import { actions } from './actions.ts';
import { imageLink, imageRoot, overlayPath } from './types.ts';

const MIB = 1024 * 1024;
const ROOT = imageRoot(0);
const OVERLAY = overlayPath('root');
const ARGS = { volume: 'root', image: 'registry/os:1', root: ROOT, link: imageLink(0), overlay: OVERLAY };

let sandbox: LocalSandbox;
beforeEach(async () => {
  sandbox = await LocalSandbox.start();
  mkdirSync(sandbox.root + ROOT, { recursive: true });
});
afterEach(() => sandbox.stop());

const action = actions['overlay'] as NonNullable<(typeof actions)['overlay']>;
const apply = (args: Record<string, Json> = ARGS, box: Sandbox = sandbox) => action.apply(contextOf(box), args);
const host = (path: string) => sandbox.root + path;
const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { stdio: 'pipe' }).toString();
const infoInPod = async () => {
  const { stdout } = await sandbox.exec(['qemu-img', 'info', '--output=json', OVERLAY], { in: 'pod' });
  return JSON.parse(stdout.toString()) as Record<string, unknown>;
};

/** A file of the image, with something in it that can be told. */
function qcow2(path = '/disk/disk.qcow2', size = '4M'): string {
  const file = host(ROOT + path);
  mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true });
  qemuImg('create', '-q', '-f', 'qcow2', file, size);
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x5a 1M 1M', file], { stdio: 'pipe' });
  return file;
}
function raw(path: string, data: Uint8Array = new Uint8Array(MIB)): string {
  const file = host(ROOT + path);
  mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true });
  writeFileSync(file, data);
  return file;
}
async function refusal(args: Record<string, Json> = ARGS): Promise<string> {
  const error: unknown = await apply(args).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: 'ImageError', permanent: true });
  expect(existsSync(host(OVERLAY))).toBe(false);
  expect((error as Error).message).toContain('volume root: image registry/os:1: ');
  return (error as Error).message;
}

describe('a good image', () => {
  it('as qcow2 gets an overlay of its size over it', async () => {
    const base = qcow2();
    expect(await apply()).toEqual({ format: 'qcow2', cache: 'none' });
    expect(await infoInPod()).toMatchObject({
      format: 'qcow2',
      'virtual-size': 4 * MIB,
      'backing-filename': imageLink(0),
      'backing-filename-format': 'qcow2',
    });
    const { stdout } = await sandbox.exec(['qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 0x5a 1M 1M', OVERLAY], {
      in: 'pod',
    });
    expect(stdout.toString()).not.toContain('Pattern verification failed');
    expect(statSync(host(OVERLAY)).uid).toBe(107);
    expect(readFileSync(base).subarray(0, 4).toString('latin1')).toBe('QFI\xfb');
  });

  it('as raw is taken as raw, whatever its name', async () => {
    raw('/disk/disk.qcow2');
    expect(await apply()).toEqual({ format: 'raw', cache: 'none' });
    expect(await infoInPod()).toMatchObject({ 'virtual-size': MIB, 'backing-filename-format': 'raw' });
  });

  it('may hold the disk elsewhere, by path', async () => {
    qcow2('/images/[a] *?/os.img');
    raw('/disk/other.img');
    expect(await apply({ ...ARGS, path: '/images/[a] *?/os.img' })).toMatchObject({ format: 'qcow2' });
  });

  it('may be nothing but the disk', async () => {
    qcow2('/os.qcow2');
    expect(await apply()).toMatchObject({ format: 'qcow2' });
  });

  it('may have links, which end inside the image', async () => {
    qcow2('/images/os.img');
    mkdirSync(host(`${ROOT}/disk`));
    symlinkSync('/images/../../../images/os.img', host(`${ROOT}/disk/disk.img`));
    expect(await apply()).toMatchObject({ format: 'qcow2' });
    symlinkSync('disk', host(`${ROOT}/again`));
    expect(await apply({ ...ARGS, path: '/again/disk.img', overlay: overlayPath('b') })).toMatchObject({
      format: 'qcow2',
    });
  });

  it('may have a link for its folder', async () => {
    qcow2('/images/os.img');
    symlinkSync('images', host(`${ROOT}/disk`));
    expect(await apply()).toMatchObject({ format: 'qcow2' });
  });

  it('may leak clusters', async () => {
    const file = qcow2();
    // One cluster at the end that nobody refers to, but is counted.
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write 2M 64k', file], { stdio: 'pipe' });
    const l2 = readFileSync(file);
    const at = l2.readBigUInt64BE(Number(l2.readBigUInt64BE(40)) & ~511) & 0x00fffffffffffe00n;
    l2.writeBigUInt64BE(0n, Number(at) + 32 * 8);
    writeFileSync(file, l2);
    expect(() => qemuImg('check', '-q', file)).toThrow();
    expect(await apply()).toMatchObject({ format: 'qcow2' });
  });

  it('is not cached by none where its file system knows no direct I/O', async () => {
    const file = qcow2();
    const inside = (...argv: string[]) => execFileSync('nsenter', ['-t', String(sandbox.pid), '-m', ...argv]);
    inside('mount', '-t', 'ramfs', '-o', 'mode=755', 'ramfs', host(`${ROOT}/disk`));
    inside('sh', '-c', 'exec cat > "$1"', 'sh', file);
    expect(await refusal()).toMatch(/^Empty: /);
    const copy = `${host('/tmp')}/copy.qcow2`;
    qemuImg('create', '-q', '-f', 'qcow2', copy, '4M');
    inside('cp', copy, file);
    expect(await apply()).toEqual({ format: 'qcow2', cache: 'writethrough' });
  });

  it('leaves what is there alone when it is prepared again', async () => {
    qcow2();
    await apply();
    await sandbox.exec(['qemu-io', '-f', 'qcow2', '-c', 'write -P 0x77 0 64k', OVERLAY], { in: 'pod' });
    const before = readFileSync(host(OVERLAY));
    expect(await apply()).toEqual({ format: 'qcow2', cache: 'none' });
    expect(readFileSync(host(OVERLAY)).equals(before)).toBe(true);
  });

  it('leaves nothing behind when it is undone, twice or with the pod gone', async () => {
    qcow2();
    await apply();
    for (const box of [sandbox, sandbox, undefined]) {
      await action.revert?.({ ...contextOf(sandbox), sandbox: box }, ARGS, undefined);
    }
    expect(existsSync(host(OVERLAY))).toBe(false);
    expect(existsSync(host(imageLink(0)))).toBe(false);
  });
});

describe('an image that is none', () => {
  it('without a disk', async () => {
    expect(await refusal()).toMatch(/^NoDisk: .*no folder \/disk/);
    mkdirSync(host(`${ROOT}/disk`));
    expect(await refusal()).toMatch(/^NoDisk: .*no file in its folder \/disk/);
    expect(await refusal({ ...ARGS, path: '/disk/x.img' })).toMatch(/^NoDisk: .*has no "\/disk\/x.img"/);
  });

  it('with several', async () => {
    for (const name of ['a', 'b', 'c', `${'n'.repeat(250)}`]) raw(`/disk/${name}`);
    const message = await refusal();
    expect(message).toMatch(/^SeveralDisks: .*has 4 files/);
    expect(message.length).toBeLessThan(500);
  });

  it('with something that is no file', async () => {
    mkdirSync(host(`${ROOT}/disk/folder`), { recursive: true });
    expect(await refusal()).toMatch(/^NotAFile: .*"disk\/folder" is a folder/);
    expect(await refusal({ ...ARGS, path: '/disk' })).toMatch(/^NotAFile: /);
  });

  it('with a named pipe, which nobody waits for', async () => {
    mkdirSync(host(`${ROOT}/disk`));
    execFileSync('mkfifo', [host(`${ROOT}/disk/disk.img`)]);
    expect(await refusal()).toMatch(/^NotAFile: .*a named pipe/);
  });

  it('of zero bytes', async () => {
    raw('/disk/disk.img', new Uint8Array());
    expect(await refusal()).toMatch(/^Empty: .*is empty/);
  });

  it('of a disk that its user may not read', async () => {
    const file = qcow2();
    execFileSync('chmod', ['600', file]);
    expect(await refusal()).toMatch(/^Unreadable: .*107:107/);
    execFileSync('chmod', ['700', host(`${ROOT}/disk`)]);
    expect(await refusal()).toMatch(/^Unreadable: /);
  });

  it.each(['vmdk', 'vdi', 'vhdx', 'vpc', 'qed', 'parallels', 'qcow'])('of format %s', async (format) => {
    mkdirSync(host(`${ROOT}/disk`));
    qemuImg('create', '-q', '-f', format, host(`${ROOT}/disk/disk.img`), '4M');
    expect(await refusal()).toMatch(/^UnsupportedFormat: .*must be qcow2 or raw/);
  });
});

describe('a hostile image', () => {
  it('that links to a file of the launcher', async () => {
    await sandbox.put('/etc/shadow', 'root:secret');
    mkdirSync(host(`${ROOT}/disk`));
    for (const target of ['/etc/shadow', '../../../../../../etc/shadow', `${ROOT}/../../../etc/shadow`]) {
      execFileSync('ln', ['-sfn', target, host(`${ROOT}/disk/disk.img`)]);
      expect(await refusal()).toMatch(/^NoDisk: /);
      expect(await refusal({ ...ARGS, path: '/disk/disk.img' })).toMatch(/^NoDisk: /);
    }
  });

  it('that links in a circle', async () => {
    mkdirSync(host(`${ROOT}/disk`));
    symlinkSync('b', host(`${ROOT}/disk/a`));
    symlinkSync('a', host(`${ROOT}/disk/b`));
    expect(await refusal({ ...ARGS, path: '/disk/a' })).toMatch(/^NoDisk: .*too many symbolic links/);
  });

  it('with a path that climbs', async () => {
    await sandbox.put('/etc/shadow', 'root:secret');
    expect(await refusal({ ...ARGS, path: '/../../../../etc/shadow' })).toMatch(/^NoDisk: /);
  });

  it('whose qcow2 names a backing file', async () => {
    await sandbox.put('/etc/passwd', 'root:x:0:0');
    for (const name of ['/etc/passwd', 'json:{"driver":"file","filename":"/etc/passwd"}', 'nbd://10.0.0.1/x']) {
      const file = qcow2();
      qemuImg('rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', name, file);
      expect(await refusal()).toMatch(/^BackingFile: .*names a backing file/);
    }
    // Nothing that could act on it has seen the image.
    expect(sandbox.ran.flat()).not.toContain('qemu-img');
  });

  it('whose qcow2 keeps its data in another file', async () => {
    const file = host(`${ROOT}/disk/disk.qcow2`);
    mkdirSync(host(`${ROOT}/disk`));
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${host('/tmp/data')},data_file_raw=on`, file, '4M');
    expect(await refusal()).toMatch(/^ExternalDataFile: /);
  });

  it('whose qcow2 is encrypted', async () => {
    const file = qcow2();
    const bytes = readFileSync(file);
    bytes.writeUInt32BE(2, 32);
    writeFileSync(file, bytes);
    expect(await refusal()).toMatch(/^UnsupportedFormat: .*encrypted/);
  });

  it.each([3, 71, 100, 104, 512, 70_000, 200_000])('cut off after %i bytes', async (bytes) => {
    truncateSync(qcow2(), bytes);
    // Three bytes are not enough to tell a qcow2 by; a tiny raw disk harms nobody.
    if (bytes === 3) expect(await apply()).toMatchObject({ format: 'raw' });
    else expect(await refusal()).toMatch(/^Corrupt: /);
  });

  it('with tables that point anywhere', async () => {
    const file = qcow2();
    const bytes = readFileSync(file);
    bytes.writeBigUInt64BE(0x00ffff0000000000n, 40);
    writeFileSync(file, bytes);
    expect(await refusal()).toMatch(/^Corrupt: /);
  });

  it('that claims to be larger than any disk', async () => {
    const file = qcow2();
    const bytes = readFileSync(file);
    bytes.writeBigUInt64BE(0x7fffffffffffffffn, 24);
    writeFileSync(file, bytes);
    expect(await refusal()).toMatch(/^Corrupt: /);
  });

  it('with names as long as names can be, and strange', async () => {
    for (const name of ['x'.repeat(255), ' -rf\n$(reboot);"\'', '-b']) {
      const box = await LocalSandbox.start();
      try {
        const folder = `${box.root}${ROOT}/disk`;
        mkdirSync(folder, { recursive: true });
        qemuImg('create', '-q', '-f', 'qcow2', `${folder}/${name}`, '1M');
        expect(await apply(ARGS, box)).toMatchObject({ format: 'qcow2' });
      } finally {
        await box.stop();
      }
    }
  });
});

describe('killed in the middle', () => {
  it('comes to the same end when it runs again', async () => {
    qcow2();
    const dry = killedAt(sandbox, 0, 'before');
    await apply(ARGS, dry);
    expect(dry.calls).toBeGreaterThan(3);
    for (let n = 1; n <= dry.calls; n++) {
      for (const when of ['before', 'after'] as const) {
        await action.revert?.(contextOf(sandbox), ARGS, undefined);
        await expect(apply(ARGS, killedAt(sandbox, n, when))).rejects.toThrow('killed');
        expect(await apply()).toEqual({ format: 'qcow2', cache: 'none' });
        expect(await infoInPod()).toMatchObject({ 'virtual-size': 4 * MIB });
      }
    }
  });

  it('takes no half-made overlay for a whole one', async () => {
    qcow2();
    await sandbox.exec(['sh', '-c', 'mkdir -p "${1%/*}" && echo junk > "$1.part"', 'sh', OVERLAY], { in: 'pod' });
    await apply();
    expect(await infoInPod()).toMatchObject({ format: 'qcow2', 'virtual-size': 4 * MIB });
    expect(existsSync(host(`${OVERLAY}.part`))).toBe(false);
  });
});
