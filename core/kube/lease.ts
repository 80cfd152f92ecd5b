// Leader election by a Lease: of many processes one leads, and never two.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { KubeClient } from './client.ts';
import { isNotFound } from './kube-error.ts';
import { LEASES } from './objects.ts';
import type { KubeObject } from './objects.ts';

/** coordination.k8s.io/v1. */
export interface Lease extends KubeObject {
  spec?: {
    /** '' or absent: nobody's. */
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    /** MicroTime: RFC 3339 with six digits of fraction. */
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

export interface LeaderElectionOptions {
  client: KubeClient;
  namespace: string;
  /** Of the Lease object. */
  name: string;
  /** Ours; no two processes share one. */
  identity: string;
  /** Does the leader's work until `signal` says that the lead is lost; the next campaign waits until it returns. */
  onStarted: (signal: AbortSignal) => Promise<void>;
  /** Told whenever somebody leads whom we did not know to lead. */
  onLeader?: (identity: string) => void;
  /** Others may take over a lease that nobody renewed for this long. Default 15 s. */
  leaseDurationMs?: number;
  /** A leader that could not renew for this long stops leading. Default 10 s; shorter than the lease's duration. */
  renewDeadlineMs?: number;
  /** Between two tries. Default 2 s. */
  retryPeriodMs?: number;
  log?: Logger;
}

/**
 * A leader counts its time from before the renewal was sent, a candidate from when it saw the lease change: whatever
 * the delays and however wrong the clocks, the leader's time is over first.
 */
export class LeaderElection {
  readonly #options: Required<Omit<LeaderElectionOptions, 'log' | 'onLeader'>> &
    Pick<LeaderElectionOptions, 'log' | 'onLeader'>;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  /** The lease as last seen, and when (our clock, ms) it was first seen like that. */
  #seen: { lease: Lease; at: number } | undefined;
  #leader: string | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000, ...options };
    const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = this.#options;
    if (!(leaseDurationMs > renewDeadlineMs && renewDeadlineMs > retryPeriodMs)) {
      throw new Error('leader election: leaseDurationMs > renewDeadlineMs > retryPeriodMs must hold');
    }
  }

  /**
   * Campaigns, leads, campaigns again, until `stop`. Rejects where the work goes on although the lease may be another's
   * by now: then there are two who do it, and only the end of this process helps.
   */
  run(): Promise<void> {
    return (this.#running ??= this.#run());
  }

  /** Ends the work, then gives the lease back, so that another takes over at once. */
  async stop(): Promise<void> {
    this.#abort.abort();
    // Whoever called `run` was told of its failure.
    await this.#running?.catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const since = await this.#try();
      // Candidates that all ask at the same moment would only get in each other's way.
      if (since === undefined) await this.#pause(this.#options.retryPeriodMs * (1 + 0.2 * Math.random()));
      else await this.#lead(since);
    }
  }

  async #lead(since: number): Promise<void> {
    const { log, name, identity, onStarted } = this.#options;
    log?.info({ lease: name, identity }, 'leading');
    const lost = new AbortController();
    const work = onStarted(lost.signal).catch((error: unknown) => {
      log?.error({ lease: name, err: error }, 'the leader failed at its work');
    });
    let over = false;
    void work.then(() => (over = true));
    const renewed = await this.#renewUntilLost(since, () => over);
    lost.abort(new Error(`lease ${name} is lost or given back`));
    const left = renewed + this.#options.leaseDurationMs - performance.now();
    const tooLate = new AbortController();
    const deadline = sleep(Math.max(0, left), undefined, { signal: tooLate.signal }).then(
      () => {
        throw new Error(`lease ${name} is over and its work goes on; end this process`);
      },
      () => undefined,
    );
    await Promise.race([work, deadline]);
    tooLate.abort();
    await this.#release();
    log?.info({ lease: name, identity }, 'no longer leading');
  }

  /**
   * Goes on until renewing failed for too long, somebody else leads, the work is over, or `stop`. Returns when the lease
   * was last renewed (our clock).
   */
  async #renewUntilLost(since: number, isOver: () => boolean): Promise<number> {
    const { renewDeadlineMs, retryPeriodMs, identity } = this.#options;
    let renewed = since;
    const left = (): number => renewed + renewDeadlineMs - performance.now();
    while (left() > 0) {
      await this.#pause(Math.min(retryPeriodMs, left()));
      if (this.#abort.signal.aborted || isOver() || left() <= 0) break;
      // A try that hangs is cut off when the time is up.
      const at = await this.#try(left());
      if (at !== undefined) renewed = at;
      else if (this.#leader !== identity) break;
    }
    return renewed;
  }

  /** Takes or renews the lease if it may: the time (our clock) before it was sent, or undefined where it is not ours. */
  async #try(timeoutMs = this.#options.renewDeadlineMs): Promise<number | undefined> {
    const { client, namespace, name, identity, log } = this.#options;
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(Math.ceil(timeoutMs))]);
    try {
      const found = await client.get<Lease>(LEASES, namespace, name, { signal }).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      });
      if (found !== undefined) {
        this.#observe(found);
        if (!this.#mayTake(found)) return undefined;
      }
      const begin = performance.now();
      const wanted = this.#claim(found);
      const made =
        found === undefined
          ? await client.create<Lease>(LEASES, namespace, wanted, { signal })
          : await client.replace<Lease>(LEASES, namespace, name, wanted, { signal });
      this.#observe(made);
      return begin;
    } catch (error) {
      if (!this.#abort.signal.aborted) log?.warn({ err: error, lease: name, identity }, 'lease not taken or renewed');
      return undefined;
    }
  }

  #observe(lease: Lease): void {
    const before = this.#seen?.lease.metadata;
    const { uid, resourceVersion } = lease.metadata;
    if (before?.uid !== uid || before?.resourceVersion !== resourceVersion) {
      this.#seen = { lease, at: performance.now() };
    }
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder !== this.#leader && holder !== '') this.#options.onLeader?.(holder);
    this.#leader = holder;
  }

  #mayTake(lease: Lease): boolean {
    const { identity, leaseDurationMs } = this.#options;
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder === '' || holder === identity) return true;
    // The holder's word on how long it holds, by our clock since the last change we saw.
    const seconds = lease.spec?.leaseDurationSeconds;
    const duration = Math.max(leaseDurationMs, (seconds ?? 0) * 1000);
    return this.#seen !== undefined && performance.now() - this.#seen.at >= duration;
  }

  #claim(found: Lease | undefined): Lease {
    const { namespace, name, identity, leaseDurationMs } = this.#options;
    const now = microTime();
    const old = found?.spec;
    const ours = old?.holderIdentity === identity;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: found?.metadata ?? { namespace, name },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.max(1, Math.ceil(leaseDurationMs / 1000)),
        acquireTime: ours ? (old.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: (old?.leaseTransitions ?? 0) + (ours || old === undefined ? 0 : 1),
      },
    };
  }

  /** Gives the lease back if it is still ours; failing is harmless, it runs out. */
  async #release(): Promise<void> {
    const { client, namespace, name, identity, renewDeadlineMs, log } = this.#options;
    try {
      const options = { timeoutMs: renewDeadlineMs };
      const lease = await client.get<Lease>(LEASES, namespace, name, options);
      if (lease.spec?.holderIdentity !== identity) return;
      const now = microTime();
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now };
      this.#observe(await client.replace<Lease>(LEASES, namespace, name, { ...lease, spec }, options));
    } catch (error) {
      log?.warn({ err: error, lease: name }, 'lease not given back; it runs out by itself');
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#abort.signal }).catch(() => undefined);
  }
}

function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
