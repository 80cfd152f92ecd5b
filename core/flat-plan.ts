// A plan as a list of lines, each a path, a value and who set it: what can be shown, kept and compared.
import type { Element } from './domain/element.ts';
import type { Plan } from './plan.ts';
import type { Owner } from './types.ts';

export const SECTIONS = ['domain', 'pod', 'defaults', 'steps', 'rewrites', 'memory'] as const;

export interface Line {
  /** `defaults` are fields of the VMI itself; `memory` is what the pod needs besides the guest. */
  readonly section: (typeof SECTIONS)[number];
  /** Unique in its section: `devices/disk[rootdisk]/driver/@cache`, `spec.containers[name=compute].image`. */
  readonly path: string;
  readonly value: string;
  readonly by: Owner | undefined;
  /** What the plugin said about it. */
  readonly why?: string;
}

/** The field of the manifest behind a line, where more is known than its owner says. */
export type FieldOf = (by: Owner, path: string, value: string) => string | undefined;

/** Domain (elements, attributes, texts), pod (leaves), node steps, rewrites and memory of a plan, in this order. */
export function flatten(plan: Plan, fieldOf: FieldOf = ({ field }) => field): Line[] {
  const lines = new Lines(fieldOf);
  lines.element(plan.domain, '');
  for (const { path, value, by } of plan.pod.leaves) lines.add('pod', path, textOf(value), by);
  for (const { phase, steps } of plan.chains) {
    for (const { id, plugin, action, args } of steps) {
      const by = { plugin, tap: 'step' };
      lines.add('steps', `${phase}/${id}`, action, by);
      for (const key in args) lines.add('steps', `${phase}/${id}/${key}`, textOf(args[key]), by);
    }
  }
  for (const { id, args, by } of plan.rewrites) lines.add('rewrites', id, textOf(args), by);
  for (const { mebibytes, why, by } of plan.overhead) lines.add('memory', why, `${mebibytes} MiB`, by);
  return lines.all;
}

/** The plugins that had a part in what these lines tell. */
export function participants(lines: readonly Line[]): string[] {
  const names = new Set(lines.flatMap(({ by }) => (by && by.plugin !== 'core' ? [by.plugin] : [])));
  return [...names].sort();
}

/** A value as lines have it: text as it is, all else as JSON. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

/** What tells one of several children of a tag from the others: attributes, tried in this order. */
const IDENTITIES = [['name'], ['id'], ['type', 'index'], ['type']] as const;
/** libvirt's prefix of names that users gave. */
const USER_ALIAS = /^ua-/;

function aliasOf(element: Element): string | undefined {
  return element.children.find(({ tag }) => tag === 'alias')?.attrs['name']?.replace(USER_ALIAS, '');
}

/** Of several children of one tag, what to call each: alias, else attributes that differ, else the position. */
function namesOf(children: readonly Element[]): string[] {
  for (const name of [aliasOf, ...IDENTITIES.map((keys) => attributesOf(keys))]) {
    const names = children.map(name);
    if (names.every((one) => one !== undefined) && new Set(names).size === names.length) return names as string[];
  }
  return children.map((child, index) => aliasOf(child) ?? String(index));
}

function attributesOf(keys: readonly string[]): (element: Element) => string | undefined {
  return ({ attrs }) =>
    keys.every((key) => attrs[key] !== undefined) ? keys.map((key) => attrs[key]).join('-') : undefined;
}

class Lines {
  readonly all: Line[] = [];
  readonly #fieldOf: FieldOf;
  readonly #paths = new Set<string>();

  constructor(fieldOf: FieldOf) {
    this.#fieldOf = fieldOf;
  }

  add(section: Line['section'], path: string, value: string, by: Owner | undefined): void {
    let own = path;
    for (let again = 2; this.#paths.has(`${section} ${own}`); again++) own = `${path} (${again})`;
    this.#paths.add(`${section} ${own}`);
    this.all.push({ section, path: own, value, by: by && this.#signature(by, path, value) });
  }

  #signature(by: Owner, path: string, value: string): Owner {
    const field = this.#fieldOf(by, path, value);
    return { plugin: by.plugin, tap: by.tap, ...(field === undefined ? {} : { field }) };
  }

  element({ attrs, attrBy, text, textBy, by, children }: Element, path: string): void {
    const below = (rest: string): string => (path === '' ? rest : `${path}/${rest}`);
    // An element is told by what its maker put into it; one that has nothing of its maker's, by itself.
    const isTold = Object.keys(attrs).some((name) => !attrBy?.[name]) || (text !== undefined && !textBy);
    if (!isTold && path !== '') this.add('domain', path, 'present', by);
    for (const name in attrs) this.add('domain', below(`@${name}`), attrs[name] as string, attrBy?.[name] ?? by);
    if (text !== undefined) this.add('domain', below('text()'), text, textBy ?? by);
    const names = new Map<Element, string>();
    for (const [tag, twins] of Map.groupBy(children, (child) => child.tag)) {
      const isMany = twins.length > 1 || aliasOf(twins[0] as Element) !== undefined;
      const which = isMany ? namesOf(twins) : [];
      twins.forEach((twin, index) => names.set(twin, isMany ? `${tag}[${which[index] ?? ''}]` : tag));
    }
    for (const child of children) this.element(child, below(names.get(child) as string));
  }
}

export interface Change {
  readonly section: Line['section'];
  readonly path: string;
  readonly before?: Line;
  readonly after?: Line;
}

/** What is different, in the order of `after`, and then what is gone. Who set a line does not matter, only what. */
export function compare(before: readonly Line[], after: readonly Line[]): Change[] {
  const key = ({ section, path }: Line): string => `${section} ${path}`;
  const old = new Map(before.map((line) => [key(line), line]));
  const now = new Map(after.map((line) => [key(line), line]));
  const changes: Change[] = [];
  for (const line of after) {
    const was = old.get(key(line));
    if (was?.value === line.value) continue;
    changes.push({ section: line.section, path: line.path, ...(was ? { before: was } : {}), after: line });
  }
  for (const line of before) {
    if (!now.has(key(line))) changes.push({ section: line.section, path: line.path, before: line });
  }
  return changes;
}
