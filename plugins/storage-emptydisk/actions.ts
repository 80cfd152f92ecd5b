// The node side: makes the disk, once.
import type { Action, Json } from '../../core/index.ts';
import type { EmptyDisk } from './types.ts';

interface Args {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** $1 the disk, $2 its size in bytes. Says `direct` where it can be opened with O_DIRECT. A disk that is there is the guest's. */
const CREATE = `set -eu
mkdir -p "\${1%/*}"
if [ ! -e "$1" ]; then
  rm -f "$1.part"
  qemu-img create -q -f qcow2 "$1.part" "$2" >&2
  mv "$1.part" "$1"
fi
if dd if="$1" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null; then echo direct; fi`;

export const actions: Readonly<Record<string, Action>> = {
  create: {
    async apply({ sandbox }, given): Promise<Json> {
      const { path, size } = given as unknown as Args;
      const { stdout } = await sandbox.exec(['sh', '-c', CREATE, 'create', path, String(size)], { in: 'pod' });
      const disk: EmptyDisk = { cache: stdout.toString().trim() === 'direct' ? 'none' : 'writethrough' };
      return { ...disk };
    },
    async revert({ sandbox }, given) {
      await sandbox?.remove((given as unknown as Args).path);
    },
  },
};
