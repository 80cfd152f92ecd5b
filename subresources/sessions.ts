// Open streams: how many there may be, and their end with the VMI they belong to.
import type { KubeClient, Vmi } from '../core/index.ts';
import { VMIS, isFinal } from '../core/index.ts';
import { Informer } from '../core/kube/informer.ts';
import { tooMany } from './status.ts';

const MAX = 256;
const MAX_PER_VMI = 16;

export class Sessions {
  readonly #client: KubeClient;
  readonly #open = new Map<AbortController, { key: string; ended: Promise<void> }>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** Throws KubeError 429 when there is no room for one more session of the VMI. */
  assertRoom(vmi: Vmi): void {
    const key = keyOf(vmi);
    const own = [...this.#open.values()].filter((session) => session.key === key).length;
    if (own >= MAX_PER_VMI) throw tooMany(`VMI has ${own} open sessions; close one`);
    if (this.#open.size >= MAX) throw tooMany(`there are ${this.#open.size} open sessions; try again later`);
  }

  /** Runs a session; its signal is aborted when the VMI ends or is replaced, and by `close`. */
  async run(vmi: Vmi, session: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const abort = new AbortController();
    const { namespace = '', name = '' } = vmi.metadata;
    const watch = new Informer<Vmi>(this.#client, VMIS, { namespace, fieldSelector: `metadata.name=${name}` });
    watch.on(({ type, object }) => {
      const isOther = object.metadata.uid !== vmi.metadata.uid;
      if (type === 'deleted' || isOther || isFinal(object.status?.phase)) abort.abort(new Error('VMI is gone'));
    });
    watch.start();
    const ended = session(abort.signal);
    this.#open.set(abort, { key: keyOf(vmi), ended });
    try {
      await ended;
    } finally {
      this.#open.delete(abort);
      await watch.stop();
    }
  }

  /** Ends every session and waits for it. */
  async close(): Promise<void> {
    const sessions = [...this.#open];
    for (const [abort] of sessions) abort.abort(new Error('server is shutting down'));
    await Promise.allSettled(sessions.map(([, { ended }]) => ended));
  }
}

function keyOf(vmi: Vmi): string {
  return vmi.metadata.uid ?? `${vmi.metadata.namespace ?? ''}/${vmi.metadata.name ?? ''}`;
}
