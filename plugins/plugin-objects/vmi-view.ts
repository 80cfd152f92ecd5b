// The VMI as CEL sees it: the object as its JSON is, whose fields may also be named as KubeVirt's Go types name them.
import type { Vmi } from '../../core/index.ts';

/** Maps whose keys are the user's own words. */
const FREE = new Set(['labels', 'annotations', 'matchLabels']);

/** `Spec` finds `spec`, `CPU` finds `cpu`; nothing else is found that is not there. */
class Fields extends Map<string, unknown> {
  override get(key: string): unknown {
    return super.get(this.#nameOf(key));
  }

  override has(key: string): boolean {
    return super.has(this.#nameOf(key));
  }

  #nameOf(key: string): string {
    if (super.has(key) || !/^[A-Z]/.test(key)) return key;
    const wanted = key === 'ObjectMeta' ? 'metadata' : key.toLowerCase();
    for (const name of this.keys()) if (name.toLowerCase() === wanted) return name;
    return key;
  }
}

/** The VMI itself: in Go its metadata's fields are its own too. */
class Root extends Fields {
  override get(key: string): unknown {
    return super.get(key) ?? (/^[A-Z]/.test(key) ? (super.get('metadata') as Fields | undefined)?.get(key) : undefined);
  }

  override has(key: string): boolean {
    return this.get(key) !== undefined;
  }
}

function view(value: unknown, isFree: boolean): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((item) => view(item, false));
  if (typeof value !== 'object' || value === null) return value;
  const entries = entriesOf(value);
  return isFree ? new Map(entries) : new Fields(entries);
}

function entriesOf(object: object): [string, unknown][] {
  const given = Object.entries(object).filter(([, value]) => value !== undefined && value !== null);
  return given.map(([name, value]) => [name, view(value, FREE.has(name))]);
}

/** Labels and annotations are there even where the VMI has none, as Go's are. */
export function viewOf(vmi: Vmi): ReadonlyMap<string, unknown> {
  const { labels = {}, annotations = {} } = vmi.metadata;
  return new Root(entriesOf({ ...vmi, metadata: { ...vmi.metadata, labels, annotations } }));
}
