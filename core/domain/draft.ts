// The domain under construction: every write is signed by the tap that makes it, and clashes name both sides.
import { fail } from '../errors.ts';
import type { Owner } from '../types.ts';
import { type Element, childOf, el } from './element.ts';

/**
 * A copy to put in the tree, so that a literal may be used again; what others signed before stays theirs.
 * Attributes are shared until somebody adds to them.
 */
function owned(element: Element, by: Owner): Element {
  const owner = element.by ?? by;
  const children: Element[] = [];
  for (const child of element.children) children.push(owned(child, owner));
  const fresh: Element = { tag: element.tag, attrs: element.attrs, children, by: owner };
  if (element.text !== undefined) fresh.text = element.text;
  if (element.key !== undefined) fresh.key = element.key;
  return fresh;
}

function conflict(path: string, old: string, oldBy: Owner | undefined, value: string, by: Owner) {
  return fail('VL_CONFLICT', {
    where: path,
    first: oldBy?.plugin ?? 'core',
    old: JSON.stringify(old),
    second: by.plugin,
    new: JSON.stringify(value),
  });
}

function mergeInto(target: Element, source: Element, by: Owner, path: string): void {
  for (const name in source.attrs) {
    const value = source.attrs[name] as string;
    const old = target.attrs[name];
    if (old === undefined) {
      target.attrs = { ...target.attrs, [name]: value };
      if (target.by !== by) (target.attrBy ??= {})[name] = by;
    } else if (old !== value) {
      throw conflict(`${path}/@${name}`, old, target.attrBy?.[name] ?? target.by, value, by);
    }
  }
  if (source.text !== undefined) {
    if (target.text === undefined) {
      target.text = source.text;
      target.textBy = by;
    } else if (target.text !== source.text) {
      throw conflict(`${path}/text()`, target.text, target.textBy ?? target.by, source.text, by);
    }
  }
  for (const child of source.children) {
    const twin = childOf(target, child.tag);
    if (twin) mergeInto(twin, child, by, `${path}/${child.tag}`);
    else target.children.push(owned(child, by));
  }
}

/** A writer on the domain tree, bound to one tap. */
export class DomainDraft {
  readonly root: Element;
  readonly #by: Owner;

  constructor(root: Element, by: Owner) {
    this.root = root;
    this.#by = by;
  }

  /** The element at `path` below the domain (`devices`, `os/bootmenu`), made where it is missing. */
  at(path: string): ElementDraft {
    let element = this.root;
    if (path !== '') {
      for (const tag of path.split('/')) {
        let next = childOf(element, tag);
        if (!next) {
          next = el(tag);
          next.by = this.#by;
          element.children.push(next);
        }
        element = next;
      }
    }
    return new ElementDraft(element, this.#by, path);
  }

  /** Sets attributes of the domain element itself. */
  set(attrs: Record<string, string>): void {
    mergeInto(this.root, el(this.root.tag, attrs), this.#by, 'domain');
  }

  /** Merges an element that occurs once below the domain (cpu, os, features, ...). */
  merge(element: Element): void {
    this.at('').merge(element);
  }

  /** Adds a device: an element that may occur many times below `devices`. */
  device(element: Element): ElementDraft {
    return this.at('devices').add(element);
  }

  /** The device with this key (`disk:rootdisk`, `interface:default`), if a tap before this one made it. */
  find(key: string): ElementDraft | undefined {
    const devices = childOf(this.root, 'devices');
    const element = devices?.children.find((child) => child.key === key);
    return element && new ElementDraft(element, this.#by, `devices/${element.tag}[${key}]`);
  }
}

/** A writer on one element. */
export class ElementDraft {
  readonly element: Element;
  readonly #by: Owner;
  readonly #path: string;

  constructor(element: Element, by: Owner, path: string) {
    this.element = element;
    this.#by = by;
    this.#path = path;
  }

  /** Adds a child beside those there are. */
  add(element: Element): ElementDraft {
    const child = owned(element, this.#by);
    this.element.children.push(child);
    return new ElementDraft(child, this.#by, `${this.#path}/${child.tag}`);
  }

  /** Merges a child that occurs once: its attributes and children join those there are. */
  merge(element: Element): ElementDraft {
    const twin = childOf(this.element, element.tag);
    if (!twin) return this.add(element);
    const path = this.#path === '' ? element.tag : `${this.#path}/${element.tag}`;
    mergeInto(twin, element, this.#by, path);
    return new ElementDraft(twin, this.#by, path);
  }

  /** Sets attributes of this element. */
  set(attrs: Record<string, string>): this {
    mergeInto(this.element, el(this.element.tag, attrs), this.#by, this.#path);
    return this;
  }
}
