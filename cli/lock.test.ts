// One platform a state directory, also after a crash, and when a pid comes again.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { holderOf, takeStateDir } from './lock.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vl-lock-'));
  file = join(directory, 'platform.pid');
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('a state directory', () => {
  it('has one holder, until it is given back', () => {
    const give = takeStateDir(directory);
    expect(holderOf(directory)).toBe(process.pid);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(() => takeStateDir(directory)).toThrow(`already runs on ${directory} (process ${process.pid})`);
    give();
    expect(existsSync(file)).toBe(false);
    expect(holderOf(directory)).toBeUndefined();
    takeStateDir(directory)();
  });

  it('is made where it is missing', () => {
    const missing = join(directory, 'a/b');
    takeStateDir(missing)();
    expect(statSync(missing).mode & 0o777).toBe(0o711);
  });

  it('is free again once its holder has crashed', async () => {
    const child = spawn('sleep', ['60']);
    const pid = child.pid ?? 0;
    takeStateDir(directory)();
    const began = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19];
    writeFileSync(file, JSON.stringify({ pid, began }));
    expect(holderOf(directory)).toBe(pid);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    expect(holderOf(directory)).toBeUndefined();
    takeStateDir(directory)();
  });

  it.each([
    ['a process that got the same pid', JSON.stringify({ pid: process.pid, began: '1' })],
    ['a dead process that left half a file', '{"pid": 1'],
    ['nobody', ''],
    ['a file without a time', '{"pid": 4194305}'],
    ['a file of text', '"x"'],
  ])('is not held by %s', (_, text) => {
    writeFileSync(file, text);
    expect(holderOf(directory)).toBeUndefined();
    takeStateDir(directory)();
  });
});
