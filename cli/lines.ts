// Lines of a plan for people: how a value, its maker, and a table of both are shown.
import type { Line } from '../core/flat-plan.ts';

const WIDTH = 60;
const ROOM_BEFORE = 10;

/** Plugin, tap, the field of the manifest, and the reason, as far as they are known. */
export function who({ by, why }: Pick<Line, 'by' | 'why'>): string {
  if (!by) return why ?? '';
  return [`${by.plugin} ${by.tap}`, by.field, why].filter((part) => part !== undefined).join(', ');
}

/** The value, cut where it is long: around the place where it differs from `other`, if there is one. */
export function shown(value: string, other?: string): string {
  if (value.length <= WIDTH) return value;
  let start = 0;
  if (other !== undefined) while (start < value.length && value[start] === other[start]) start++;
  const from = start + ROOM_BEFORE < WIDTH ? 0 : start - ROOM_BEFORE;
  const end = from + WIDTH - 3;
  return `${from > 0 ? '...' : ''}${value.slice(from, end)}${end < value.length ? '...' : ''}`;
}

/** Rows of what and who, who in a column of its own; after a title. */
export function table(title: string, rows: readonly (readonly [what: string, who: string])[]): string {
  const width = Math.min(90, Math.max(...rows.map(([what]) => what.length), 0));
  const lines = rows.map(([what, by]) => (by === '' ? what : `${what.padEnd(width)}  ${by}`));
  return `${[`# ${title}`, ...lines].join('\n')}\n`;
}
