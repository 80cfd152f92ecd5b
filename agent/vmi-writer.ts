// The agent's writes of VMIs: one patch each, never over somebody else's, none where nothing changes.
import { isConflict, isNotFound } from '../core/kube/client.ts';
import type { KubeClient } from '../core/kube/client.ts';
import type { Informer, Vmi, VmiStatus } from '../core/index.ts';
import { VMIS } from '../core/vmi-kind.ts';

const TRIES = 5;

export interface VmiChange {
  readonly status: VmiStatus;
  /** Left as they are unless given. */
  readonly finalizers?: readonly string[];
}

export class VmiWriter {
  readonly #client: KubeClient;
  readonly #vmis: Informer<Vmi>;
  /** Our last write of a VMI, by uid, until the informer shows something newer than what it was written over. */
  readonly #written = new Map<string, { over: string | undefined; vmi: Vmi }>();

  constructor(client: KubeClient, vmis: Informer<Vmi>) {
    this.#client = client;
    this.#vmis = vmis;
  }

  /** The VMI as it is now, as far as we know: our own writes count before the watch brings them back. */
  get(namespace: string, name: string): Vmi | undefined {
    const seen = this.#vmis.get(namespace, name);
    if (!seen) return undefined;
    const written = this.#written.get(seen.metadata.uid ?? '');
    if (!written) return seen;
    if (written.over === seen.metadata.resourceVersion) return written.vmi;
    this.#written.delete(seen.metadata.uid ?? '');
    return seen;
  }

  /**
   * Writes what `change` makes of the VMI; a VMI that somebody changed meanwhile is read again and asked about again.
   * Undefined when the VMI is gone.
   */
  async write(vmi: Vmi, change: (vmi: Vmi) => VmiChange): Promise<Vmi | undefined> {
    const { namespace = '', name = '', uid = '' } = vmi.metadata;
    let current = vmi;
    for (let attempt = 1; ; attempt++) {
      const next = change(current);
      const body = patchOf(current, next);
      if (!body) return current;
      try {
        const over = this.#vmis.get(namespace, name)?.metadata.resourceVersion;
        const written = await this.#client.patch<Vmi>(VMIS, namespace, name, body, { type: 'merge' });
        if (this.#vmis.get(namespace, name)?.metadata.resourceVersion === over) {
          this.#written.set(uid, { over, vmi: written });
        }
        return written;
      } catch (error) {
        if (isNotFound(error)) return undefined;
        if (!isConflict(error) || attempt === TRIES) throw error;
        const fresh = await this.#client.get<Vmi>(VMIS, namespace, name).catch((failure: unknown) => {
          if (isNotFound(failure)) return undefined;
          throw failure;
        });
        if (fresh?.metadata.uid !== uid) return undefined;
        current = fresh;
      }
    }
  }

  /** The VMI is gone for good. */
  forget(uid: string): void {
    this.#written.delete(uid);
  }
}

/** A merge patch of what differs, tied to the version it was made from; undefined where nothing does. */
function patchOf(vmi: Vmi, change: VmiChange): object | undefined {
  const old: Record<string, unknown> = { ...vmi.status };
  const status: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(change.status)) {
    if (JSON.stringify(old[key]) !== JSON.stringify(value)) status[key] = value;
  }
  const finalizers = change.finalizers;
  const sameFinalizers = !finalizers || JSON.stringify(finalizers) === JSON.stringify(vmi.metadata.finalizers ?? []);
  if (Object.keys(status).length === 0 && sameFinalizers) return undefined;
  return {
    metadata: { resourceVersion: vmi.metadata.resourceVersion, ...(sameFinalizers ? {} : { finalizers }) },
    ...(Object.keys(status).length === 0 ? {} : { status }),
  };
}
