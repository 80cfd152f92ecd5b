// The domain tree as XML text and back: the only place that knows about angle brackets.
import { SaxesParser } from 'saxes';
import { fail } from '../errors.ts';
import type { Element } from './element.ts';

const UNSAFE = /[&<>"'\n\r\t]/;
const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\n': '&#10;',
  '\r': '&#13;',
  '\t': '&#9;',
};
// Characters that no XML 1.0 document can hold, escaped or not.
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

function escape(text: string): string {
  if (FORBIDDEN.test(text)) {
    throw fail('VL_XML_INVALID', { problem: `${JSON.stringify(text)} holds a character that XML cannot carry` });
  }
  return UNSAFE.test(text) ? text.replace(/[&<>"'\n\r\t]/g, (char) => ESCAPES[char] as string) : text;
}

function write(element: Element, indent: string): string {
  let out = `${indent}<${element.tag}`;
  const attrs = element.attrs;
  for (const name in attrs) out += ` ${name}="${escape(attrs[name] as string)}"`;
  if (element.children.length > 0) {
    out += '>\n';
    const deeper = `${indent}  `;
    for (const child of element.children) out += write(child, deeper);
    return `${out}${indent}</${element.tag}>\n`;
  }
  return element.text === undefined || element.text === ''
    ? `${out}/>\n`
    : `${out}>${escape(element.text)}</${element.tag}>\n`;
}

/** The tree as indented XML, a final newline included. */
export function toXml(root: Element): string {
  return write(root, '');
}

/** Reads XML into an unsigned tree. White space between elements is dropped. Throws VL_XML_INVALID. */
export function parseXml(text: string): Element {
  const parser = new SaxesParser();
  const stack: Element[] = [];
  let root: Element | undefined;
  const refuse = (problem: string) => fail('VL_XML_INVALID', { problem });
  parser.on('error', (error) => {
    throw refuse(error.message);
  });
  parser.on('doctype', () => {
    throw refuse('a DOCTYPE is not accepted');
  });
  parser.on('opentag', (tag) => {
    const element: Element = { tag: tag.name, attrs: { ...tag.attributes }, children: [] };
    const parent = stack.at(-1);
    if (parent) parent.children.push(element);
    else root = element;
    stack.push(element);
  });
  const onText = (chunk: string) => {
    const element = stack.at(-1);
    if (element && (element.text !== undefined || chunk.trim() !== '')) element.text = (element.text ?? '') + chunk;
  };
  parser.on('text', onText);
  parser.on('cdata', onText);
  parser.on('closetag', () => {
    const element = stack.pop();
    if (element?.text !== undefined && element.children.length > 0 && element.text.trim() === '') delete element.text;
  });
  parser.write(text).close();
  if (!root) throw refuse('no element');
  return root;
}
