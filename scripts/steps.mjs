// Set-up as a user sees it: one line a step, everything else in a log file that a failure names.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';

/** A failure whose message is meant for the user as it stands. */
export class SetupError extends Error {}

/**
 * Runs a command with its output in the log.
 * @returns {Promise<number>} its exit status; 128 + signal when it was killed, 127 when it does not exist
 */
export function run(log, argv, options = {}) {
  const fd = openSync(log, 'a');
  writeSync(fd, `\n$ ${argv.join(' ')}\n`);
  return new Promise((resolve) => {
    const child = spawn(argv[0], argv.slice(1), { stdio: ['inherit', fd, fd], ...options });
    child.once('error', (error) => {
      writeSync(fd, `${error.message}\n`);
      resolve(127);
    });
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  }).finally(() => closeSync(fd));
}

/** Says what is being done, does it, says how long it took. */
export async function step(what, work) {
  const began = Date.now();
  const tty = process.stdout.isTTY;
  process.stdout.write(tty ? `  ${what} ...` : `  ${what} ...\n`);
  try {
    const result = await work();
    process.stdout.write(`${tty ? '\r' : ''}  ${what}: done in ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
    return result;
  } catch (error) {
    process.stdout.write(`${tty ? '\r' : ''}  ${what}: failed\n`);
    throw error;
  }
}

/** The last lines of a log, for a failure's message. */
export function tail(log, lines = 12) {
  return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

/** Starts a new log. */
export function newLog(path) {
  mkdirSync(dirname(path), { recursive: true });
  closeSync(openSync(path, 'w'));
  return path;
}

/**
 * Runs a command in the foreground in our place: terminal, signals and exit status are its own.
 * @returns {Promise<number>} its exit status
 */
export function foreground(argv, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { stdio: 'inherit', ...options });
    const forward = (signal) => child.kill(signal);
    // The terminal sends its own signals to the whole group: there we only must not end before the child.
    const signals = { SIGTERM: forward, SIGHUP: forward, SIGINT: process.stdin.isTTY ? () => {} : forward };
    for (const [signal, handler] of Object.entries(signals)) process.on(signal, handler);
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      for (const [name, handler] of Object.entries(signals)) process.off(name, handler);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}
