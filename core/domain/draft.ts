// The domain under construction: every write is signed by the tap that makes it, kept to what its plugin declares, and
// clashes name both sides.
import { fail, type VirtloomError } from '../errors.ts';
import { into, type Scope } from '../scope.ts';
import type { Owner } from '../types.ts';
import { type Element, type ReadonlyElement, childOf, el } from './element.ts';

/** An element whose signature is the core's own doing, not something that a plugin wrote into it. */
class Signed implements Element {
  readonly tag: string;
  attrs: Record<string, string>;
  readonly children: Element[];
  text: string | undefined;
  by: Owner;
  attrBy: Record<string, Owner> | undefined;
  textBy: Owner | undefined;
  key: string | undefined;

  constructor(element: Element, children: Element[], by: Owner) {
    this.tag = element.tag;
    // Shared until somebody adds to them.
    this.attrs = element.attrs;
    this.children = children;
    this.text = element.text;
    this.by = by;
    this.attrBy = undefined;
    this.textBy = undefined;
    this.key = element.key;
  }
}

/** A copy to put in the tree, so that a literal may be used again; what others signed before stays theirs. */
export function signed(element: Element, by: Owner): Element {
  if (typeof element.tag !== 'string' || !Array.isArray(element.children) || typeof element.attrs !== 'object') {
    throw new TypeError(`${JSON.stringify(element) ?? 'undefined'} is not an element: make it by el()`);
  }
  const owner = element instanceof Signed ? element.by : by;
  const children: Element[] = [];
  for (const child of element.children) children.push(signed(child, owner));
  return new Signed(element, children, owner);
}

/** The whole of a tree again, signatures and all. */
export function copyTree(element: Element): Element {
  const copy = new Signed(element, element.children.map(copyTree), element.by as Owner);
  copy.attrs = { ...element.attrs };
  if (element.attrBy) copy.attrBy = { ...element.attrBy };
  copy.textBy = element.textBy;
  return copy;
}

function conflict(path: string, old: string, oldBy: Owner | undefined, value: string, by: Owner): VirtloomError {
  return fail('VL_CONFLICT', {
    where: path,
    first: oldBy?.plugin ?? 'core',
    old: JSON.stringify(old),
    second: by.plugin,
    new: JSON.stringify(value),
  });
}

function undeclared(path: string, by: Owner): VirtloomError {
  return fail('VL_WRITE_UNDECLARED', { where: `domain ${path}`, plugin: by.plugin });
}

/** Throws VL_WRITE_UNDECLARED where `element`, put at `path`, holds something of its own outside of the scope. */
function permit(element: Element, scope: Scope | undefined, by: Owner, path: string): void {
  if (scope?.whole === true) return;
  // What an attachment brought was signed when it was attached.
  if (!(element instanceof Signed)) {
    if (!scope) throw undeclared(path, by);
    for (const name in element.attrs) if (!into(scope, `@${name}`)) throw undeclared(`${path}/@${name}`, by);
    if (element.text !== undefined) throw undeclared(`${path}/text()`, by);
  }
  for (const child of element.children) permit(child, scope && into(scope, child.tag), by, `${path}/${child.tag}`);
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
    else target.children.push(signed(child, by));
  }
}

function below(path: string, tag: string): string {
  return path === '' ? tag : `${path}/${tag}`;
}

/** A writer on the domain tree, bound to one tap. */
export class DomainDraft {
  readonly #root: Element;
  readonly #by: Owner;
  readonly #scope: Scope;

  constructor(root: Element, by: Owner, scope: Scope) {
    this.#root = root;
    this.#by = by;
    this.#scope = scope;
  }

  get root(): ReadonlyElement {
    return this.#root;
  }

  /** The same draft for somebody else to write with. */
  signedBy(by: Owner): DomainDraft {
    return new DomainDraft(this.#root, by, this.#scope);
  }

  /** The element at `path` below the domain (`devices`, `os/bootmenu`), made where it is missing. */
  at(path: string): ElementDraft {
    let element = this.#root;
    let scope: Scope | undefined = this.#scope;
    if (path !== '') {
      for (const tag of path.split('/')) {
        scope = scope && into(scope, tag);
        let next = childOf(element, tag);
        if (!next) {
          if (!scope) throw undeclared(path, this.#by);
          next = signed(el(tag), this.#by);
          element.children.push(next);
        }
        element = next;
      }
    }
    return new ElementDraft(element, this.#by, path, scope);
  }

  /** Sets attributes of the domain element itself. */
  set(attrs: Record<string, string>): void {
    this.at('').set(attrs);
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
    const devices = childOf(this.#root, 'devices');
    const element = devices?.children.find((child) => child.key === key);
    if (!element) return undefined;
    const scope = into(this.#scope, 'devices');
    return new ElementDraft(element, this.#by, `devices/${element.tag}[${key}]`, scope && into(scope, element.tag));
  }
}

/** A writer on one element. */
export class ElementDraft {
  readonly #element: Element;
  readonly #by: Owner;
  readonly #path: string;
  readonly #scope: Scope | undefined;

  constructor(element: Element, by: Owner, path: string, scope: Scope | undefined) {
    this.#element = element;
    this.#by = by;
    this.#path = path;
    this.#scope = scope;
  }

  /** What is there, to read. */
  get element(): ReadonlyElement {
    return this.#element;
  }

  /** The same draft for somebody else to write with. */
  signedBy(by: Owner): ElementDraft {
    return new ElementDraft(this.#element, by, this.#path, this.#scope);
  }

  /** Adds a child beside those there are. */
  add(element: Element): ElementDraft {
    const child = signed(element, this.#by);
    const path = below(this.#path, child.tag);
    const scope = this.#permit(element, path);
    this.#element.children.push(child);
    return new ElementDraft(child, this.#by, path, scope);
  }

  /** Merges a child that occurs once: its attributes and children join those there are. */
  merge(element: Element): ElementDraft {
    const twin = childOf(this.#element, element.tag);
    if (!twin) return this.add(element);
    const path = below(this.#path, element.tag);
    const scope = this.#permit(element, path);
    mergeInto(twin, element, this.#by, path);
    return new ElementDraft(twin, this.#by, path, scope);
  }

  /** Sets attributes of this element. */
  set(attrs: Record<string, string>): this {
    const source = el(this.#element.tag, attrs);
    permit(source, this.#scope, this.#by, this.#path);
    mergeInto(this.#element, source, this.#by, this.#path);
    return this;
  }

  #permit(child: Element, path: string): Scope | undefined {
    const scope = this.#scope && into(this.#scope, child.tag);
    permit(child, scope, this.#by, path);
    return scope;
  }
}
