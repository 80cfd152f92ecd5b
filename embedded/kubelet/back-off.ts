// Waiting times that double with every failure, as the kubelet does for crashes and image pulls.

export class BackOff {
  private readonly firstMs: number;
  private readonly maxMs: number;
  private ms = 0;
  private until = 0;

  constructor(firstMs: number, maxMs: number) {
    this.firstMs = firstMs;
    this.maxMs = maxMs;
  }

  /** Milliseconds still to wait; 0 when it is time. */
  left(): number {
    return Math.max(0, this.until - Date.now());
  }

  /** The present waiting time in whole seconds, for messages. */
  get seconds(): number {
    return Math.round(this.ms / 1000);
  }

  /** Makes the next wait longer. */
  grow(): void {
    this.ms = this.ms === 0 ? this.firstMs : Math.min(this.ms * 2, this.maxMs);
  }

  /** Begins a wait at `at`; no wait before the first grow(). */
  begin(at: number): void {
    this.until = at + this.ms;
  }

  /** A failure now: longer than before, from now on. */
  fail(): void {
    this.grow();
    this.begin(Date.now());
  }

  reset(): void {
    this.ms = 0;
    this.until = 0;
  }
}
