// `virtloom vnc`: the guest's screen for a viewer on this machine, through a loopback port.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { delimiter, join } from 'node:path';
import { Exit, REFUSED } from './exit.ts';
import { openStream } from './stream.ts';

export interface VncOptions {
  readonly kubeconfig: string;
  readonly namespace?: string;
  /** Only print the port; start no viewer. */
  readonly proxyOnly?: boolean;
  /** 0: a free one. */
  readonly port: number;
}

/** Viewers and how each is told where to look. */
const VIEWERS: readonly { readonly program: string; readonly args: (port: number) => string[] }[] = [
  { program: 'remote-viewer', args: (port) => [`vnc://127.0.0.1:${port}`] },
  { program: 'xtigervncviewer', args: (port) => [`127.0.0.1::${port}`] },
  { program: 'vncviewer', args: (port) => [`127.0.0.1::${port}`] },
];

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export async function openVnc(name: string, options: VncOptions): Promise<void> {
  const viewer = options.proxyOnly ? undefined : VIEWERS.find((one) => onPath(one.program));
  if (!options.proxyOnly && !viewer) {
    const known = VIEWERS.map((one) => one.program).join(', ');
    throw new Exit(REFUSED, `no VNC viewer found (${known}): install one, or use --proxy-only and your own`);
  }
  // Refused at once where there is no such VMI, rather than when the viewer comes.
  const first = await openStream({ ...options, name, verb: 'vnc' });
  const server = createServer({ pauseOnConnect: true });
  const finished = serve(server, async () => first, name);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  if (viewer) spawn(viewer.program, viewer.args(port), { stdio: 'ignore' });
  else process.stdout.write(`${JSON.stringify({ port })}\n`);
  await finished;
}

/** Serves one viewer, then ends. */
function serve(server: Server, open: () => ReturnType<typeof openStream>, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('connection', (viewer: Socket) => {
      server.close();
      open().then((stream) => {
        stream.on('message', (data: Buffer) => {
          viewer.write(data);
        });
        viewer.on('data', (data: Buffer) => stream.send(data));
        const end = (): void => {
          stream.close();
          viewer.destroy();
          resolve();
        };
        viewer.once('close', end);
        viewer.once('error', end);
        stream.once('close', end);
        stream.once('error', (error) => reject(new Exit(REFUSED, `vnc of ${name} lost: ${error.message}`)));
        viewer.resume();
      }, reject);
    });
  });
}
