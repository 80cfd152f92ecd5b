// A domain that came back changed: what changed is found by comparing, and signed by who changed it.
import { fail } from '../errors.ts';
import type { Owner } from '../types.ts';
import type { Element } from './element.ts';
import { parseXml, toXml } from './xml.ts';

export interface Rewritten {
  /** The domain as it came back; what was there before keeps its signatures. */
  readonly domain: Element;
  /** In words, one each: `devices/watchdog added`, `title = "a"`, `cpu/@mode removed`. */
  readonly changes: readonly string[];
}

/** Compares `xml` with the tree that it came of. Throws VL_XML_INVALID where it is malformed or no domain. */
export function rewritten(before: Element, xml: string, by: Owner): Rewritten {
  const after = parseXml(xml);
  if (after.tag !== before.tag) {
    throw fail('VL_XML_INVALID', { problem: `its root is <${after.tag}>, not <${before.tag}>` });
  }
  const changes: string[] = [];
  return { domain: compare(before, after, by, '', changes), changes };
}

function compare(before: Element, after: Element, by: Owner, path: string, changes: string[]): Element {
  const here = (name: string): string => (path === '' ? name : `${path}/${name}`);
  const attrBy: Record<string, Owner> = {};
  for (const [name, value] of Object.entries(after.attrs)) {
    const isOld = before.attrs[name] === value;
    const owner = isOld ? before.attrBy?.[name] : by;
    if (owner) attrBy[name] = owner;
    if (!isOld) changes.push(`${here(`@${name}`)} = ${JSON.stringify(value)}`);
  }
  for (const name in before.attrs) if (!(name in after.attrs)) changes.push(`${here(`@${name}`)} removed`);
  const isOldText = (before.text ?? '') === (after.text ?? '');
  if (!isOldText) changes.push(`${path} = ${JSON.stringify(after.text ?? '')}`);

  const twins = pair(before.children, after.children);
  const counts = new Map<string, number>();
  for (const { tag } of after.children) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  const seen = new Map<string, number>();
  const children = after.children.map((child) => {
    const nth = (seen.get(child.tag) ?? 0) + 1;
    seen.set(child.tag, nth);
    const place = here(counts.get(child.tag) === 1 ? child.tag : `${child.tag}[${nth}]`);
    const twin = twins.get(child);
    if (twin) return compare(twin, child, by, place, changes);
    changes.push(`${place} added`);
    return sign(child, by);
  });
  const kept = new Set(twins.values());
  for (const child of before.children) if (!kept.has(child)) changes.push(`${here(child.tag)} removed`);
  return {
    ...{ tag: after.tag, attrs: after.attrs, text: after.text, children },
    ...{ by: before.by, key: before.key, textBy: isOldText ? before.textBy : by },
    ...(Object.keys(attrBy).length > 0 ? { attrBy } : {}),
  };
}

function sign(element: Element, by: Owner): Element {
  return { ...element, by, children: element.children.map((child) => sign(child, by)) };
}

/** Which element of before each one of after is: the same one, the only one of its tag, or the likest of those left. */
function pair(before: readonly Element[], after: readonly Element[]): Map<Element, Element> {
  const twins = new Map<Element, Element>();
  for (const tag of new Set(after.map((child) => child.tag))) {
    const old = before.filter((child) => child.tag === tag);
    const fresh = after.filter((child) => child.tag === tag);
    if (old.length === 1 && fresh.length === 1) {
      twins.set(fresh[0] as Element, old[0] as Element);
      continue;
    }
    const left = new Map(old.map((child) => [child, toXml(child)]));
    for (const child of fresh) {
      const text = toXml(child);
      const same = [...left].find(([, xml]) => xml === text)?.[0];
      if (!same) continue;
      twins.set(child, same);
      left.delete(same);
    }
    for (const child of fresh) {
      if (twins.has(child)) continue;
      const scored = [...left.keys()].map((one) => ({ one, score: likeness(one, child) }));
      const best = scored.reduce((a, b) => (b.score > a.score ? b : a), { one: child, score: 0 });
      if (best.score === 0) continue;
      twins.set(child, best.one);
      left.delete(best.one);
    }
  }
  return twins;
}

/** How many attributes and children two elements have in common. */
function likeness(a: Element, b: Element): number {
  const attrs = Object.entries(a.attrs).filter(([name, value]) => b.attrs[name] === value).length;
  const inA = new Set(a.children.map(toXml));
  return attrs + b.children.filter((child) => inA.has(toXml(child))).length;
}
