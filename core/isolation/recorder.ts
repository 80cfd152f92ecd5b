// A plan's draft that notes down what is written, and shows it to who reads: the child's side of prepareDomain.
import type { ElementDraft } from '../domain/draft.ts';
import { DomainDraft } from '../domain/draft.ts';
import { el, type Element, type ReadonlyElement } from '../domain/element.ts';
import type { Migratable, Overhead, PlanDraft } from '../plugin.ts';
import type { PodPart } from '../pod.ts';
import { EVERYWHERE } from '../scope.ts';
import type { StepDraft } from '../steps.ts';
import type { Owner } from '../types.ts';
import type { Write } from './protocol.ts';

const CHILD: Owner = { plugin: 'isolated', tap: 'prepareDomain' };

/** `draft` is what a tap writes with; `writes` is what it wrote. */
export function recorder(domain: Element, overheadSoFar: number): { draft: PlanDraft; writes: Write[] } {
  const writes: Write[] = [];
  let made = 0;
  let total = overheadSoFar;
  const real = new DomainDraft(domain, CHILD, EVERYWHERE);

  const elementOf = (draft: ElementDraft, on: number): ElementDraft => {
    const child = (what: 'add' | 'merge', element: Element): ElementDraft => {
      const makes = ++made;
      writes.push({ do: what, on, element: structuredClone(element), makes });
      return elementOf(draft[what](element), makes);
    };
    const recorded = {
      get element(): ReadonlyElement {
        return draft.element;
      },
      add: (element: Element) => child('add', element),
      merge: (element: Element) => child('merge', element),
      set(attrs: Record<string, string>) {
        writes.push({ do: 'set', on, attrs: el('x', attrs).attrs });
        draft.set(attrs);
        return recorded;
      },
    };
    // The private fields of the class are the parent's business.
    return recorded as unknown as ElementDraft;
  };
  const at = (path: string): ElementDraft => {
    const makes = ++made;
    writes.push({ do: 'at', path, makes });
    return elementOf(real.at(path), makes);
  };
  const find = (key: string): ElementDraft | undefined => {
    const found = real.find(key);
    if (!found) return undefined;
    const makes = ++made;
    writes.push({ do: 'find', key, makes });
    return elementOf(found, makes);
  };
  const domainDraft = {
    root: domain,
    at,
    find,
    set: (attrs: Record<string, string>) => void at('').set(attrs),
    merge: (element: Element) => void at('').merge(element),
    device: (element: Element) => at('devices').add(element),
  };
  const podDraft = {
    merge: (part: PodPart) => void writes.push({ do: 'pod', part }),
    compute: (part: PodPart) =>
      void writes.push({ do: 'pod', part: { spec: { containers: [{ name: 'compute', ...part }] } } }),
  };
  const draft: PlanDraft = {
    domain: domainDraft as unknown as DomainDraft,
    pod: podDraft as unknown as PlanDraft['pod'],
    overhead(entry: Overhead) {
      total += entry.mebibytes;
      writes.push({ do: 'overhead', entry });
    },
    overheadSoFar: () => total,
    step: (step: StepDraft) => void writes.push({ do: 'step', step }),
    rewrite() {
      throw new Error('an isolated plugin cannot rewrite the domain: it has no node side');
    },
    migratable: (answer: Migratable) => void writes.push({ do: 'migratable', answer }),
  };
  return { draft, writes };
}

/** Does the writes on the real plan, where they are signed and held to what the plugin declares. */
export function replay(writes: readonly Write[], plan: PlanDraft): void {
  const elements = new Map<number, ElementDraft>();
  const on = (number: number): ElementDraft => {
    const found = elements.get(number);
    if (!found) throw new TypeError(`it writes to element ${number}, which it never made`);
    return found;
  };
  for (const write of writes) {
    if (write.do === 'at') elements.set(write.makes, plan.domain.at(write.path));
    else if (write.do === 'find') {
      const found = plan.domain.find(write.key);
      if (found) elements.set(write.makes, found);
    } else if (write.do === 'add' || write.do === 'merge') {
      elements.set(write.makes, on(write.on)[write.do](write.element));
    } else if (write.do === 'set') on(write.on).set(write.attrs);
    else if (write.do === 'pod') plan.pod.merge(write.part);
    else if (write.do === 'overhead') plan.overhead(write.entry);
    else if (write.do === 'step') plan.step(write.step);
    else if (write.do === 'migratable') plan.migratable(write.answer);
    else throw new TypeError(`it asks for a write that there is not`);
  }
}
