// Runs a command in a container over a WebSocket, in Kubernetes' channel protocols v4 and v5.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, readlink, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { WebSocket } from 'ws';
import { readIfThere } from './files.ts';
import type { Layout } from './layout.ts';
import { run } from './process.ts';
import type { Target } from './server.ts';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const RESIZE = 4;
/** v5 only: the second byte names the channel that ends. */
const CLOSE = 255;
/** Above this much unsent output the command's output is not read on. */
const HIGH_WATER = 1024 * 1024;

interface Command {
  child: ChildProcess;
  /** Files to remove afterwards. */
  files: string[];
  pidFile: string;
  tty: boolean;
}

export async function serveExec(ws: WebSocket, target: Target, layout: Layout): Promise<void> {
  const container = target.pod.container(target.container)?.run;
  if (container?.phase !== 'running') {
    return finish(ws, failure(`container not found ("${target.container}")`, 'InternalError'));
  }
  const argv = target.query.getAll('command');
  if (argv.length === 0)
    return finish(ws, failure('you must specify at least 1 command for the container', 'BadRequest'));
  const wants = (name: string, short: string) =>
    [target.query.get(name), target.query.get(short)].some((value) => value === 'true' || value === '1');
  const bundle = layout.pod(target.pod.uid).bundle(container.id);
  // Messages may come before the command runs.
  const early: Buffer[] = [];
  const keep = (data: Buffer) => early.push(data);
  ws.on('message', keep);
  const command = await begin(layout.runc, bundle, container.id, argv, wants('stdin', 'input'), wants('tty', 'tty'));
  ws.off('message', keep);
  const { child } = command;
  if (wants('stdout', 'output')) forward(ws, STDOUT, child.stdout);
  else child.stdout?.resume();
  if (wants('stderr', 'error') && !command.tty) forward(ws, STDERR, child.stderr);
  else child.stderr?.resume();
  child.stdin?.on('error', () => {});
  const onMessage = (data: Buffer) => {
    const [channel] = data;
    const body = data.subarray(1);
    if (channel === STDIN) child.stdin?.write(body);
    else if (channel === RESIZE && command.tty) void resize(command, body).catch(() => {});
    else if (channel === CLOSE && body[0] === STDIN) child.stdin?.end();
  };
  for (const data of early) onMessage(data);
  ws.on('message', onMessage);
  // A caller that goes away takes its command along.
  ws.on('close', () => void abandon(command));
  const code = await new Promise<number | Error>((resolve) => {
    child.on('error', resolve);
    child.on('close', (exit) => resolve(exit ?? 137));
  });
  await Promise.all(command.files.map((file) => rm(file, { force: true })));
  if (code instanceof Error) return finish(ws, failure(code.message, 'InternalError'));
  finish(ws, code === 0 ? { metadata: {}, status: 'Success' } : exitFailure(code));
}

async function begin(
  root: string,
  bundle: string,
  id: string,
  argv: string[],
  stdin: boolean,
  tty: boolean,
): Promise<Command> {
  const name = path.join(bundle, `exec-${randomBytes(6).toString('hex')}`);
  const pidFile = `${name}.pid`;
  const spec = `${name}.json`;
  const config = JSON.parse(await readFile(path.join(bundle, 'config.json'), 'utf8')) as {
    process: { env: string[] };
  };
  const env = tty ? [...config.process.env, 'TERM=xterm'] : config.process.env;
  await writeFile(spec, JSON.stringify({ ...config.process, env, args: argv, terminal: tty }), { mode: 0o600 });
  const stdio: ['pipe' | 'ignore', 'pipe', 'pipe'] = [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'];
  const child = tty
    ? // `script` gives runc a terminal. Its command line is constant; what differs comes in variables.
      spawn('script', ['-qefc', SCRIPT, '/dev/null'], {
        stdio,
        detached: true,
        env: { PATH: process.env['PATH'], SHELL: '/bin/sh', VL_ROOT: root, VL_PID: pidFile, VL_SPEC: spec, VL_ID: id },
      })
    : spawn('runc', ['--root', root, 'exec', '--pid-file', pidFile, '--process', spec, id], { stdio, detached: true });
  return { child, files: [pidFile, spec], pidFile, tty };
}

// Raw from the first byte: runc sets it so only after the command may have written.
const SCRIPT = 'stty raw -echo; exec runc --root "$VL_ROOT" exec --pid-file "$VL_PID" --process "$VL_SPEC" "$VL_ID"';

function forward(ws: WebSocket, channel: number, stream: NodeJS.ReadableStream | null): void {
  stream?.on('data', (chunk: Buffer) => {
    ws.send(Buffer.concat([Buffer.from([channel]), chunk]), () => {
      if (ws.bufferedAmount < HIGH_WATER) stream.resume();
    });
    if (ws.bufferedAmount >= HIGH_WATER) stream.pause();
  });
}

/** Sets the size of the terminal that `script` made; runc hears of it and passes it on. */
async function resize({ child }: Command, body: Buffer): Promise<void> {
  const { Width, Height } = JSON.parse(body.toString()) as { Width: number; Height: number };
  const children = await readFile(`/proc/${child.pid ?? 0}/task/${child.pid ?? 0}/children`, 'utf8');
  const terminal = await readlink(`/proc/${children.trim().split(' ')[0] ?? ''}/fd/0`);
  if (!terminal.startsWith('/dev/pts/')) return;
  await run(['stty', '-F', terminal, 'cols', String(Number(Width)), 'rows', String(Number(Height))]);
}

async function abandon({ child, pidFile }: Command): Promise<void> {
  if (child.exitCode !== null) return;
  const pid = Number(await readIfThere(pidFile));
  if (pid > 1) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
  child.kill('SIGKILL');
}

function finish(ws: WebSocket, status: object): void {
  ws.send(Buffer.concat([Buffer.from([ERROR]), Buffer.from(JSON.stringify(status))]), () => ws.close(1000));
}

function failure(message: string, reason: string): object {
  return { metadata: {}, status: 'Failure', message, reason, code: 500 };
}

function exitFailure(code: number): object {
  const causes = [{ reason: 'ExitCode', message: String(code) }];
  const message = `command terminated with non-zero exit code: exit status ${code}`;
  return { metadata: {}, status: 'Failure', message, reason: 'NonZeroExitCode', details: { causes } };
}
