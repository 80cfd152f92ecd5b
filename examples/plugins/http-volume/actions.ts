// The node side: an nbdkit for each volume, in the launcher pod and with no more rights than QEMU has.
import { messageOf, type Action, type Sandbox } from 'virtloom/plugin';
import { socketOf, type Served } from './httpdisk.ts';

/** Of `qemu-img info`. */
interface Info {
  readonly format: string;
  readonly 'backing-filename'?: string;
  readonly encrypted?: boolean;
  readonly 'format-specific'?: { readonly data?: { readonly 'data-file'?: string } };
}

/** A large image over a slow line. */
const CHECKSUM_MS = 3_600_000;
const SECTOR = 512;
/** nbdkit, with room for what has been read once: a file that has no name any more when it is used. */
const NBDKIT = ['env', 'TMPDIR=/var/run/kubevirt-ephemeral-disks', 'nbdkit'];

/** $1 the folder. Ends the server whose pid file is there, if it is still that one. */
const END = `pid=$(cat "$1/pid" 2>/dev/null) || exit 0
if tr '\\0' '\\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "--unix=$1/socket"; then kill "$pid"; fi`;

/** $1 the overlay, $2 an NBD server, $3 the format of what it serves. A served qcow2 cannot grow: the guest writes elsewhere. */
const CREATE = 'mkdir -p "${1%/*}" && exec qemu-img create -q -f qcow2 -b "$2" -F "$3" "$1"';

/** $1 an NBD server. A file that breaks off has no right checksum, and nbdcopy says why. */
const CHECKSUM = '{ nbdcopy -- "$1" - || echo broken; } | sha256sum';

/** nbdkit's plugin and what it is told; redirects lead to web servers only. */
async function curlOf(sandbox: Sandbox, { url, secret }: Served): Promise<string[]> {
  const curl = ['curl', `url=${url}`, 'protocols=http,https'];
  if (secret === null) return curl;
  const user = (await sandbox.readFile(`${secret}/username`)).toString().trim();
  return [...curl, `user=${user}`, `password=+${secret}/password`];
}

/** The size in bytes, or why there is none: a server in the background has nobody to tell it to. */
async function sizeOf(sandbox: Sandbox, directory: string, curl: readonly string[]): Promise<number> {
  const argv = [...NBDKIT, '--readonly', `--unix=${directory}/try`, ...curl, '--run', 'exec nbdinfo --size "$uri"'];
  const { stdout } = await sandbox.exec(argv, { in: 'pod' }).catch((error: unknown) => {
    const message = messageOf(error);
    throw new Error(/nbdkit: curl\[\d+\]: error: (.*)/.exec(message)?.[1] ?? message, { cause: error });
  });
  return Number(stdout.toString());
}

/** The image's format. Throws for what is no disk, and for an image that names files which QEMU would open. */
async function formatOf(sandbox: Sandbox, uri: string, size: number): Promise<string> {
  const { stdout } = await sandbox.exec(['qemu-img', 'info', '--output=json', uri], { in: 'pod' });
  const info = JSON.parse(stdout.toString()) as Info;
  const { format } = info;
  if (format === 'raw' && (size === 0 || size % SECTOR !== 0)) {
    throw new Error(`it has ${size} bytes, and a disk has whole sectors of ${SECTOR}: it is something else`);
  }
  if (format !== 'raw' && format !== 'qcow2')
    throw new Error(`its format is ${format}, and only raw and qcow2 will do`);
  const backing = info['backing-filename'];
  if (backing !== undefined) throw new Error(`it is an image on top of another (${backing}): flatten it first`);
  const data = info['format-specific']?.data?.['data-file'];
  if (data !== undefined) throw new Error(`it has its data in another file (${data})`);
  if (info.encrypted) throw new Error('it is encrypted');
  return format;
}

/** Gives the format. */
async function serve(sandbox: Sandbox, served: Served): Promise<string> {
  const { directory, overlay, sha256 } = served;
  const curl = await curlOf(sandbox, served);
  await sandbox.exec(['mkdir', '-p', directory], { in: 'pod' });
  const size = await sizeOf(sandbox, directory, curl);
  const socket = socketOf(directory);
  const uri = `nbd+unix:///?socket=${socket}`;
  // What has been read once stays as it was: what is checked now is what the guest gets.
  const cow = ['--readonly', '--filter=cow', '--filter=retry-request', ...curl, 'cow-on-read=true'];
  const argv = [...NBDKIT, `--unix=${socket}`, `--pidfile=${directory}/pid`, ...cow];
  await sandbox.exec(argv, { in: 'pod' });
  const format = await formatOf(sandbox, uri, size);
  if (sha256 !== null) await check(sandbox, uri, sha256);
  await sandbox.exec(['sh', '-c', CREATE, 'create', overlay, uri, format], { in: 'pod' });
  return format;
}

async function check(sandbox: Sandbox, uri: string, sha256: string): Promise<void> {
  const argv = ['sh', '-c', CHECKSUM, 'checksum', uri];
  const { stdout, stderr } = await sandbox.exec(argv, { in: 'pod', deadlineMs: CHECKSUM_MS });
  const found = stdout.toString().slice(0, sha256.length);
  if (found !== sha256) throw new Error(stderr.trim() || `its SHA-256 is ${found}, and not ${sha256}`);
}

async function end(sandbox: Sandbox, { directory, overlay }: Served): Promise<void> {
  await sandbox.exec(['sh', '-c', END, 'end', directory], { in: 'pod' });
  await sandbox.remove(directory);
  await sandbox.remove(overlay);
}

const serveAction: Action<Served> = {
  async apply({ sandbox }, served) {
    // One of another life of the agent. No guest has used it: then this step would be done.
    await end(sandbox, served);
    return serve(sandbox, served).catch((error: unknown) => {
      throw new Error(`${served.url} cannot be used as a disk: ${messageOf(error)}`, { cause: error });
    });
  },
  async revert({ sandbox }, served) {
    if (sandbox) await end(sandbox, served);
  },
};

export const actions = { serve: serveAction };
