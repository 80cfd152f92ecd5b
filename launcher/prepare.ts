// Makes the launcher's image for this host: asks its QEMU once what it can do, and puts the answer into the image.
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, cpSync, existsSync, globSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeBundle } from './container.ts';
import { CAPABILITIES, type HostImage, LAUNCHER_IMAGE } from './image.ts';

const run = promisify(execFile);
const DEADLINE_MS = 60_000;
/** What libvirt checks an answer against, and what we made it with. */
const MADE_OF = [
  '/usr/bin/qemu-system-*',
  '/usr/sbin/libvirtd',
  '/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so',
];

function hostKey(kvm: boolean): string {
  const hash = createHash('sha256').update(`${release()} kvm=${kvm}\n`);
  const ours = readdirSync(LAUNCHER_IMAGE.files, { recursive: true }).map((name) =>
    join(LAUNCHER_IMAGE.files, String(name)),
  );
  for (const file of [...MADE_OF.flatMap((pattern) => globSync(pattern)), ...ours].sort()) {
    const { ctimeMs, size } = statSync(file);
    hash.update(`${file} ${ctimeMs} ${size}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

/**
 * Gives the launcher's image with this host's QEMU capabilities in it. Takes about a second the first time and after a change
 * of QEMU, libvirt or kernel, else milliseconds. Needs root.
 * @param directory of the caller's, kept between runs; older answers in it are removed
 * @param options.kvm whether launchers will get /dev/kvm
 * @throws Error with libvirtd's own output
 */
export async function prepareLauncherImage(directory: string, options: { kvm: boolean }): Promise<HostImage> {
  const key = hostKey(options.kvm);
  const files = join(directory, key);
  if (!existsSync(files)) await build(files, options.kvm);
  for (const name of readdirSync(directory)) if (name !== key) rmSync(join(directory, name), { recursive: true });
  return { ...LAUNCHER_IMAGE, files };
}

async function build(files: string, kvm: boolean): Promise<void> {
  const temporary = `${files}.tmp`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  const bundle = join(temporary, 'bundle');
  const found = join(temporary, 'found');
  const id = `vl-probe-${randomBytes(4).toString('hex')}`;
  const runc = (...args: string[]) =>
    run('runc', ['--root', join(temporary, 'runc'), ...args], { timeout: DEADLINE_MS });
  try {
    writeBundle(bundle, { id, image: LAUNCHER_IMAGE, args: ['probe'], capabilities: found, kvm });
    await runc('run', '-b', bundle, id).catch((error: Error & { stderr?: string }) => {
      throw new Error(`libvirt cannot find out what this host's QEMU can do: ${error.stderr?.trim() ?? error.message}`);
    });
    const image = join(temporary, 'image');
    cpSync(LAUNCHER_IMAGE.files, image, { recursive: true });
    const into = join(image, CAPABILITIES);
    mkdirSync(into, { recursive: true });
    for (const name of readdirSync(found)) {
      cpSync(join(found, name), join(into, name));
      chmodSync(join(into, name), 0o644);
    }
    renameSync(image, files);
  } finally {
    await runc('delete', '-f', id).catch(() => undefined);
    rmSync(temporary, { recursive: true, force: true });
  }
}
