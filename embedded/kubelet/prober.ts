// Runs a container's startup, readiness and liveness probes in their rhythm and tells of changes.
import { check } from './probe.ts';
import type { ProbeTarget } from './probe.ts';
import type { Probe } from './pod-types.ts';

export interface ProberEvents {
  ready(ready: boolean): void;
  started(): void;
  /** Liveness or startup failed for good: the container is to be killed. */
  unhealthy(kind: 'liveness' | 'startup'): void;
  failed(kind: string, message: string): void;
}

type Kind = 'startup' | 'readiness' | 'liveness';

export class Prober {
  private readonly target: ProbeTarget;
  private readonly events: ProberEvents;
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly startedAt: number;
  private stopped = false;

  constructor(target: ProbeTarget, startedAt: number, events: ProberEvents) {
    this.target = target;
    this.startedAt = startedAt;
    this.events = events;
  }

  /** Reports ready and started at once where there is nothing to ask. */
  start(): void {
    const { startupProbe } = this.target.container;
    if (startupProbe) {
      this.events.ready(false);
      this.loop('startup', startupProbe);
    } else {
      this.afterStartup();
    }
  }

  stop(): void {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  private afterStartup(): void {
    const { readinessProbe, livenessProbe } = this.target.container;
    this.events.started();
    if (!readinessProbe) this.events.ready(true);
    else {
      if (readinessProbe.initialDelaySeconds) this.events.ready(false);
      this.loop('readiness', readinessProbe);
    }
    if (livenessProbe) this.loop('liveness', livenessProbe);
  }

  private loop(kind: Kind, probe: Probe): void {
    const periodMs = (probe.periodSeconds ?? 10) * 1000;
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
    let failures = 0;
    let successes = 0;
    let wasReady = false;
    const once = async (): Promise<void> => {
      const problem = await check(probe, this.target, timeoutMs).catch((error: unknown) => String(error));
      if (this.stopped) return;
      if (problem === undefined) {
        failures = 0;
        successes++;
        if (kind === 'startup') return this.afterStartup();
        if (kind === 'readiness' && !wasReady && successes >= (probe.successThreshold ?? 1)) {
          wasReady = true;
          this.events.ready(true);
        }
      } else {
        successes = 0;
        failures++;
        this.events.failed(kind, problem);
        if (failures >= (probe.failureThreshold ?? 3) || !wasReady) {
          if (kind === 'readiness') {
            wasReady = false;
            this.events.ready(false);
          } else if (failures >= (probe.failureThreshold ?? 3)) {
            return this.events.unhealthy(kind);
          }
        }
      }
      // A container that is about to be ready is asked sooner than its period: start latency is what users see.
      this.after(kind === 'liveness' || wasReady ? periodMs : Math.min(periodMs, 1000), once);
    };
    this.after((probe.initialDelaySeconds ?? 0) * 1000 - (Date.now() - this.startedAt), once);
  }

  private after(ms: number, work: () => Promise<void>): void {
    const timer = setTimeout(
      () => {
        this.timers.delete(timer);
        void work();
      },
      Math.max(0, ms),
    );
    this.timers.add(timer);
  }
}
