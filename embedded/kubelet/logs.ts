// Serves a container's output from its CRI-format log: tail, since, time stamps, and following until the container ends.
import { watch } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { isNotFound } from './files.ts';
import type { Layout } from './layout.ts';
import { LogLines } from './log-lines.ts';
import { RequestError } from './request-error.ts';
import type { Target } from './server.ts';

const CHUNK = 256 * 1024;
/** Looks again at the latest after this long, whatever the file watch says. */
const LOOK_MS = 1000;

export async function serveLogs(
  { pod, container, query }: Target,
  layout: Layout,
  response: ServerResponse,
): Promise<void> {
  const run = pod.container(container)?.run;
  const attempt = (run?.attempt ?? 0) - (flag(query, 'previous') ? 1 : 0);
  const file = layout.pod(pod.uid).log(container, attempt);
  if (!run || (await sizeOf(file)) === undefined) {
    const name = pod.record.name;
    throw new RequestError(
      400,
      flag(query, 'previous')
        ? `previous terminated container "${container}" in pod "${name}" not found`
        : `container "${container}" in pod "${name}" is waiting to start: ContainerCreating`,
    );
  }
  const lines = new LogLines({
    timestamps: flag(query, 'timestamps'),
    since: sinceOf(query),
    tail: numberOf(query, 'tailLines'),
    limitBytes: numberOf(query, 'limitBytes'),
  });
  response.writeHead(200, { 'content-type': 'text/plain' });
  const reader = new LogReader(file);
  try {
    for await (const chunk of reader.rest()) {
      if (lines.isFull) break;
      await write(response, lines.take(chunk));
    }
    await write(response, lines.release());
    const running = () => pod.container(container)?.run?.id === run.id && run.phase !== 'exited';
    while (flag(query, 'follow') && !response.destroyed && !lines.isFull) {
      const last = !running();
      for await (const chunk of reader.rest()) await write(response, lines.take(chunk));
      if (last) break;
      await reader.more(LOOK_MS);
    }
  } finally {
    response.end();
  }
}

/** Reads a growing file; one that was begun anew (conmon does that at its size limit) is read from its beginning. */
class LogReader {
  private readonly file: string;
  private offset = 0;
  private inode = 0;

  constructor(file: string) {
    this.file = file;
  }

  async *rest(): AsyncGenerator<Buffer> {
    const handle = await open(this.file, 'r').catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
    if (!handle) return;
    try {
      const { ino, size } = await handle.stat();
      if (ino !== this.inode || size < this.offset) this.offset = 0;
      this.inode = ino;
      for (;;) {
        const buffer = Buffer.alloc(CHUNK);
        const { bytesRead } = await handle.read(buffer, 0, CHUNK, this.offset);
        if (bytesRead === 0) return;
        this.offset += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  }

  /** Resolves when the file changed, or after `ms`. */
  async more(ms: number): Promise<void> {
    if ((await sizeOf(this.file)) !== this.offset) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        watcher?.close();
        resolve();
      };
      const timer = setTimeout(done, ms);
      const watcher = startWatch(this.file, done);
    });
  }
}

function startWatch(file: string, onChange: () => void) {
  try {
    return watch(file, onChange).on('error', onChange);
  } catch {
    // The file is gone: the time-out looks again.
    return undefined;
  }
}

async function write(response: ServerResponse, text: string): Promise<void> {
  if (text === '' || response.destroyed || response.write(text)) return;
  await new Promise<void>((resolve) => {
    response.once('drain', resolve);
    response.once('close', resolve);
  });
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function flag(query: URLSearchParams, name: string): boolean {
  return ['true', '1'].includes(query.get(name) ?? '');
}

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^[0-9]+$/.test(text)) throw new RequestError(400, `${name} must be a number, not "${text}"`);
  return Number(text);
}

function sinceOf(query: URLSearchParams): number | undefined {
  const secondsAgo = numberOf(query, 'sinceSeconds');
  if (secondsAgo !== undefined) return Date.now() - secondsAgo * 1000;
  const time = query.get('sinceTime');
  return time === null ? undefined : Date.parse(time);
}
