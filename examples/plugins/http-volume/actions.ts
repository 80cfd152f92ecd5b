// The node side: an nbdkit for each volume, in the launcher pod and with no more rights than QEMU has.
import type { Action, Json, Sandbox } from 'virtloom/plugin';
import type { Found } from './index.ts';

interface Args {
  readonly url: string;
  readonly directory: string;
}
interface Info {
  readonly format: string;
  readonly 'virtual-size': number;
  readonly 'backing-filename'?: string;
}

/** Asks the server as the guest's disk will. The shell that nbdkit starts sees nothing of the URL. */
async function probe(sandbox: Sandbox, url: string): Promise<Info> {
  const argv = [
    'nbdkit',
    '--readonly',
    '-U',
    '-',
    'curl',
    `url=${url}`,
    '--run',
    'exec qemu-img info --output=json "$uri"',
  ];
  const { stdout } = await sandbox.exec(argv, { in: 'pod' }).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    const cause = /nbdkit: curl\[\d+\]: error: (.*)/.exec(message)?.[1] ?? message;
    throw new Error(`${url} cannot be used as a disk: ${cause}`, { cause: error });
  });
  return JSON.parse(stdout.toString()) as Info;
}

async function isServed(sandbox: Sandbox, socket: string): Promise<boolean> {
  const uri = `nbd+unix:///?socket=${socket}`;
  return sandbox.exec(['qemu-img', 'info', '-U', uri], { in: 'pod' }).then(
    () => true,
    () => false,
  );
}

/** Ends the server that the pid file names, if it is still one of ours. */
const END = `pid=$(cat "$1" 2>/dev/null) || exit 0
if tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q '^nbdkit '; then kill "$pid"; fi`;

export const actions: Readonly<Record<string, Action>> = {
  serve: {
    async apply({ sandbox }, given): Promise<Json> {
      const { url, directory } = given as unknown as Args;
      const socket = `${directory}/socket`;
      const info = await probe(sandbox, url);
      if (info['backing-filename'] !== undefined) {
        throw new Error(`${url} is an image on top of another (${info['backing-filename']}): flatten it first`);
      }
      const found: Found = { format: info.format };
      // Another life of the agent may have started it; what the guest wrote is with it.
      if (await isServed(sandbox, socket)) return { ...found };
      await sandbox.remove(directory);
      await sandbox.writeFile(`${directory}/url`, url);
      await sandbox.exec(
        [
          'env',
          `TMPDIR=${directory}`,
          'nbdkit',
          `--unix=${socket}`,
          `--pidfile=${directory}/pid`,
          '--filter=cow',
          '--filter=retry-request',
          'curl',
          `url=${url}`,
        ],
        { in: 'pod' },
      );
      return { ...found };
    },
    async revert({ sandbox }, given) {
      if (!sandbox) return;
      const { directory } = given as unknown as Args;
      await sandbox.exec(['sh', '-c', END, 'end', `${directory}/pid`], { in: 'pod' });
      await sandbox.remove(directory);
    },
  },
};
