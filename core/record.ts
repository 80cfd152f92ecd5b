// The record: annotations on a VMI that tell what it was started with. They stay when its pod is gone.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { createHash } from 'node:crypto';
import type { DefaultRecord } from './admission.ts';
import { fail, messageOf } from './errors.ts';
import { SECTIONS, textOf, type Line } from './flat-plan.ts';
import type { KubeObject } from './kube/objects.ts';
import { formatPath, getPath, parsePath } from './path.ts';
import type { Facts, Owner, Vmi } from './types.ts';

/** The plugins that had a part in its plan, with their versions, as JSON. */
export const PLUGINS_ANNOTATION = 'virtloom.io/plugins';
/** Who defaulted which field of it, as JSON: plugin to reason to fields. */
export const DEFAULTS_ANNOTATION = 'virtloom.io/defaults';
/** The controller's plan, line by line, and what it was made from: JSON, deflated, base64. */
export const PLAN_ANNOTATION = 'virtloom.io/plan';

/** What a VMI was started with. */
export interface StartRecord {
  /** Name to version. */
  readonly plugins: Readonly<Record<string, string>>;
  readonly cluster: Facts['cluster'];
  /** The VMI's own when it was planned; both may have changed since. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly lines: readonly Line[];
}

/** Longer values are kept as their digest: enough to see that they differ, small, and no second place to read them. */
const VALUE_MAX = 160;
/** No plan comes near; what does was not written by us. */
const INFLATED_MAX = 16 << 20;

/** The line as a record keeps it. */
export function kept(line: Line): Line {
  if (line.value.length <= VALUE_MAX) return line;
  const digest = createHash('sha256').update(line.value).digest('hex').slice(0, 16);
  return { ...line, value: `sha256:${digest} (${line.value.length} characters)` };
}

/** In the annotation: owners once, lines as [section, path, value, owner]. */
interface Packed {
  readonly cluster: Facts['cluster'];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly owners: readonly (readonly [plugin: string, tap: string, field?: string])[];
  readonly lines: readonly (readonly [section: number, path: string, value: string, owner: number])[];
}

/** The annotations that keep this. */
export function packRecord({ plugins, lines, cluster, labels, annotations }: StartRecord): Record<string, string> {
  const owners = new Map<string, number>();
  const ownerOf = ({ plugin, tap, field }: Owner): number => {
    const key = JSON.stringify(field === undefined ? [plugin, tap] : [plugin, tap, field]);
    if (!owners.has(key)) owners.set(key, owners.size);
    return owners.get(key) as number;
  };
  const packed: Packed = {
    cluster,
    labels,
    annotations: Object.fromEntries(Object.entries(annotations).filter(([key]) => !isNote(key))),
    lines: lines.map(kept).map(({ section, path, value, by }) => {
      return [SECTIONS.indexOf(section), path, value, by ? ownerOf(by) : -1];
    }),
    owners: [...owners.keys()].map((key) => JSON.parse(key) as Packed['owners'][number]),
  };
  return {
    [PLUGINS_ANNOTATION]: JSON.stringify(plugins),
    [PLAN_ANNOTATION]: deflateRawSync(JSON.stringify(packed)).toString('base64'),
  };
}

/** Notes about the VMI, which no plan is made from. */
function isNote(annotation: string): boolean {
  return /^(kubectl\.kubernetes|virtloom)\.io\//.test(annotation);
}

/** What this VMI was started with; undefined where nothing says so. Throws VL_RECORD_INVALID. */
export function recordOf(vmi: Vmi): StartRecord | undefined {
  const notes = vmi.metadata.annotations;
  const text = notes?.[PLAN_ANNOTATION];
  if (text === undefined) return undefined;
  const plugins = read(vmi, PLUGINS_ANNOTATION, () => textsOf(JSON.parse(notes?.[PLUGINS_ANNOTATION] ?? '{}')));
  return read(vmi, PLAN_ANNOTATION, () => {
    const inflated = inflateRawSync(Buffer.from(text, 'base64'), { maxOutputLength: INFLATED_MAX });
    const { cluster, labels, annotations, owners, lines } = JSON.parse(inflated.toString()) as Packed;
    if (typeof cluster?.launcherImage !== 'string') throw new Error('it does not tell of the cluster');
    return {
      plugins,
      cluster,
      labels: textsOf(labels),
      annotations: textsOf(annotations),
      lines: lines.map(([index, path, value, owner]) => {
        const section = SECTIONS[index];
        if (section === undefined || typeof path !== 'string' || typeof value !== 'string') {
          throw new Error('a line of it is none');
        }
        const [plugin, tap, field] = owners[owner] ?? [];
        const by = plugin === undefined || tap === undefined ? undefined : { plugin, tap, ...(field ? { field } : {}) };
        return { section, path, value, by };
      }),
    };
  });
}

/** What the status begins with is nobody's default for long. */
function lasting(record: readonly DefaultRecord[]): DefaultRecord[] {
  return record.filter(({ path }) => path[0] !== 'status');
}

/** Who defaulted which field, grouped. */
export function packDefaults(record: readonly DefaultRecord[]): string {
  const plugins: Record<string, Record<string, string[]>> = {};
  for (const { path, by, why = '' } of lasting(record)) {
    ((plugins[by.plugin] ??= {})[why] ??= []).push(formatPath(path));
  }
  return JSON.stringify(plugins);
}

/** The fields of a VMI that were defaulted, each with its value and who did it. Throws VL_RECORD_INVALID. */
export function defaultsOf(vmi: Vmi): Line[] {
  const text = vmi.metadata.annotations?.[DEFAULTS_ANNOTATION];
  if (text === undefined) return [];
  return read(vmi, DEFAULTS_ANNOTATION, () =>
    Object.entries(named(JSON.parse(text))).flatMap(([plugin, reasons]) =>
      Object.entries(named(reasons)).flatMap(([why, paths]) =>
        (paths as string[]).map((path) =>
          defaultLine(path, getPath(vmi, parsePath(path)), { plugin, tap: 'defaultPreset' }, why),
        ),
      ),
    ),
  );
}

/** Defaults as lines, from the record that admission makes. */
export function defaultLines(record: readonly DefaultRecord[]): Line[] {
  return lasting(record).map(({ path, value, by, why }) => defaultLine(formatPath(path), value, by, why));
}

function defaultLine(path: string, value: unknown, by: Owner, why = ''): Line {
  return { section: 'defaults', path, value: textOf(value), by, ...(why === '' ? {} : { why }) };
}

/** The VMI with a note of who defaulted which field of it. What somebody else wrote there is gone. */
export function withDefaults(object: KubeObject, record: readonly DefaultRecord[]): KubeObject {
  const annotations = { ...object.metadata.annotations, [DEFAULTS_ANNOTATION]: packDefaults(record) };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

function named(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new Error('what is in it is not named');
  return value as Record<string, unknown>;
}

function textsOf(value: unknown): Record<string, string> {
  if (Object.values(named(value)).some((one) => typeof one !== 'string')) throw new Error('texts are wanted');
  return value as Record<string, string>;
}

function read<T>({ metadata }: Vmi, annotation: string, how: () => T): T {
  try {
    return how();
  } catch (error) {
    const facts = { vmi: metadata.name ?? '', annotation, problem: messageOf(error) };
    throw fail('VL_RECORD_INVALID', facts, error);
  }
}
