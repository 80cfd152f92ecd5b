// What a manifest becomes: defaults, rules and the plan, as the platform would make them. `virtloom render` prints it.
import { pino } from 'pino';
import { stringify } from 'yaml';
import { admit, applyDefaults, templateOf, vmiIn, type DefaultRecord } from '../core/admission.ts';
import type { Config } from '../core/config.ts';
import { toXml } from '../core/domain/xml.ts';
import type { Host } from '../core/host.ts';
import type { KubeClient } from '../core/kube/client.ts';
import type { KubeObject, ObjectMeta, Resource } from '../core/kube/objects.ts';
import { plan, podOf, type Plan } from '../core/plan.ts';
import { fromClient, fromObjects, readObjects, type ObjectSource } from '../core/reads.ts';
import type { Facts, Vmi } from '../core/types.ts';
import { compose } from './compose.ts';
import { Exit, REFUSED, USAGE } from './exit.ts';
import { readManifests } from './manifests.ts';

export interface RenderOptions {
  readonly filename: string;
  readonly config: string;
  readonly emulation: boolean;
}

export const OUTPUTS = ['domain', 'pod', 'plan'] as const;
export type Output = (typeof OUTPUTS)[number];

/** Where manifests are rendered: the plugins, and what there is to read besides the manifest. */
export interface Stage {
  readonly host: Host;
  readonly config: Config;
  readonly cluster: Facts['cluster'];
  readonly source: ObjectSource;
}

export interface Rendered {
  readonly vmi: Vmi;
  readonly facts: Facts;
  /** Who defaulted what, of the VMI and of what holds its template. */
  readonly record: readonly DefaultRecord[];
}

/** Paths in the pod hold the VMI's uid, which only the API server gives. */
const NO_UID = '00000000-0000-0000-0000-000000000000';
const USER = { username: 'virtloom', groups: ['system:authenticated'] };

/** Objects of the manifest's file count as if they were in the cluster, beside those of the cluster itself where there is one. */
export async function stageFor(
  { config: file, emulation }: Pick<RenderOptions, 'config' | 'emulation'>,
  objects: readonly KubeObject[],
  client?: KubeClient,
): Promise<Stage> {
  const list = async <T extends KubeObject>(resource: Resource, namespace: string): Promise<T[]> => [
    ...(objects.filter((one) => one.kind === resource.kind) as T[]),
    ...(client ? (await client.list<T>(resource, namespace)).items : []),
  ];
  const { host, config } = await compose(file, pino({ level: 'silent' }), { list });
  const cluster: Facts['cluster'] = {
    launcherImage: config.launcherImage ?? 'virtloom/launcher',
    virtType: emulation ? 'qemu' : 'kvm',
    imageVolumes: true,
  };
  return {
    host,
    config,
    cluster,
    source: client ? both(fromObjects(objects), fromClient(client)) : fromObjects(objects),
  };
}

function both(first: ObjectSource, second: ObjectSource): ObjectSource {
  return {
    get: async (...which) => (await first.get(...which)) ?? second.get(...which),
    list: async (resource) => [...(await first.list(resource)), ...(await second.list(resource))],
  };
}

/** The VMs and VMIs of a manifest file, rendered. Throws Exit where there are none, or a rule refuses one. */
export async function renderFile(options: RenderOptions): Promise<{ stage: Stage; all: Rendered[] }> {
  const objects = readManifests(options.filename);
  const stage = await stageFor(options, objects);
  const all: Rendered[] = [];
  for (const object of withVmis(stage, objects, options.filename)) all.push(await renderObject(stage, object));
  return { stage, all };
}

/** Those of the objects that hold a VMI. Throws Exit where none does. */
export function withVmis({ host }: Stage, objects: readonly KubeObject[], filename: string): KubeObject[] {
  const found = objects.filter(({ kind }) => templateOf(host, kind) !== undefined);
  if (found.length === 0) throw new Exit(USAGE, `${filename}: no VirtualMachine or VirtualMachineInstance`);
  return found;
}

/** What the VM or VMI becomes; `as` gives its VMI what only a cluster can. Throws Exit where a rule refuses it. */
export async function renderObject(
  { host, cluster, source }: Stage,
  object: KubeObject,
  as: Pick<ObjectMeta, 'uid' | 'ownerReferences' | 'annotations'> = {},
): Promise<Rendered> {
  const { uid = NO_UID, ownerReferences = [] } = as;
  const metadata = { namespace: 'default', uid, ...object.metadata };
  const own = await judged(host, { ...object, metadata });
  const template = templateOf(host, object.kind);
  let { object: made, record } = own;
  if (template !== '') {
    const vmi = vmiIn(own.object, template);
    if (!vmi) throw new Exit(REFUSED, `${template}: FieldValueRequired: ${template} is required`);
    const annotations = { ...vmi.metadata.annotations, ...as.annotations };
    const { namespace } = metadata;
    const named = { ...vmi.metadata, uid, ownerReferences, namespace, annotations };
    const instance = await judged(host, { ...vmi, apiVersion: object.apiVersion, metadata: named } as never);
    made = instance.object;
    record = [...own.record, ...instance.record];
  }
  const vmi = made as unknown as Vmi;
  return { vmi, record, facts: { cluster, steps: {}, objects: await readObjects(host, vmi, source) } };
}

async function judged(host: Host, object: KubeObject) {
  const request = { operation: 'CREATE' as const, object, user: USER };
  const defaulted = await applyDefaults(host, request);
  const verdict = await admit(host, { ...request, object: defaulted.object });
  const causes = [...defaulted.causes, ...verdict.causes];
  if (causes.length > 0) {
    throw new Exit(REFUSED, causes.map(({ field, reason, message }) => `${field}: ${reason}: ${message}`).join('\n'));
  }
  for (const warning of [...defaulted.warnings, ...verdict.warnings]) process.stderr.write(`Warning: ${warning}\n`);
  return defaulted;
}

export async function render(options: RenderOptions & { readonly output: Output }): Promise<void> {
  const { stage, all } = await renderFile(options);
  const plans = await Promise.all(all.map(({ vmi, facts }) => plan(stage.host, vmi, facts)));
  if (options.output === 'domain') {
    for (const { domain } of plans) process.stdout.write(toXml(domain));
    return;
  }
  const documents = plans.map((one, index) => (options.output === 'pod' ? podOf(one) : whole(all[index]?.vmi, one)));
  process.stdout.write(documents.map((document) => stringify(document)).join('---\n'));
}

function whole(vmi: Vmi | undefined, planned: Plan): object {
  return {
    vmi,
    pod: podOf(planned),
    domain: toXml(planned.domain),
    steps: planned.chains,
    rewrites: planned.rewrites,
    overhead: planned.overhead,
    blockers: planned.blockers,
  };
}
