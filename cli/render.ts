// `virtloom render` and `virtloom explain`: what a manifest becomes, offline, and who made each part of it.
import { pino } from 'pino';
import { stringify } from 'yaml';
import { admit, applyDefaults, templateOf, vmiIn, type DefaultRecord } from '../core/admission.ts';
import type { Element } from '../core/domain/element.ts';
import { toXml } from '../core/domain/xml.ts';
import type { Host } from '../core/host.ts';
import type { KubeObject } from '../core/kube/objects.ts';
import { formatPath } from '../core/path.ts';
import { plan, podOf, type Plan } from '../core/plan.ts';
import { fromObjects, readObjects } from '../core/reads.ts';
import type { Facts, Owner, Vmi } from '../core/types.ts';
import { PLUGINS_ANNOTATION } from '../core/record.ts';
import { VMI_KIND } from '../core/vmi-kind.ts';
import { compose } from './compose.ts';
import { Exit, REFUSED, USAGE } from './exit.ts';
import { readManifests } from './manifests.ts';
import { asManifest, NO_UID, runningVmi } from './running.ts';

export interface RenderOptions {
  readonly filename: string;
  readonly config: string;
  readonly emulation: boolean;
}

export const OUTPUTS = ['domain', 'pod', 'plan'] as const;
export type Output = (typeof OUTPUTS)[number];

export interface Rendered {
  readonly vmi: Vmi;
  readonly plan: Plan;
  readonly record: readonly DefaultRecord[];
}

const USER = { username: 'virtloom', groups: ['system:authenticated'] };

export async function renderAll(options: RenderOptions): Promise<Rendered[]> {
  return renderObjects(readManifests(options.filename), options);
}

/** What the VMs among the objects become; the others are there to be read. Throws Exit where a rule refuses one. */
export async function renderObjects(objects: readonly KubeObject[], options: RenderOptions): Promise<Rendered[]> {
  // Presets in the same file apply as they would in the cluster.
  const list = async <T extends KubeObject>(resource: { kind: string }): Promise<T[]> =>
    objects.filter((one) => one.kind === resource.kind) as T[];
  const { host, config } = await compose(options.config, pino({ level: 'silent' }), { list });
  const facts: Facts = {
    cluster: {
      launcherImage: config.launcherImage ?? 'virtloom/launcher',
      virtType: options.emulation ? 'qemu' : 'kvm',
      imageVolumes: true,
    },
    steps: {},
  };
  const rendered: Rendered[] = [];
  for (const object of objects) {
    const template = templateOf(host, object.kind);
    if (template === undefined) continue;
    const vmi = await admitted(host, object, template);
    const read = await readObjects(host, vmi.vmi, fromObjects(objects));
    rendered.push({ ...vmi, plan: await plan(host, vmi.vmi, { ...facts, objects: read }) });
  }
  if (rendered.length === 0) throw new Exit(USAGE, `${options.filename}: no VirtualMachine or VirtualMachineInstance`);
  return rendered;
}

async function admitted(host: Host, object: KubeObject, template: string): Promise<Omit<Rendered, 'plan'>> {
  const own = await judged(host, { ...object, metadata: { namespace: 'default', uid: NO_UID, ...object.metadata } });
  if (template === '') return { vmi: own.object as unknown as Vmi, record: own.record };
  const vmi = vmiIn(own.object, template);
  if (!vmi) throw new Exit(REFUSED, `${template}: FieldValueRequired: ${template} is required`);
  const instance = await judged(host, {
    ...vmi,
    apiVersion: object.apiVersion,
    metadata: { ...vmi.metadata, uid: NO_UID, namespace: own.object.metadata.namespace ?? 'default' },
  } as unknown as KubeObject);
  return { vmi: instance.object as unknown as Vmi, record: instance.record };
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
  const all = await renderAll(options);
  if (options.output === 'domain') {
    for (const one of all) process.stdout.write(toXml(one.plan.domain));
    return;
  }
  const documents = all.map((one) =>
    options.output === 'pod'
      ? podOf(one.plan)
      : {
          vmi: one.vmi,
          pod: podOf(one.plan),
          domain: toXml(one.plan.domain),
          steps: one.plan.chains,
          rewrites: one.plan.rewrites,
          overhead: one.plan.overhead,
          blockers: one.plan.blockers,
        },
  );
  process.stdout.write(documents.map((document) => stringify(document)).join('---\n'));
}

async function renderLive(
  { name, ...where }: { name: string; kubeconfig: string; namespace?: string },
  options: RenderOptions,
): Promise<Rendered[]> {
  const vmi = await runningVmi(name, where);
  const plugins = vmi.metadata.annotations?.[PLUGINS_ANNOTATION];
  if (plugins !== undefined) process.stdout.write(`# started with the plugins ${plugins}\n\n`);
  return renderObjects([asManifest(vmi, { name, namespace: vmi.metadata.namespace ?? '' })], options);
}

/** Of the manifest, or of the VMI `live` in the cluster of the kubeconfig. */
export async function explain(
  options: RenderOptions & { readonly live?: { name: string; kubeconfig: string; namespace?: string } },
): Promise<void> {
  const all = options.live ? await renderLive(options.live, options) : await renderAll(options);
  for (const { vmi, plan: planned, record } of all) {
    const lines: [string, string][] = [];
    explainDomain(planned.domain, '', lines);
    table(`${VMI_KIND.resource.kind} ${vmi.metadata.name ?? ''}: domain`, lines);
    table(
      'pod',
      planned.pod.leaves.map(({ path, value, by }) => [`${path} = ${shown(value)}`, who(by)]),
    );
    table(
      'defaults',
      record.map((one) => [`${formatPath(one.path)} = ${shown(one.value)}`, who(one.by, one.why)]),
    );
    table(
      'node steps',
      planned.chains.flatMap((chain) => chain.steps.map((step): [string, string] => [step.id, step.plugin])),
    );
    if (planned.rewrites.length > 0) {
      table(
        'rewrites of the domain on the node, in this order',
        planned.rewrites.map((rewrite) => [rewrite.id, who(rewrite.by)]),
      );
    }
    const total = planned.overhead.reduce((sum, one) => sum + one.mebibytes, 0);
    table('memory besides the guest', [
      ...planned.overhead.map((one): [string, string] => [`${one.mebibytes} MiB  ${one.why}`, who(one.by)]),
      [`${total} MiB  in all`, ''],
    ]);
  }
}

function explainDomain(element: Element, indent: string, lines: [string, string][]): void {
  const attrs = Object.entries(element.attrs);
  const own = attrs.filter(([name]) => !element.attrBy?.[name]);
  const text = element.text === undefined ? '' : ` ${shown(element.text)}`;
  lines.push([
    `${indent}<${element.tag}${own.map(([name, value]) => ` ${name}="${value}"`).join('')}>${text}`,
    element.by ? who(element.by) : '',
  ]);
  for (const [name, value] of attrs) {
    const by = element.attrBy?.[name];
    if (by) lines.push([`${indent}  @${name}="${value}"`, who(by)]);
  }
  for (const child of element.children) explainDomain(child, `${indent}  `, lines);
}

export function who(by: Owner, why?: string): string {
  return [`${by.plugin} ${by.tap}`, by.field, why].filter((part) => part !== undefined).join(', ');
}

export function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function table(title: string, rows: readonly [string, string][]): void {
  const width = Math.min(90, Math.max(...rows.map(([left]) => left.length), 0));
  process.stdout.write(`# ${title}\n`);
  for (const [left, right] of rows)
    process.stdout.write(right === '' ? `${left}\n` : `${left.padEnd(width)}  ${right}\n`);
  process.stdout.write('\n');
}
