// `virtloom diff`: what a change of manifest, configuration or plugins changes in pod and domain, before anything happens.
import { asGiven, driftFrom, explained, restartRequired, type Drift } from '../core/drift.ts';
import { compare, SECTIONS, type Change, type Line } from '../core/flat-plan.ts';
import type { KubeClient } from '../core/kube/client.ts';
import type { KubeObject } from '../core/kube/objects.ts';
import { recordOf, type StartRecord } from '../core/record.ts';
import { isFinal } from '../core/status.ts';
import { messageOf } from '../core/errors.ts';
import type { Vmi } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { Exit, report, REFUSED, USAGE } from './exit.ts';
import { shown, who } from './lines.ts';
import { readManifests } from './manifests.ts';
import { findKubeconfig } from './paths.ts';
import {
  renderFile,
  renderObject,
  stageFor,
  withVmis,
  type Rendered,
  type RenderOptions,
  type Stage,
} from './render.ts';
import { allRunning, connected, find, findVmi, makerOf, notFound, targetOf, type Connection } from './running.ts';

export interface DiffOptions {
  /** One manifest, or the old one and the new one. */
  readonly filename: readonly string[];
  /** A VM or VMI of the cluster, as it would be started today. */
  readonly target?: string;
  readonly config: string;
  /** Between manifests: the configuration to come. */
  readonly toConfig?: string;
  readonly emulation: boolean;
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly allNamespaces?: boolean;
}

/** As kubectl diff ends: differences were found. */
const DIFFERENT = 1;
/** And: nothing can be said. */
const FAILED = 3;
/** Of a VM: tells its instances apart, and says nothing about them. */
const GENERATION = 'kubevirt.io/vm-generation';

export async function diff(options: DiffOptions): Promise<void> {
  let isDifferent: boolean;
  try {
    isDifferent = await compared(options);
  } catch (error) {
    const code = report(error);
    throw new Exit(code === REFUSED ? FAILED : code, '');
  }
  if (isDifferent) throw new Exit(DIFFERENT, '');
}

/** Prints the differences; whether there are any. */
async function compared(options: DiffOptions): Promise<boolean> {
  const { filename, target, toConfig, allNamespaces } = options;
  const [first, second, ...more] = filename;
  if (more.length > 0) throw new Exit(USAGE, 'at most two files: the old manifest and the new one');
  if (first !== undefined && target !== undefined)
    throw new Exit(USAGE, 'either a manifest with -f, or the name of a VM');
  if (second !== undefined && toConfig !== undefined) {
    throw new Exit(USAGE, 'two files or --to-config: one change at a time tells more');
  }
  if (first === undefined && toConfig !== undefined) {
    throw new Exit(USAGE, '--to-config is for manifests: of VMs that run, --config is the configuration to come');
  }
  if (allNamespaces === true && filename.length + (target === undefined ? 0 : 1) > 0) {
    throw new Exit(USAGE, '-A is for all VMs that run: without a name, without a manifest');
  }
  if (first !== undefined && (second !== undefined || toConfig !== undefined)) {
    return betweenFiles(
      { ...options, filename: first },
      { ...options, filename: second ?? first, config: toConfig ?? options.config },
    );
  }
  const connection: Connection = {
    kubeconfig: findKubeconfig(options.kubeconfig),
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
  };
  return connected(connection, (client) => {
    const namespace = options.namespace ?? client.namespace;
    if (first !== undefined) return withFile(client, first, options);
    if (target !== undefined) return withTarget(client, target, namespace, options);
    return withAll(client, allNamespaces === true ? undefined : namespace, options);
  });
}

// ---------------------------------------------------------------- between manifests

async function betweenFiles(from: RenderOptions, to: RenderOptions): Promise<boolean> {
  const [before, after] = [await linesOf(from), await linesOf(to)];
  let count = 0;
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const changes = compare(before.get(name) ?? [], after.get(name) ?? []);
    print(name, changes);
    count += changes.length;
  }
  process.stdout.write(count === 0 ? 'no changes\n' : `restart needed: yes, where it runs (${count} changes)\n`);
  return count > 0;
}

async function linesOf(options: RenderOptions): Promise<Map<string, Line[]>> {
  const { stage, all } = await renderFile(options);
  const lines = new Map<string, Line[]>();
  for (const { vmi, facts } of all) lines.set(nameOf(vmi), await explained(stage.host, vmi, facts));
  return lines;
}

function nameOf({ metadata: { namespace = 'default', name = '' } }: KubeObject | Vmi): string {
  return `${namespace}/${name}`;
}

// ---------------------------------------------------------------- against what runs

async function withFile(client: KubeClient, filename: string, options: DiffOptions): Promise<boolean> {
  const objects = readManifests(filename);
  const stage = await stageFor(options, objects, client);
  let isDifferent = false;
  for (const object of withVmis(stage, objects, filename)) {
    const { name = '' } = object.metadata;
    const namespace = options.namespace ?? object.metadata.namespace ?? client.namespace;
    const vmi = await findVmi(client, namespace, name);
    if (!vmi || isFinal(vmi.status?.phase)) {
      throw new Exit(REFUSED, `${namespace}/${name} does not run: give the old manifest by a first -f`);
    }
    const wanted = { ...object, metadata: { ...object.metadata, namespace } };
    if (await differs(stage, vmi, wanted)) isDifferent = true;
  }
  return isDifferent;
}

async function withTarget(
  client: KubeClient,
  target: string,
  namespace: string,
  options: DiffOptions,
): Promise<boolean> {
  const stage = await stageFor(options, [], client);
  const { resource, name } = targetOf(stage.host, target);
  const isVmi = resource.kind === VMIS.kind;
  const maker = isVmi ? undefined : await find<KubeObject>(client, resource, namespace, name);
  const vmi = await findVmi(client, namespace, name);
  if (isVmi ? !vmi : !maker) notFound(resource, namespace, name);
  if (!vmi || isFinal(vmi.status?.phase)) {
    throw new Exit(
      REFUSED,
      `${namespace}/${name} does not run: virtloom explain ${target} tells what it would be started with`,
    );
  }
  return differs(stage, vmi, maker && { ...maker, kind: resource.kind });
}

/** Prints what a start of `maker`, or of the VMI itself, would change of it. */
async function differs(stage: Stage, vmi: Vmi, maker: KubeObject | undefined): Promise<boolean> {
  const drift = await driftTo(stage, vmi, maker);
  print(nameOf(vmi), drift.changes);
  const needed = restartRequired(drift);
  process.stdout.write(needed ? `restart needed: yes (${needed.message ?? ''})\n` : 'no changes\n');
  return needed !== undefined;
}

/** A line for each VMI that runs. */
async function withAll(client: KubeClient, namespace: string | undefined, options: DiffOptions): Promise<boolean> {
  const stage = await stageFor(options, [], client);
  let isDifferent = false;
  for (const vmi of await allRunning(client, namespace)) {
    const said = await summary(stage, { ...vmi, apiVersion: 'kubevirt.io/v1', kind: VMIS.kind }, client);
    if (said.isDifferent) isDifferent = true;
    process.stdout.write(`${nameOf(vmi)}: ${said.text}\n`);
  }
  return isDifferent;
}

/** One VMI that cannot be compared must not keep the others from being told of. */
async function summary(stage: Stage, vmi: Vmi, client: KubeClient): Promise<{ text: string; isDifferent: boolean }> {
  try {
    const needed = restartRequired(await driftTo(stage, vmi, await makerOf(client, stage.host, vmi)));
    return {
      text: needed ? `restart needed: ${needed.message ?? ''}` : 'no changes',
      isDifferent: needed !== undefined,
    };
  } catch (error) {
    const [text = ''] = messageOf(error).split('\n');
    return { text: `cannot be told: ${text}`, isDifferent: true };
  }
}

async function driftTo(stage: Stage, vmi: Vmi, maker: KubeObject | undefined): Promise<Drift> {
  const record = recordOf(vmi);
  if (!record)
    throw new Exit(
      REFUSED,
      `${nameOf(vmi)} has no record of what it was started with: give the old manifest by a first -f`,
    );
  const { host } = stage;
  const { vmi: again, facts } = await againOf({ ...stage, cluster: clusterOf(stage, record) }, vmi, maker, record);
  return driftFrom(record, await explained(host, again, facts), host);
}

/** What the manifest, or the VMI itself, would become in the running one's place. */
function againOf(stage: Stage, vmi: Vmi, maker: KubeObject | undefined, record: StartRecord): Promise<Rendered> {
  if (!maker) return renderObject(stage, asGiven(vmi, record));
  const generation = record.annotations[GENERATION];
  const annotations = generation === undefined ? {} : { [GENERATION]: generation };
  const { uid = '', ownerReferences = [] } = vmi.metadata;
  return renderObject(stage, maker, { uid, ownerReferences, annotations });
}

/** The cluster's own, but for what the configuration says. */
function clusterOf({ config }: Stage, { cluster }: StartRecord): Stage['cluster'] {
  return config.launcherImage === undefined ? cluster : { ...cluster, launcherImage: config.launcherImage };
}

// ---------------------------------------------------------------- shown

function print(name: string, changes: readonly Change[]): void {
  for (const section of SECTIONS) {
    const here = changes.filter((change) => change.section === section);
    if (here.length === 0) continue;
    process.stdout.write(`# ${name}: ${section}\n`);
    for (const { path, before, after } of here) {
      if (before) process.stdout.write(`- ${path} = ${shown(before.value, after?.value)}${signature(before)}\n`);
      if (after) process.stdout.write(`+ ${path} = ${shown(after.value, before?.value)}${signature(after)}\n`);
    }
    process.stdout.write('\n');
  }
}

const signature = (line: Line): string => (line.by ? `  (${who(line)})` : '');
