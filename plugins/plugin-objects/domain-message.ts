// The domain's XML as a message for CEL, and what an expression made of it merged back into the XML.
import { create, createFileRegistry, type DescMessage, type FileRegistry, type Message } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { childOf, el, type Element } from '../../core/index.ts';
import { FIELDS, type Field } from './domain-types.ts';

/** The package of the types: an expression may name them without. */
export const NAMESPACE = 'libvirtxml';

/** Numbers of protobuf's kinds of fields. */
const KIND = { string: 9, uint: 4, int: 3, message: 11 } as const;

function registry(): FileRegistry {
  const messageType = [...FIELDS].map(([name, fields]) => ({
    name,
    field: [...fields].map(([field, { isList, of }], index) => ({
      name: field,
      number: index + 1,
      label: isList ? 3 : 1,
      ...('type' in of ? { type: KIND.message, typeName: `.${NAMESPACE}.${of.type}` } : { type: KIND[of.scalar] }),
    })),
  }));
  // In proto2 a field that was not set is told from one that is empty.
  const file = create(FileDescriptorProtoSchema, {
    name: 'domain.proto',
    package: NAMESPACE,
    syntax: 'proto2',
    messageType,
  });
  return createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
}

export const REGISTRY = registry();

export function typeOf(name: string): DescMessage {
  return REGISTRY.getMessage(`${NAMESPACE}.${name}`) as DescMessage;
}

type Values = Record<string, unknown>;

/** The messages of one domain, and the element behind each. */
export class DomainMessages {
  readonly #elements = new WeakMap<Message, Element>();

  /** What of `element` the type has fields for. */
  read(element: Element, type = 'Domain'): Message {
    const values: Values = {};
    for (const [name, field] of FIELDS.get(type) ?? []) {
      const value = this.#value(element, field);
      if (value !== undefined) values[name] = value;
    }
    const message = create(typeOf(type), values);
    this.#elements.set(message, element);
    return message;
  }

  #value(element: Element, { place, xml, mark, isList, of }: Field): unknown {
    if (isList) {
      const children = element.children.filter((child) => child.tag === xml);
      return children.map((child) => ('type' in of ? this.read(child, of.type) : (child.text ?? '')));
    }
    if (place === 'itself')
      return element.attrs[xml] === mark && 'type' in of ? this.read(element, of.type) : undefined;
    if ('type' in of) {
      const child = childOf(element, xml);
      return child && this.read(child, of.type);
    }
    const text =
      place === 'attribute' ? element.attrs[xml] : place === 'text' ? element.text : childOf(element, xml)?.text;
    if (text === undefined || of.scalar === 'string') return text;
    return /^-?\d+$/.test(text) ? BigInt(text) : undefined;
  }

  /**
   * The element with the fields that are set in `message`: messages are merged into what is there, lists replace what is
   * there, an empty text removes. What was read from the domain and stands in a list as it was keeps all it had.
   */
  write(element: Element, message: Message, type = 'Domain'): Element {
    let made: Element = { ...element, attrs: { ...element.attrs }, children: [...element.children] };
    const values = message as unknown as Values;
    for (const [name, field] of FIELDS.get(type) ?? []) {
      if (!Object.hasOwn(values, name)) continue;
      const value = values[name];
      if (value === undefined || (field.isList && (value as unknown[]).length === 0)) continue;
      made = this.#set(made, field, value);
    }
    return made;
  }

  #set(made: Element, { place, xml, mark, isList, of }: Field, value: unknown): Element {
    if (isList) {
      const items = (value as unknown[]).map((item) =>
        'type' in of ? this.#item(xml, item as Message, of.type) : el(xml, {}, String(item)),
      );
      return { ...made, children: [...made.children.filter((child) => child.tag !== xml), ...items] };
    }
    if (place === 'itself' && 'type' in of) {
      return this.write({ ...made, attrs: { ...made.attrs, [xml]: mark ?? '' } }, value as Message, of.type);
    }
    if (place === 'attribute') {
      const attrs = { ...made.attrs, [xml]: String(value) };
      if (value === '') delete attrs[xml];
      return { ...made, attrs };
    }
    if (place === 'text') return { ...made, text: String(value) };
    const old = childOf(made, xml);
    const child =
      'type' in of
        ? this.write(old ?? el(xml), value as Message, of.type)
        : value === ''
          ? undefined
          : { ...(old ?? el(xml)), text: String(value) };
    const rest = made.children.flatMap((one) => (one === old ? (child ? [child] : []) : [one]));
    return { ...made, children: old || !child ? rest : [...rest, child] };
  }

  #item(tag: string, message: Message, type: string): Element {
    return this.#elements.get(message) ?? this.write(el(tag), message, type);
  }
}
