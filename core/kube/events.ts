// Kubernetes Events: what happened to an object, for `kubectl describe`; repeats are counted, not repeated.
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { KubeClient } from './client.ts';
import { isNotFound } from './kube-error.ts';
import { EVENTS } from './objects.ts';
import type { KubeObject } from './objects.ts';

/** Different events that are remembered for counting; the least recently repeated is forgotten first. */
const REMEMBERED = 2048;
/** A repeat after this long is a new event. */
const SAME_MS = 60 * 60 * 1000;
/** Writes one object may cause at once, and how long until it may cause one more. */
const BURST = 25;
const REFILL_MS = 30_000;
/** Writes that wait for the API server; what comes on top is dropped. */
const WAITING = 1000;
const MESSAGE_LENGTH = 1024;

interface Known {
  name: string;
  namespace: string;
  count: number;
  /** The count that the API server has. */
  written: number;
  firstTimestamp: string;
  lastTimestamp: string;
  body: KubeObject;
  /** Our clock. */
  lastAt: number;
  queued: boolean;
}

export class EventRecorder {
  readonly #client: KubeClient;
  readonly #component: string;
  readonly #log: Logger | undefined;
  readonly #known = new Map<string, Known>();
  readonly #tokens = new Map<string, { left: number; at: number }>();
  readonly #waiting: Known[] = [];
  #sending: Promise<void> | undefined;

  constructor(client: KubeClient, component: string, options: { log?: Logger } = {}) {
    this.#client = client;
    this.#component = component;
    this.#log = options.log;
  }

  /** Best effort, in the background; never throws. `reason` is one CamelCase word, `message` a sentence for people. */
  event(object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    try {
      const text = message.length > MESSAGE_LENGTH ? `${message.slice(0, MESSAGE_LENGTH - 1)}…` : message;
      const known = this.#count(object, type, reason, text);
      if (known.queued || this.#waiting.length >= WAITING || !this.#mayWrite(object)) return;
      known.queued = true;
      this.#waiting.push(known);
      this.#sending ??= this.#send();
    } catch (error) {
      this.#log?.warn({ err: error, reason }, 'event not recorded');
    }
  }

  /** Resolves when everything recorded so far is written or given up. */
  async flush(): Promise<void> {
    await this.#sending;
  }

  #count(object: KubeObject, type: string, reason: string, message: string): Known {
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const { uid, namespace, name } = object.metadata;
    const key = JSON.stringify([uid ?? [object.kind, namespace, name], type, reason, message]);
    const before = this.#known.get(key);
    this.#known.delete(key);
    if (before !== undefined && performance.now() - before.lastAt < SAME_MS) {
      before.count++;
      before.lastTimestamp = now;
      before.lastAt = performance.now();
      this.#known.set(key, before);
      return before;
    }
    const known = this.#newEvent(object, type, reason, message, now);
    this.#known.set(key, known);
    forgetOldest(this.#known);
    return known;
  }

  #newEvent(object: KubeObject, type: string, reason: string, message: string, now: string): Known {
    const { namespace = 'default', name = '', uid, resourceVersion } = object.metadata;
    const unique = `${name.slice(0, 236)}.${randomBytes(8).toString('hex')}`;
    const { apiVersion, kind } = object;
    return {
      name: unique,
      namespace,
      count: 1,
      written: 0,
      firstTimestamp: now,
      lastTimestamp: now,
      lastAt: performance.now(),
      queued: false,
      body: {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: unique, namespace },
        involvedObject: { apiVersion, kind, namespace: object.metadata.namespace, name, uid, resourceVersion },
        type,
        reason,
        message,
        source: { component: this.#component, host: hostname() },
        reportingComponent: this.#component,
        reportingInstance: hostname(),
      },
    };
  }

  /** A token bucket an object: one that flaps must not fill the store. */
  #mayWrite(object: KubeObject): boolean {
    const { uid, namespace, name } = object.metadata;
    const key = uid ?? `${object.kind}/${namespace ?? ''}/${name ?? ''}`;
    const now = performance.now();
    const bucket = this.#tokens.get(key) ?? { left: BURST, at: now };
    const refilled = Math.floor((now - bucket.at) / REFILL_MS);
    bucket.left = Math.min(BURST, bucket.left + refilled);
    bucket.at += refilled * REFILL_MS;
    this.#tokens.delete(key);
    this.#tokens.set(key, bucket);
    forgetOldest(this.#tokens);
    if (bucket.left === 0) return false;
    bucket.left--;
    return true;
  }

  async #send(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      next.queued = false;
      await this.#write(next).catch((error: unknown) => {
        this.#log?.warn({ err: error, event: next?.name }, 'event not written');
      });
    }
    this.#sending = undefined;
  }

  async #write(known: Known): Promise<void> {
    const { namespace, name, count, firstTimestamp, lastTimestamp, body } = known;
    if (known.written > 0) {
      try {
        await this.#client.patch(EVENTS, namespace, name, { count, lastTimestamp });
        known.written = count;
        return;
      } catch (error) {
        // Events live for an hour or so on the server; then it is written anew.
        if (!isNotFound(error)) throw error;
      }
    }
    await this.#client.create(EVENTS, namespace, { ...body, count, firstTimestamp, lastTimestamp });
    known.written = count;
  }
}

function forgetOldest(map: Map<string, unknown>): void {
  if (map.size <= REMEMBERED) return;
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
