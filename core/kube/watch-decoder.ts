// A watch's byte stream, cut into its events: one JSON document a line.
import { KubeError } from './kube-error.ts';
import type { Status } from './kube-error.ts';
import type { KubeObject } from './objects.ts';

export interface WatchEvent<T extends KubeObject> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  /** For a bookmark only `metadata.resourceVersion` is there. */
  object: T;
}

const NEWLINE = 10;

export class WatchDecoder<T extends KubeObject> {
  readonly #onEvent: (event: WatchEvent<T>) => void;
  /** The pieces of a line whose end has not come yet. */
  #rest: Buffer[] = [];

  constructor(onEvent: (event: WatchEvent<T>) => void) {
    this.#onEvent = onEvent;
  }

  /** @throws KubeError for an ERROR event or a line that is no JSON; the stream is of no use afterwards. */
  push(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end === -1) break;
      this.#rest.push(chunk.subarray(start, end));
      const line = this.#rest.length === 1 ? String(this.#rest[0]) : Buffer.concat(this.#rest).toString();
      this.#rest = [];
      start = end + 1;
      if (line.trim() !== '') this.#emit(line);
    }
    if (start < chunk.length) this.#rest.push(chunk.subarray(start));
  }

  #emit(line: string): void {
    let event: { type: string; object: unknown };
    try {
      event = JSON.parse(line) as { type: string; object: unknown };
    } catch (error) {
      throw new KubeError(0, 'Unreachable', `watch: a line is no JSON: ${line.slice(0, 80)}`, {}, error);
    }
    if (event.type === 'ERROR') throw KubeError.fromStatus(event.object as Status, 'watch');
    this.#onEvent(event as WatchEvent<T>);
  }
}
