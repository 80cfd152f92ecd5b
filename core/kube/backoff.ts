// How long to wait before the next try.

/** Doubles from `firstMs` up to `maxMs`; each wait is shortened by up to `jitter` (0..1) of itself at random. */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #jitter: number;
  #failures = 0;

  constructor(firstMs: number, maxMs: number, jitter = 0) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#jitter = jitter;
  }

  get failures(): number {
    return this.#failures;
  }

  next(): number {
    const ms = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(this.#failures, 40));
    this.#failures++;
    return ms * (1 - this.#jitter * Math.random());
  }

  reset(): void {
    this.#failures = 0;
  }
}
