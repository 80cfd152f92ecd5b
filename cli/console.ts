// `virtloom console`: the guest's serial port on this terminal, until ^].
import { DONE, Exit, REFUSED } from './exit.ts';
import { openStream } from './stream.ts';

const ESCAPE = 0x1d; // ^]

export interface ConsoleOptions {
  readonly kubeconfig: string;
  readonly namespace?: string;
}

export async function openConsole(name: string, options: ConsoleOptions): Promise<void> {
  const { stdin, stdout, stderr } = process;
  const socket = await openStream({ ...options, name, verb: 'console' });
  stderr.write(`Successfully connected to ${name} console. Press Ctrl+] to exit console.\n`);
  if (stdin.isTTY) stdin.setRawMode(true);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('message', (data: Buffer) => {
        stdout.write(data);
      });
      socket.once('close', (code, reason) => {
        // 1000 and 1001: the guest is gone or the server stops; anything else is worth a word.
        if (code === 1000 || code === 1001 || code === 1005) resolve();
        else reject(new Exit(REFUSED, `\nconsole closed: ${reason.toString() || `code ${code}`}`));
      });
      socket.once('error', (error) => reject(new Exit(REFUSED, `\nconsole lost: ${error.message}`)));
      stdin.on('data', (data: Buffer) => {
        const end = data.indexOf(ESCAPE);
        socket.send(end < 0 ? data : data.subarray(0, end));
        if (end >= 0) resolve();
      });
      // A script that pipes its input in wants the answer too: the guest's side ends the session.
      stdin.resume();
    });
  } finally {
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
    socket.close(1000);
  }
  process.exitCode = DONE;
}
