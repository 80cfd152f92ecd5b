// The last words of a container, for its status.
import { open } from 'node:fs/promises';
import path from 'node:path';
import { isNotFound } from './files.ts';
import type { Container } from './pod-types.ts';

const MESSAGE_BYTES = 4096;
const LOG_BYTES = 2048;
const LOG_LINES = 80;

/** What it wrote to its termination log; else, where it asks for that and failed, the end of its output. */
export async function terminationMessage(
  container: Container,
  exitCode: number,
  bundle: string,
  log: string,
): Promise<{ message?: string }> {
  const said = await tail(path.join(bundle, 'termination-log'), MESSAGE_BYTES);
  if (said !== '') return { message: said };
  if (container.terminationMessagePolicy !== 'FallbackToLogsOnError' || exitCode === 0) return {};
  const lines = (await tail(log, LOG_BYTES * 2)).split('\n').slice(-LOG_LINES);
  const message = lines
    .map((line) => line.replace(/^\S+ (?:stdout|stderr) [FP] /, ''))
    .join('\n')
    .slice(-LOG_BYTES);
  return message === '' ? {} : { message };
}

async function tail(file: string, bytes: number): Promise<string> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      const buffer = Buffer.alloc(Math.min(size, bytes));
      await handle.read(buffer, 0, buffer.length, Math.max(0, size - bytes));
      return buffer.toString();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isNotFound(error)) return '';
    throw error;
  }
}
