// Drift: what a start of a running VMI today would make other than it was made. It keeps what it has until it is restarted.
import { applyDefaults } from './admission.ts';
import { compare, flatten, participants, type Change, type Line } from './flat-plan.ts';
import { versionsOf, type Host } from './host.ts';
import type { KubeObject } from './kube/objects.ts';
import { getPath, parsePath, setPath } from './path.ts';
import { plan, type Plan } from './plan.ts';
import { readObjects, type ObjectSource } from './reads.ts';
import { defaultsOf, kept, recordOf, type StartRecord } from './record.ts';
import { Trace } from './trace.ts';
import type { Condition, Facts, Vmi } from './types.ts';

export const RESTART_REQUIRED = 'RestartRequired';
/** As many lines as a condition's message names. */
const NAMED = 3;

export interface Drift {
  readonly changes: readonly Change[];
  /** Plugins that had a part in the VMI, and are gone or of another version: a sentence each. */
  readonly plugins: readonly string[];
}

/** A plan as lines, each with the field of the manifest behind it where a tap read one. Plans once more: taps are pure. */
export async function explained(host: Host, vmi: Vmi, facts: Facts): Promise<Line[]> {
  const trace = new Trace(vmi);
  const planned = await plan(host, trace.vmi, facts, trace);
  return flatten(planned, (by, path, value) => trace.fieldOf(by, path, value));
}

/** What to keep of a VMI that is started with `planned`. */
export async function startRecord(host: Host, vmi: Vmi, facts: Facts, planned: Plan): Promise<StartRecord> {
  const lines = withFields(flatten(planned), await explained(host, vmi, facts).catch(() => []));
  const versions = versionsOf(host);
  const { labels = {}, annotations = {} } = vmi.metadata;
  return {
    plugins: Object.fromEntries(participants(lines).map((name) => [name, versions.get(name) ?? ''])),
    cluster: facts.cluster,
    labels,
    annotations,
    lines,
  };
}

/** The lines as they were made, with the fields that are known of the same ones: watching must not change what is told. */
function withFields(lines: readonly Line[], watched: readonly Line[]): Line[] {
  const key = ({ section, path, value }: Line): string => JSON.stringify([section, path, value]);
  const found = new Map(watched.map((line) => [key(line), line]));
  return lines.map((line) => found.get(key(line)) ?? line);
}

/** Compares a record with what would be made today. */
export function driftFrom(record: StartRecord, lines: readonly Line[], host: Pick<Host, 'plugins'>): Drift {
  const enabled = versionsOf(host);
  const plugins = Object.entries(record.plugins).flatMap(([name, version]) => {
    const now = enabled.get(name);
    if (now === undefined) return [`plugin ${name} is not enabled any more`];
    return now === version ? [] : [`plugin ${name} was ${version} and is ${now}`];
  });
  return { changes: compare(record.lines, lines.map(kept)), plugins };
}

/**
 * What these plugins would make other of a VMI that runs: its defaults are taken off it and found anew. Undefined where
 * nothing says what it was started with. Throws VL_RECORD_INVALID, and what plan() throws.
 */
export async function driftOf(
  host: Host,
  vmi: Vmi,
  cluster: Facts['cluster'],
  source: ObjectSource,
): Promise<Drift | undefined> {
  const record = recordOf(vmi);
  if (!record) return undefined;
  const user = { username: '', groups: [] };
  const { object } = await applyDefaults(host, { operation: 'CREATE', object: asGiven(vmi, record), user });
  const again = object as unknown as Vmi;
  const objects = await readObjects(host, again, source);
  return driftFrom(record, flatten(await plan(host, again, { cluster, steps: {}, objects })), host);
}

/** The VMI as it came to admission: its metadata of then, and no field that was defaulted. */
export function asGiven(vmi: Vmi, { labels, annotations }: Pick<StartRecord, 'labels' | 'annotations'>): KubeObject {
  let spec: unknown = vmi.spec;
  for (const { path } of defaultsOf(vmi)) {
    const [root, ...below] = parsePath(path);
    // A field in one that was taken off already is gone with it.
    if (root === 'spec' && getPath(spec, below) !== undefined) spec = setPath(spec, below, undefined);
  }
  return {
    apiVersion: vmi.apiVersion,
    kind: vmi.kind,
    metadata: { ...vmi.metadata, labels: { ...labels }, annotations: { ...annotations } },
    spec: withoutGaps(spec),
  } as unknown as KubeObject;
}

/** Lists without the items that were taken out of them. */
function withoutGaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((item) => item !== undefined).map(withoutGaps);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutGaps(item)]));
}

/** The condition of a VMI that would be started otherwise today; undefined where it would be the same. */
export function restartRequired({ changes, plugins }: Drift): Condition | undefined {
  const named = changes.slice(0, NAMED).map(({ path, before, after }) => {
    const by = (after ?? before)?.by?.plugin;
    return by === undefined ? path : `${path} (${by})`;
  });
  const more = changes.length > NAMED ? ` and ${changes.length - NAMED} more` : '';
  const other = changes.length === 0 ? [] : [`a start today would change ${named.join(', ')}${more}`];
  const message = [...other, ...plugins].join('; ');
  return message === '' ? undefined : required(message);
}

/** The same, of a VMI that could not be started at all. */
export function required(message: string): Condition {
  return { type: RESTART_REQUIRED, status: 'True', reason: RESTART_REQUIRED, message };
}
