// The node side: checks the image's disk, and lays the guest's own layer on top of it.
import { messageOf } from '../../core/index.ts';
import type { Action, Json, Sandbox, StepContext } from '../../core/index.ts';
import { hasFailed, ImageError, ImageTree, type Reason } from './image.ts';
import { HEADER_BYTES, inspect } from './qcow2.ts';
import type { Overlay } from './types.ts';

/** Arguments of the step, as the attachment writes them. */
interface Args {
  readonly volume: string;
  readonly image: string;
  /** File in the image; else the only one in /disk. */
  readonly path?: string;
  readonly root: string;
  readonly link: string;
  readonly overlay: string;
}

/** A large image's tables take a while to read through. */
const CHECK_MS = 120_000;

/** Leaked clusters (3) waste room and harm nothing. */
const CHECK = 'qemu-img check -q -f qcow2 "$1" || [ $? -eq 3 ]';

/** $1 overlay, $2 link, $3 the disk in the image, $4 its format. Says `direct` where the overlay can be opened with O_DIRECT. */
const CREATE = `set -eu
mkdir -p "\${1%/*}" "\${2%/*}"
ln -sfn "$3" "$2"
if [ ! -e "$1" ]; then
  rm -f "$1.part"
  qemu-img create -q -f qcow2 -b "$2" -F "$4" "$1.part" >&2
  mv "$1.part" "$1"
fi
if dd if="$1" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null; then echo direct; fi`;

/** The disk's first bytes, and whether the file can be read with O_DIRECT. */
async function readHeader(sandbox: Sandbox, file: string): Promise<{ header: Buffer; direct: boolean }> {
  const argv = ['dd', `if=${file}`, `bs=${HEADER_BYTES}`, 'count=1', 'status=none'];
  try {
    return { header: (await sandbox.exec([...argv, 'iflag=direct'], { in: 'pod' })).stdout, direct: true };
  } catch (error) {
    if (!hasFailed(error)) throw error;
    // No direct I/O, or no reading at all: the plain read tells which.
    return { header: (await sandbox.exec(argv, { in: 'pod' })).stdout, direct: false };
  }
}

async function prepare(context: StepContext, given: { readonly [key: string]: Json }): Promise<Json> {
  const { sandbox } = context;
  const args = given as unknown as Args;
  const blame = (reason: Reason, problem: (cause: string) => string) => (error: unknown) => {
    if (!hasFailed(error)) throw error;
    throw new ImageError(args, reason, problem(messageOf(error)));
  };
  const file = await new ImageTree(sandbox, args.root, args).findDisk(args.path);
  const { header, direct } = await readHeader(sandbox, file).catch(
    blame(
      'Unreadable',
      (cause) =>
        `its disk cannot be read by the launcher's user ${sandbox.user.uid}: ${cause}. ` +
        `Build the image with the disk owned by 107:107 or readable by all.`,
    ),
  );
  const found = inspect(header);
  if (!('format' in found)) throw new ImageError(args, found.reason, `its disk ${found.detail}`);
  const { format } = found;
  if (format === 'qcow2') {
    await sandbox
      .exec(['sh', '-c', CHECK, 'check', file], { in: 'pod', deadlineMs: CHECK_MS })
      .catch(blame('Corrupt', (cause) => `its qcow2 disk is damaged: ${cause}`));
  }
  const create = ['sh', '-c', CREATE, 'create', args.overlay, args.link, file, format];
  const { stdout } = await sandbox.exec(create, { in: 'pod' });
  const cache = direct && stdout.toString().trim() === 'direct' ? 'none' : 'writethrough';
  const overlay: Overlay = { format, cache };
  return { ...overlay };
}

export const actions: Readonly<Record<string, Action>> = {
  overlay: {
    apply: prepare,
    async revert({ sandbox }, args) {
      const { overlay, link } = args as unknown as Args;
      // Without the pod there is nothing left of either.
      await sandbox?.remove(overlay.slice(0, overlay.lastIndexOf('/')));
      await sandbox?.remove(link);
    },
  },
};
