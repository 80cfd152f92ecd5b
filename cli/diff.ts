// `virtloom diff`: what a change of manifest or configuration changes in pod and domain, before anything happens.
import { compare, flatten, type Change, type Line } from '../core/flat-plan.ts';
import { Exit, USAGE } from './exit.ts';
import { asManifest, runningVmi } from './running.ts';
import { findKubeconfig } from './paths.ts';
import { renderAll, renderObjects, shown, who, type Rendered } from './render.ts';

export interface DiffOptions {
  /** One manifest, or the old one and the new one. */
  readonly filename: readonly string[];
  readonly config: string;
  /** The configuration to come. */
  readonly toConfig?: string;
  readonly emulation: boolean;
  readonly kubeconfig?: string;
  readonly namespace?: string;
}

/** Differences were found: as diff and kubectl diff end. */
const DIFFERENT = 1;

export async function diff(options: DiffOptions): Promise<void> {
  const [first = '', second, ...more] = options.filename;
  if (first === '') throw new Exit(USAGE, 'a manifest is needed: -f FILE');
  if (more.length > 0) throw new Exit(USAGE, 'at most two files: the old manifest and the new one');
  if (second !== undefined && options.toConfig !== undefined) {
    throw new Exit(USAGE, 'two files or --to-config: one change at a time tells more');
  }
  const { config, emulation } = options;
  const after = await renderAll({ filename: second ?? first, config: options.toConfig ?? config, emulation });
  const before =
    second === undefined && options.toConfig === undefined
      ? await running(after, options)
      : await renderAll({ filename: first, config, emulation });
  let found = 0;
  for (const [name, [old, now]] of pairs(before, after)) found += print(name, compare(old, now));
  process.stdout.write(
    found === 0 ? 'no changes\n' : `${found} changes; a running VM takes them up when it is restarted\n`,
  );
  if (found > 0) throw new Exit(DIFFERENT, '');
}

type Side = readonly Line[];

function pairs(before: readonly Rendered[], after: readonly Rendered[]): Map<string, [Side, Side]> {
  const nameOf = ({ vmi }: Rendered): string => `${vmi.metadata.namespace ?? 'default'}/${vmi.metadata.name ?? ''}`;
  const all = new Map<string, [Side, Side]>(after.map((one) => [nameOf(one), [[], flatten(one.plan)]]));
  for (const one of before) all.set(nameOf(one), [flatten(one.plan), all.get(nameOf(one))?.[1] ?? []]);
  return all;
}

/** The VMIs of the same names as they run, planned by the same configuration. */
async function running(wanted: readonly Rendered[], options: DiffOptions): Promise<Rendered[]> {
  const { config, emulation } = options;
  const all: Rendered[] = [];
  for (const { vmi } of wanted) {
    const { name = '', namespace = 'default' } = vmi.metadata;
    const found = await runningVmi(name, {
      kubeconfig: findKubeconfig(options.kubeconfig),
      namespace: options.namespace ?? namespace,
    });
    const manifest = asManifest(found, { name, namespace });
    all.push(...(await renderObjects([manifest], { filename: '', config, emulation })));
  }
  return all;
}

function print(name: string, changes: readonly Change[]): number {
  for (const section of ['domain', 'pod', 'steps'] as const) {
    const here = changes.filter((change) => change.section === section);
    if (here.length === 0) continue;
    process.stdout.write(`# ${name}: ${section}\n`);
    for (const { path, before, after } of here) {
      if (before) process.stdout.write(`- ${path} = ${shown(before.value)}${signature(before)}\n`);
      if (after) process.stdout.write(`+ ${path} = ${shown(after.value)}${signature(after)}\n`);
    }
    process.stdout.write('\n');
  }
  return changes.length;
}

const signature = ({ by }: Line): string => (by ? `  (${who(by)})` : '');
