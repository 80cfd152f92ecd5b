// A histogram that costs a few nanoseconds to fill, for what happens in the middle of a plan.

/** Upper bounds in seconds, from ten microseconds to ten seconds. */
export const BUCKETS = [1e-5, 2.5e-5, 1e-4, 2.5e-4, 1e-3, 2.5e-3, 1e-2, 2.5e-2, 0.1, 0.25, 1, 2.5, 10] as const;

export class Histogram {
  /** How many were at most BUCKETS[i], not counting those of the buckets before; the last is for those above all. */
  readonly buckets: number[] = Array.from({ length: BUCKETS.length + 1 }, () => 0);
  count = 0;
  /** Seconds. */
  sum = 0;
  failures = 0;

  /** `weight`: how many this one stands for. */
  add(seconds: number, weight: number, failed: boolean): void {
    let index = 0;
    while (index < BUCKETS.length && seconds > (BUCKETS[index] as number)) index++;
    this.buckets[index] = (this.buckets[index] as number) + weight;
    this.count += weight;
    this.sum += seconds * weight;
    if (failed) this.failures++;
  }
}
