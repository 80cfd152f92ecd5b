// A plan as a list of lines, each a path, a value and who set it: what can be compared.
import type { Element } from './domain/element.ts';
import type { Plan } from './plan.ts';
import type { Owner } from './types.ts';

export interface Line {
  readonly section: 'domain' | 'pod' | 'steps';
  /** Unique in its section: `devices/disk[ua-rootdisk]/driver/@cache`, `spec.containers[name=compute].image`. */
  readonly path: string;
  readonly value: string;
  readonly by: Owner | undefined;
}

/** Every attribute and text of the domain, every leaf of the pod, every node step. */
export function flatten(plan: Plan): Line[] {
  const lines: Line[] = [];
  element(plan.domain, '', lines);
  for (const { path, value, by } of plan.pod.leaves) lines.push({ section: 'pod', path, value: textOf(value), by });
  for (const { phase, steps } of plan.chains) {
    for (const { id, plugin, args } of steps) {
      lines.push({
        section: 'steps',
        path: `${phase}/${id}`,
        value: JSON.stringify(args),
        by: { plugin, tap: 'step' },
      });
    }
  }
  return lines;
}

/** The plugins that had a part in the plan. */
export function participants(plan: Plan): Set<string> {
  return new Set(flatten(plan).flatMap(({ by }) => (by && by.plugin !== 'core' ? [by.plugin] : [])));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function element({ attrs, attrBy, text, textBy, by, children }: Element, path: string, lines: Line[]): void {
  const below = (rest: string): string => (path === '' ? rest : `${path}/${rest}`);
  const section = 'domain';
  for (const name in attrs) {
    lines.push({ section, path: below(`@${name}`), value: attrs[name] as string, by: attrBy?.[name] ?? by });
  }
  if (text !== undefined) lines.push({ section, path: below('text()'), value: text, by: textBy ?? by });
  // An element that is there, and has nothing of its own to compare.
  if (Object.keys(attrs).length === 0 && text === undefined && children.length === 0) {
    lines.push({ section, path, value: 'present', by });
  }
  const seen = new Map<string, number>();
  for (const child of children) {
    const alias = child.children.find(({ tag }) => tag === 'alias')?.attrs['name'];
    const number = seen.get(child.tag) ?? 0;
    seen.set(child.tag, number + 1);
    const isMany = children.filter(({ tag }) => tag === child.tag).length > 1;
    const which = alias !== undefined ? `[${alias}]` : isMany ? `[${number}]` : '';
    element(child, below(`${child.tag}${which}`), lines);
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
