// One tap made safe: a throw, a rejection or a hang becomes a typed error that names plugin and hook.
import { fail, messageOf, VirtloomError } from './errors.ts';
import type { Scopes } from './scope.ts';
import type { Owner } from './types.ts';

export type Done<T> = (error: Error | null, result?: T) => void;

/**
 * Told of the taps that ran: when one began and ended, in ms of performance.now(), and how it failed if it did. `weight`:
 * how many calls this one stands for; a look at the clock costs as much as a small tap.
 */
export type OnTap = (owner: Owner, began: number, ended: number, weight: number, error?: VirtloomError) => void;

/** The first calls of a tap are told one by one; later, when many plans are made, one of so many. */
const ONE_BY_ONE = 256;
const SAMPLE = 16;

/** What the operator and the host say about a plugin's taps. */
export interface TapPolicy {
  /** `Ignore` turns a failure into a log line and goes on without the tap. */
  readonly failurePolicy: 'Fail' | 'Ignore';
  /** Milliseconds an asynchronous tap may take. */
  readonly timeoutMs: number;
  /** Where in pod and domain the plugin may write. */
  readonly scopes: Scopes;
  /** Told of every failure, also of an ignored one. */
  readonly onFailure: (owner: Owner, error: VirtloomError) => void;
  readonly onTap?: OnTap | undefined;
}

/** One tap of one plugin. */
export interface Tap {
  /** The same object for every call: a signature can be told by it. */
  readonly owner: Owner;
  readonly policy: TapPolicy;
  /** How often it was called. */
  calls: number;
}

export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** When the tap before ended, while the next one begins in the same breath: half the looks at the clock. */
let handedOn = 0;

/**
 * Runs `call(a, b)` and hands its result to `done`; synchronously when the tap is synchronous, which keeps plans fast.
 * Errors: VL_TAP_FAILED, VL_TAP_TIMEOUT; a VirtloomError of the core's own (VL_CONFLICT) passes as it is.
 */
export function runTap<A, B, T>(tap: Tap, call: (a: A, b: B) => T | Promise<T>, a: A, b: B, done: Done<T>): void {
  const { onTap } = tap.policy;
  const calls = ++tap.calls;
  const weight = calls <= ONE_BY_ONE ? 1 : calls % SAMPLE === 0 ? SAMPLE : 0;
  const isTimed = onTap !== undefined && weight > 0;
  const began = isTimed ? handedOn || performance.now() : 0;
  handedOn = 0;
  let result: T | Promise<T>;
  try {
    result = call(a, b);
  } catch (error) {
    failed(tap, began, error, done);
    return;
  }
  if (isPromise(result)) {
    settle(tap, began, weight, result, done);
    return;
  }
  if (isTimed) {
    const ended = performance.now();
    onTap(tap.owner, began, ended, weight);
    handedOn = ended;
  }
  done(null, result);
  handedOn = 0;
}

function settle<T>(tap: Tap, began: number, weight: number, result: Promise<T>, done: Done<T>): void {
  const { owner, policy } = tap;
  let over = false;
  const finish = (act: () => void): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    act();
  };
  const late = (): void => {
    const facts = { hook: owner.tap, plugin: owner.plugin, ms: policy.timeoutMs };
    failed(tap, began, fail('VL_TAP_TIMEOUT', facts), done);
  };
  const timer = setTimeout(() => finish(late), policy.timeoutMs);
  result.then(
    (value) =>
      finish(() => {
        if (weight > 0) policy.onTap?.(owner, began, performance.now(), weight);
        done(null, value);
      }),
    (error: unknown) => finish(() => failed(tap, began, error, done)),
  );
}

function failed<T>({ owner, policy }: Tap, began: number, error: unknown, done: Done<T>): void {
  const typed =
    error instanceof VirtloomError
      ? error
      : fail('VL_TAP_FAILED', { hook: owner.tap, plugin: owner.plugin, cause: messageOf(error) }, error);
  const ended = performance.now();
  // Every failure is told, and of one that was not timed at least when it ended.
  policy.onTap?.(owner, began === 0 ? ended : began, ended, 1, typed);
  policy.onFailure(owner, typed);
  if (policy.failurePolicy === 'Ignore') done(null);
  else done(typed);
}
