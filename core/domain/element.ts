// The libvirt domain as a tree of elements, each signed by its maker.
import type { Owner } from '../types.ts';

export type AttributeValue = string | number | boolean | undefined;

/** One XML element. `attrBy` holds only the attributes that another than `by` set. */
export interface Element {
  readonly tag: string;
  /** Once in a plan, never changed in place: replaced by a larger one. */
  attrs: Record<string, string>;
  readonly children: Element[];
  text?: string | undefined;
  by?: Owner | undefined;
  attrBy?: Record<string, Owner> | undefined;
  textBy?: Owner | undefined;
  /** A name by which other plugins find this element, e.g. `disk:rootdisk`; not in the XML. */
  key?: string | undefined;
}

/** An element to look at. */
export interface ReadonlyElement {
  readonly tag: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly children: readonly ReadonlyElement[];
  readonly text?: string | undefined;
  readonly by?: Owner | undefined;
  readonly key?: string | undefined;
}

/**
 * Writes an element down: `el('disk', { type: 'file' }, el('source', { file: path }))`.
 * Undefined attributes and children are left out; booleans become `yes` and `no`, as libvirt writes them.
 */
export function el(
  tag: string,
  attrs: Record<string, AttributeValue> = {},
  ...children: (Element | string | undefined)[]
): Element {
  const written: Record<string, string> = {};
  for (const name in attrs) {
    const value = attrs[name];
    if (value === undefined) continue;
    written[name] = typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value);
  }
  const element: Element = { tag, attrs: written, children: [] };
  for (const child of children) {
    if (child === undefined) continue;
    if (typeof child === 'string') element.text = child;
    else element.children.push(child);
  }
  return element;
}

/** Gives `element` the name by which other plugins find it, e.g. `keyed('disk:rootdisk', el('disk'))`. */
export function keyed(key: string, element: Element): Element {
  element.key = key;
  return element;
}

/** The first child with this tag. */
export function childOf(element: Element, tag: string): Element | undefined;
export function childOf(element: ReadonlyElement, tag: string): ReadonlyElement | undefined;
export function childOf(element: ReadonlyElement, tag: string): ReadonlyElement | undefined {
  for (const child of element.children) if (child.tag === tag) return child;
  return undefined;
}
