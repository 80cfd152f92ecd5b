import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WorkQueue } from './queue.ts';

describe('WorkQueue', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('hands out each waiting key once, in order', async () => {
    const queue = new WorkQueue();
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
    expect(queue.length).toBe(3);
    expect([await queue.next(), await queue.next(), await queue.next()]).toEqual(['a', 'b', 'c']);
  });

  it('never hands out a key that is in work, and once more afterwards if it was added meanwhile', async () => {
    const queue = new WorkQueue();
    queue.add('a');
    expect(await queue.next()).toBe('a');
    queue.add('a');
    queue.add('a');
    queue.add('b');
    expect(await queue.next()).toBe('b');
    let third: string | undefined;
    const taken = queue.next().then((key) => (third = key));
    await vi.advanceTimersByTimeAsync(1000);
    expect(third).toBeUndefined();
    queue.done('a');
    expect(await taken).toBe('a');
    queue.done('a');
    expect(queue.length).toBe(0);
  });

  it('wakes takers that wait, one a key, and one key once for all that one event adds', async () => {
    const queue = new WorkQueue();
    const takers = [queue.next(), queue.next()];
    queue.add('a');
    queue.add('a');
    queue.add('b');
    expect(await Promise.all(takers)).toEqual(['a', 'b']);
    queue.done('a');
    expect(queue.length).toBe(0);
  });

  it('keeps the earliest of several delays, and drops it when the key is taken before', async () => {
    const queue = new WorkQueue();
    queue.addAfter('a', 500);
    queue.addAfter('a', 100);
    queue.addAfter('a', 900);
    await vi.advanceTimersByTimeAsync(99);
    expect(queue.length).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(queue.length).toBe(1);
    expect(await queue.next()).toBe('a');
    queue.done('a');
    queue.addAfter('b', 50);
    queue.add('b');
    expect(await queue.next()).toBe('b');
    queue.done('b');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(queue.length).toBe(0);
  });

  it('backs off from 5 ms to 1000 s, key by key, until forgotten', async () => {
    const queue = new WorkQueue();
    for (let i = 0; i < 20; i++) {
      queue.addRateLimited('a');
      await vi.advanceTimersByTimeAsync(1_000_000);
      queue.done((await queue.next()) ?? '');
    }
    expect(queue.retries('a')).toBe(20);
    queue.forget('a');
    expect(queue.retries('a')).toBe(0);
    queue.addRateLimited('a');
    queue.addRateLimited('b');
    await vi.advanceTimersByTimeAsync(4);
    expect(queue.length).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(queue.length).toBe(2);
  });

  it('doubles each wait', async () => {
    const queue = new WorkQueue();
    for (const ms of [5, 10, 20, 40]) {
      queue.addRateLimited('a');
      await vi.advanceTimersByTimeAsync(ms - 1);
      expect(queue.length).toBe(0);
      await vi.advanceTimersByTimeAsync(1);
      expect(queue.length).toBe(1);
      queue.done((await queue.next()) ?? '');
    }
  });

  it('closes: no more keys, takers wake, those in work are waited for', async () => {
    const queue = new WorkQueue();
    queue.add('a');
    await queue.next();
    const taker = queue.next();
    queue.addAfter('c', 10);
    let closed = false;
    const closing = queue.close().then(() => (closed = true));
    expect(await taker).toBeUndefined();
    queue.add('d');
    await vi.advanceTimersByTimeAsync(100);
    expect(closed).toBe(false);
    queue.done('a');
    await closing;
    expect(await queue.next()).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });
});
