// One tap made safe: a throw, a rejection or a hang becomes a typed error that names plugin and hook.
import { fail, messageOf, VirtloomError } from './errors.ts';
import type { Owner } from './types.ts';

export type Done<T> = (error: Error | null, result?: T) => void;

export interface TapPolicy {
  /** `Ignore` turns a failure into a log line and goes on without the tap. */
  readonly failurePolicy: 'Fail' | 'Ignore';
  /** Milliseconds an asynchronous tap may take. */
  readonly timeoutMs: number;
  /** Told of every failure, also of an ignored one. */
  readonly onFailure: (owner: Owner, error: VirtloomError) => void;
  /** Told of every tap that ran: when it began and ended, in ms of performance.now(), and how it failed if it did. */
  readonly onTap?: (owner: Owner, began: number, ended: number, error?: VirtloomError) => void;
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** `call`, and then `use` on what it gives: a malformed answer is contained like a throw. */
export function andThen<T, U>(call: () => T | Promise<T>, use: (result: T) => U): () => U | Promise<U> {
  return () => {
    const result = call();
    return isPromise(result) ? result.then(use) : use(result);
  };
}

/**
 * Runs `call` and hands its result to `done`; synchronously when the tap is synchronous, which keeps plans fast.
 * Errors: VL_TAP_FAILED, VL_TAP_TIMEOUT; a VirtloomError of the core's own (VL_CONFLICT) passes as it is.
 */
export function runTap<T>(owner: Owner, policy: TapPolicy, call: () => T | Promise<T>, done: Done<T>): void {
  const failed = (error: unknown): void => {
    const typed =
      error instanceof VirtloomError
        ? error
        : fail('VL_TAP_FAILED', { hook: owner.tap, plugin: owner.plugin, cause: messageOf(error) }, error);
    policy.onFailure(owner, typed);
    if (policy.failurePolicy === 'Ignore') done(null);
    else done(typed);
  };
  let result: T | Promise<T>;
  try {
    result = call();
  } catch (error) {
    failed(error);
    return;
  }
  if (!isPromise(result)) {
    done(null, result);
    return;
  }
  let over = false;
  const finish = (act: () => void): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    act();
  };
  const timer = setTimeout(
    () => finish(() => failed(fail('VL_TAP_TIMEOUT', { hook: owner.tap, plugin: owner.plugin, ms: policy.timeoutMs }))),
    policy.timeoutMs,
  );
  result.then(
    (value) => finish(() => done(null, value)),
    (error: unknown) => finish(() => failed(error)),
  );
}
