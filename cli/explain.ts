// `virtloom explain`: each line of what a VM is made of, and which plugin, tap and field made it.
import { stringify } from 'yaml';
import { explained } from '../core/drift.ts';
import { SECTIONS, type Line } from '../core/flat-plan.ts';
import { versionsOf, type Host } from '../core/host.ts';
import type { KubeObject } from '../core/kube/objects.ts';
import { defaultLines, defaultsOf, PLAN_ANNOTATION, recordOf } from '../core/record.ts';
import type { Vmi } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { Exit, REFUSED } from './exit.ts';
import { shown, table, who } from './lines.ts';
import { renderFile, renderObject, stageFor, type Rendered, type Stage } from './render.ts';
import { connected, find, findVmi, notFound, targetOf, type Connection } from './running.ts';

export const EXPLAIN_OUTPUTS = ['table', 'json', 'yaml'] as const;

export interface ExplainOptions {
  /** A manifest, or the `target` of a cluster. */
  readonly filename?: string;
  readonly live?: Connection & { readonly target: string };
  readonly config: string;
  readonly emulation: boolean;
  readonly output: (typeof EXPLAIN_OUTPUTS)[number];
  /** Only lines whose path is this, or below it; `*` stands for anything. */
  readonly path?: string;
  /** Only lines of this plugin. */
  readonly plugin?: string;
}

interface Explained {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Of a VMI that was started: then the lines tell what it was started with. */
  readonly phase?: string;
  /** Name to version. */
  readonly plugins: Readonly<Record<string, string>>;
  readonly lines: readonly Line[];
}

export async function explain(options: ExplainOptions): Promise<void> {
  const all = await (options.live ? live(options.live, options) : ofFile(options));
  const wanted = all.map((one) => ({ ...one, lines: one.lines.filter(filterOf(options)) }));
  if (wanted.every(({ lines }) => lines.length === 0)) throw nothing(options, all);
  const isWhole = options.path === undefined && options.plugin === undefined;
  process.stdout.write(WRITERS[options.output](wanted, isWhole));
}

async function ofFile({ filename = '', config, emulation }: ExplainOptions): Promise<Explained[]> {
  const { stage, all } = await renderFile({ filename, config, emulation });
  return Promise.all(all.map((one) => ofRendered(stage, one)));
}

async function ofRendered({ host }: Stage, { vmi, facts, record }: Rendered): Promise<Explained> {
  const lines = [...(await explained(host, vmi, facts)), ...defaultLines(record)];
  return { ...nameOf(vmi), plugins: versionsIn(lines, host), lines: ordered(lines) };
}

async function live({ target, ...connection }: Connection & { target: string }, options: ExplainOptions) {
  return connected(connection, async (client): Promise<Explained[]> => {
    const stage = await stageFor(options, [], client);
    const { resource, name } = targetOf(stage.host, target);
    const namespace = connection.namespace ?? client.namespace;
    const vmi = await findVmi(client, namespace, name);
    if (resource.kind === VMIS.kind && !vmi) notFound(resource, namespace, name);
    if (resource.kind !== VMIS.kind) {
      const maker = await find<KubeObject>(client, resource, namespace, name);
      if (!maker) notFound(resource, namespace, name);
      if (!vmi) return [await stopped(stage, { ...maker, kind: resource.kind }, options)];
    }
    return [started(vmi as Vmi)];
  });
}

/** What a VM that does not run would be started with. */
async function stopped(stage: Stage, maker: KubeObject, { config }: ExplainOptions): Promise<Explained> {
  const { name = '' } = maker.metadata;
  process.stderr.write(`${name} does not run: this is what it would be started with by ${config}\n`);
  return ofRendered(stage, await renderObject(stage, maker));
}

/** What a VMI was started with, by its record. */
function started(vmi: Vmi): Explained {
  const record = recordOf(vmi);
  const { namespace = '', name = '' } = vmi.metadata;
  if (!record) {
    throw new Exit(
      REFUSED,
      `VirtualMachineInstance "${name}" in namespace ${namespace} has no record of what it was started with ` +
        `(annotation ${PLAN_ANNOTATION}): it has no pod yet, or is older than records. ` +
        `What its manifest becomes tells virtloom explain -f FILE`,
    );
  }
  const lines = ordered([...record.lines, ...defaultsOf(vmi)]);
  return { ...nameOf(vmi), phase: vmi.status?.phase ?? 'Pending', plugins: record.plugins, lines };
}

function nameOf({ kind, metadata: { namespace = '', name = '' } }: Vmi) {
  return { kind, namespace, name };
}

function versionsIn(lines: readonly Line[], host: Host): Record<string, string> {
  const had = new Set(lines.map(({ by }) => by?.plugin));
  return Object.fromEntries([...versionsOf(host)].filter(([name]) => had.has(name)));
}

function ordered(lines: readonly Line[]): Line[] {
  return SECTIONS.flatMap((section) => lines.filter((line) => line.section === section));
}

/** `devices/disk*` is every disk with all that is in it; without a star, a path and what is below it. */
function filterOf({ path, plugin }: ExplainOptions): (line: Line) => boolean {
  const escaped = path?.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  const pattern = escaped === undefined ? undefined : new RegExp(`^${escaped}(?:$|[/.[@])`);
  return (line) => (pattern?.test(line.path) ?? true) && (plugin === undefined || line.by?.plugin === plugin);
}

function nothing({ path, plugin }: ExplainOptions, all: readonly Explained[]): Exit {
  const had = [...new Set(all.flatMap(({ plugins }) => Object.keys(plugins)))].sort().join(', ');
  if (plugin !== undefined && !all.some(({ plugins }) => Object.hasOwn(plugins, plugin))) {
    return new Exit(REFUSED, `plugin "${plugin}" has no part in it; these have: ${had}`);
  }
  return new Exit(REFUSED, `nothing in it has the path ${path ?? ''}${plugin === undefined ? '' : ` by ${plugin}`}`);
}

const TITLES: Record<Line['section'], string> = {
  domain: 'domain',
  pod: 'pod',
  defaults: 'defaults',
  steps: 'node steps',
  rewrites: 'rewrites on the node, in this order',
  memory: 'memory besides the guest',
};

const WRITERS: Record<ExplainOptions['output'], (all: readonly Explained[], isWhole: boolean) => string> = {
  json: (all) => `${JSON.stringify(all, undefined, 2)}\n`,
  yaml: (all) => stringify(all),
  table: (all, isWhole) => all.map((one) => tables(one, isWhole)).join('\n'),
};

function tables({ kind, namespace, name, phase, plugins, lines }: Explained, isWhole: boolean): string {
  const versions = Object.entries(plugins).map(([plugin, version]) => `${plugin} ${version}`);
  const how = phase === undefined ? 'made by' : `${phase}, started with`;
  const sections = SECTIONS.flatMap((section) => {
    const here = lines.filter((line) => line.section === section);
    const rows = here.map((line) => [`${line.path} = ${shown(line.value)}`, who(line)] as const);
    const total = here.reduce((sum, { value }) => sum + Number.parseInt(value), 0);
    const all = section === 'memory' && isWhole ? [[`${total} MiB in all`, ''] as const] : [];
    return here.length === 0 ? [] : [table(TITLES[section], [...rows, ...all])];
  });
  return [`# ${kind} ${namespace}/${name}: ${how} ${versions.join(', ')}\n`, ...sections].join('\n');
}
