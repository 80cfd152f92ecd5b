// The plugin contract: one typed object per feature. The only things a plugin author needs are here.
import type { Logger } from 'pino';
import type { KubeClient } from './kube/client.ts';
import type { Controller } from './kube/controller.ts';
import type { EventRecorder } from './kube/events.ts';
import type { Informer } from './kube/informer.ts';
import type { KubeObject, Resource } from './kube/objects.ts';
import type { DomainDraft } from './domain/draft.ts';
import type { Element } from './domain/element.ts';
import type { PodDraft, PodPart } from './pod.ts';
import type { Writes } from './scope.ts';
import type { NodeSide, RewriteDraft, StepDraft } from './steps.ts';
import type { DiskOf, InterfaceOf, LabelsOf, NetworkOf, OptionsOf, VmiWith, VolumeOf } from './typing.ts';
import type { Cause, Facts, Json, Vmi, VmiOf } from './types.ts';

/** The version of this contract. A plugin says which it needs, as a semver range, in `core`. */
export const CORE_API = '1.0.0';

/** A JSON Schema, as Kubernetes' structural schemas have it. */
export type Schema = { readonly [key: string]: unknown };

/**
 * A field that a plugin owns. `path` counts from the VMI: `spec.domain.devices.rng`,
 * `spec.domain.devices.interfaces[].<binding>`, `spec.volumes[].<source>`.
 */
export interface ApiSlice {
  readonly path: string;
  readonly schema: Schema;
  /** Of the fields in one `oneOf` group of the same parent, exactly one may be set (`source`, `binding`, `target`). */
  readonly oneOf?: string;
}

// ---------------------------------------------------------------- admit

export interface AdmitInput<V extends VmiOf = Vmi> {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  /** The object's kind, e.g. VirtualMachine. */
  readonly kind: string;
  readonly object: KubeObject;
  readonly old?: KubeObject;
  /** The VMI in the object: itself, or the one its template makes. Absent for kinds that hold none. */
  readonly vmi?: V;
  /** The VMI in `old`. */
  readonly oldVmi?: V;
  /** The path in the object of a field of the VMI: at('spec.domain') is `spec.template.spec.domain` in a VirtualMachine. */
  readonly at: (path: string) => string;
  readonly user: { readonly username: string; readonly groups: readonly string[] };
}
export interface Verdict {
  causes?: Cause[];
  warnings?: string[];
}
export type AdmitTap<V extends VmiOf = Vmi> = (
  input: AdmitInput<V>,
) => Cause[] | Verdict | void | Promise<Cause[] | Verdict | void>;

// ---------------------------------------------------------------- defaultPreset

export interface DefaultInput<V extends VmiOf = Vmi> {
  readonly operation: 'CREATE' | 'UPDATE';
  readonly kind: string;
  /** The object as the taps before this one left it. Read only: give patches. */
  readonly object: KubeObject;
  /** The VMI in the object, as in AdmitInput. */
  readonly vmi?: V;
  readonly at: (path: string) => string;
  readonly user: { readonly username: string; readonly groups: readonly string[] };
}
/** Sets one field. `path` is a list of keys in the object; missing parents are made. `why` names the source (a preset, a rule). */
export interface Patch {
  readonly path: readonly (string | number)[];
  readonly value: unknown;
  readonly why?: string;
}
export interface Defaults {
  patches?: Patch[];
  warnings?: string[];
  /** Refuses the object, e.g. two presets that disagree. */
  causes?: Cause[];
}
export type DefaultTap<V extends VmiOf = Vmi> = (
  input: DefaultInput<V>,
) => Patch[] | Defaults | void | Promise<Patch[] | Defaults | void>;

// ---------------------------------------------------------------- attachDisk, attachNetwork

/** One entry of the pod's memory ledger. */
export interface Overhead {
  readonly mebibytes: number;
  readonly why: string;
}
/** Whether what was attached can follow a live migration. */
export type Migratable = true | { readonly reason: string; readonly message: string };

export interface Attachment {
  /** Merged into the launcher pod. */
  pod?: PodPart;
  /** Merged into the pod's compute container. */
  compute?: PodPart;
  steps?: StepDraft[];
  overhead?: Overhead[];
  migratable?: Migratable;
}

export interface AttachInput<V extends VmiOf = Vmi> {
  readonly vmi: V;
  readonly facts: Facts;
  /** The result of this attachment's own step `id`, once it ran; `undefined` before. */
  result(id: string): Json | undefined;
}
export interface AttachDiskInput<V extends VmiOf = Vmi> extends AttachInput<V> {
  readonly volume: VolumeOf<V>;
  readonly volumeIndex: number;
  /** The disk of this name, if the guest sees the volume as one. */
  readonly disk: DiskOf<V> | undefined;
}
export interface DiskAttachment extends Attachment {
  /** The libvirt side: `<disk type>`, its `<source>`, its `<driver>` attributes, an optional `<backingStore>`. */
  disk?: {
    readonly type: string;
    readonly source: Element;
    readonly driver: { readonly [attribute: string]: string | undefined };
    readonly backingStore?: Element;
    readonly readonly?: boolean;
  };
}
export type AttachDiskTap<V extends VmiOf = Vmi> = (
  input: AttachDiskInput<V>,
) => DiskAttachment | Promise<DiskAttachment>;

export interface AttachSourceInput<V extends VmiOf = Vmi> extends AttachInput<V> {
  readonly network: NetworkOf<V>;
  readonly networkIndex: number;
  readonly interface: InterfaceOf<V>;
}
/** The pod's end of a network: which interface of the pod it is. */
export interface SourceAttachment extends Attachment {
  /** Name in the pod's network namespace, e.g. eth0. */
  podInterface: string;
}
export type AttachSourceTap<V extends VmiOf = Vmi> = (
  input: AttachSourceInput<V>,
) => SourceAttachment | Promise<SourceAttachment>;

export interface AttachBindingInput<V extends VmiOf = Vmi> extends AttachInput<V> {
  readonly network: NetworkOf<V>;
  readonly interface: InterfaceOf<V>;
  readonly interfaceIndex: number;
  /** What the network's source gave. */
  readonly source: SourceAttachment;
}
export interface NicAttachment extends Attachment {
  /** The libvirt side: `<interface type>` and the children that the binding knows (source, target, mtu, ...). */
  interface?: { readonly type: string; readonly children: readonly Element[] };
  /** The guest's MAC address, where the binding decides it. */
  mac?: string;
  /** Addresses that the VMI's status shows for this NIC, where the binding knows them. */
  ips?: readonly string[];
}
export type AttachBindingTap<V extends VmiOf = Vmi> = (
  input: AttachBindingInput<V>,
) => NicAttachment | Promise<NicAttachment>;

// ---------------------------------------------------------------- prepareDomain

export interface AttachedDisk<V extends VmiOf = Vmi> extends DiskAttachment {
  readonly name: string;
  readonly spec: DiskOf<V> | undefined;
  readonly volume: VolumeOf<V>;
  readonly volumeIndex: number;
}
export interface AttachedNic<V extends VmiOf = Vmi> extends NicAttachment {
  readonly name: string;
  readonly spec: InterfaceOf<V>;
  readonly network: NetworkOf<V>;
  readonly source: SourceAttachment;
}
export interface PrepareInput<V extends VmiOf = Vmi> {
  readonly vmi: V;
  readonly facts: Facts;
  /** In the order of spec.volumes. */
  readonly disks: readonly AttachedDisk<V>[];
  /** In the order of spec.domain.devices.interfaces. */
  readonly nics: readonly AttachedNic<V>[];
  result(id: string): Json | undefined;
}
/** The plan under construction, every write signed with the tap's name. */
export interface PlanDraft {
  readonly domain: DomainDraft;
  readonly pod: PodDraft;
  overhead(entry: Overhead): void;
  /** MiB so far, of all plugins: whole in stage `last`. */
  overheadSoFar(): number;
  step(step: StepDraft): void;
  /** Has the domain, or what another plugin's step hands over, rewritten on the node, after the rewrites asked for before. */
  rewrite(rewrite: RewriteDraft): void;
  /** Says that, or why not, the VM can be live-migrated. */
  migratable(answer: Migratable): void;
}
export type Stage = 'first' | 'main' | 'last';
export type PrepareTap<V extends VmiOf = Vmi> = (input: PrepareInput<V>, plan: PlanDraft) => void | Promise<void>;

// ---------------------------------------------------------------- migrate

export type MigratePhase = 'check' | 'prepareTarget' | 'handoff' | 'finish' | 'abort';
export interface MigrateInput<V extends VmiOf = Vmi> {
  readonly phase: MigratePhase;
  readonly vmi: V;
  readonly facts: Facts;
}
export interface MigrateAnswer {
  blockers?: { reason: string; message: string }[];
  steps?: StepDraft[];
}
export type MigrateTap<V extends VmiOf = Vmi> = (
  input: MigrateInput<V>,
) => MigrateAnswer | void | Promise<MigrateAnswer | void>;

// ---------------------------------------------------------------- kinds, controllers, verbs

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'date' | 'integer' | 'boolean';
  readonly jsonPath: string;
  readonly priority?: number;
  readonly description?: string;
}
/** A kind that a plugin adds; its CRD is generated from this. */
export interface KindDefinition {
  readonly resource: Resource;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly versions: readonly { readonly name: string; readonly deprecated?: string }[];
  /** Schema of `spec`; a field { "x-virtloom-vmi-template": true } is replaced by the VMI template's schema. */
  readonly spec?: Schema;
  readonly status?: Schema;
  readonly columns: readonly PrinterColumn[];
  /** Whether status is written through its own subresource. */
  readonly statusSubresource: boolean;
  readonly scale?: {
    readonly specReplicasPath: string;
    readonly statusReplicasPath: string;
    readonly labelSelectorPath?: string;
  };
  /** Where the object holds a VMI template, e.g. `spec.template`. */
  readonly template?: string;
}

export interface ControllerContext {
  readonly client: KubeClient;
  readonly events: EventRecorder;
  readonly log: Logger;
  /** An informer shared by all controllers of the process. */
  informer<T extends KubeObject>(resource: Resource): Informer<T>;
}

export interface VerbContext {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  readonly body: unknown;
  readonly query: Readonly<Record<string, string>>;
  readonly user: { readonly username: string; readonly groups: readonly string[] };
}
/** Answer of a verb. KubeVirt's verbs answer 202 with no body. Throw KubeError for a Status. */
export interface VerbAnswer {
  readonly status: number;
  readonly body?: unknown;
}
export interface Verb {
  /** Plural of the resource, e.g. virtualmachines. */
  readonly resource: string;
  /** e.g. start; with parts: `portforward/{port}`. */
  readonly name: string;
  readonly method: 'GET' | 'PUT';
  handle(context: VerbContext): Promise<VerbAnswer>;
}

// ---------------------------------------------------------------- commands, metrics, reads

export interface CommandContext {
  /** The API server of the user's kubeconfig. */
  readonly client: KubeClient;
  readonly namespace: string;
  /** To standard output, as it is. */
  write(text: string): void;
}
/** A command of the `virtloom` CLI. */
export interface Command {
  /** e.g. `snapshot`; a word that no other command has. */
  readonly name: string;
  readonly summary: string;
  /** As in a usage line: `<vm>`, `[file]`. */
  readonly arguments?: readonly string[];
  readonly options?: readonly { readonly flags: string; readonly summary: string }[];
  /** Throw VirtloomError or KubeError for a refusal: exit code 1. */
  run(
    context: CommandContext,
    args: readonly string[],
    options: { readonly [name: string]: string | boolean | undefined },
  ): Promise<void>;
}

/** A Prometheus metric of a plugin; its full name is `virtloom_<plugin>_<name>`, dashes written as underscores. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels?: readonly string[];
  /** Upper bounds of a histogram, in the metric's unit. */
  readonly buckets?: readonly number[];
}
/** What a plugin writes a metric with: `add` for counters and gauges, `set` for gauges, `observe` for histograms. */
export interface Metric<Label extends string = string> {
  add(value: number, labels?: { readonly [label in Label]?: string }): void;
  set(value: number, labels?: { readonly [label in Label]?: string }): void;
  observe(value: number, labels?: { readonly [label in Label]?: string }): void;
}

/** Objects of the cluster that hooks read, each from `facts.objects`. Pure hooks do not ask the API server themselves. */
export interface Read<V extends VmiOf = Vmi> {
  readonly resource: Resource;
  /** Names of the objects that this VMI needs, in its namespace unless told; `all` for all of a cluster-wide kind. */
  readonly of: (vmi: V) => readonly { readonly namespace?: string; readonly name: string }[] | 'all';
}

// ---------------------------------------------------------------- the plugin

/** What a plugin contributes. Everything is optional. */
export interface Contribution<V extends VmiOf = Vmi> {
  admit?: AdmitTap<V>;
  defaultPreset?: DefaultTap<V>;
  /** By the key of the volume's source. */
  attachDisk?: { readonly [source: string]: AttachDiskTap<V> };
  attachNetwork?: {
    /** By the key of the network's source (`pod`, `multus`). */
    readonly sources?: { readonly [source: string]: AttachSourceTap<V> };
    /** By the key of the interface's binding (`bridge`, ...). */
    readonly bindings?: { readonly [binding: string]: AttachBindingTap<V> };
  };
  /** One tap, or several at different stages: `first` before all of `main`, `last` after. */
  prepareDomain?: PrepareTap<V> | { readonly [stage in Stage]?: PrepareTap<V> };
  migrate?: { readonly [phase in MigratePhase]?: MigrateTap<V> };
  reads?: readonly Read<V>[];
  kinds?: readonly KindDefinition[];
  /** Controllers, started on the replica that leads. */
  controllers?: (context: ControllerContext) => Controller[];
  /** Subresource verbs, served by the aggregated API. */
  verbs?: readonly Verb[];
  /** Commands of the CLI. */
  commands?: readonly Command[];
}

export type MetricDefinitions = { readonly [name: string]: MetricDefinition };
type MetricsOf<M extends MetricDefinitions> = { readonly [name in keyof M]: Metric<LabelsOf<M[name]>> };

/** What setup() may use. Read-only, and the plugin's own. */
export interface PluginHost<M extends MetricDefinitions = MetricDefinitions> {
  readonly name: string;
  readonly log: Logger;
  readonly metrics: MetricsOf<M>;
  /** Objects that admission may look up (presets, secrets, ...); offline it finds nothing. */
  list<T extends KubeObject>(resource: Resource, namespace: string): Promise<T[]>;
}

/** A plugin as the host runs it. Written down with definePlugin(), which types it more closely. */
export interface Plugin {
  readonly name: string;
  readonly version: string;
  /** The versions of this contract that it works with, a semver range: `^1.0.0`. */
  readonly core: string;
  /** One line: what a VM gains by it. */
  readonly summary: string;
  /** JSON Schema of its options in the configuration. */
  readonly options?: Schema;
  /** Plugins that must be enabled too; they come first. */
  readonly requires?: readonly string[];
  /** Plugins that must not be enabled beside it. */
  readonly conflicts?: readonly string[];
  /** Plugins whose taps this one's come before, or after; those that are not enabled are ignored. */
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  /** What of pod and domain it writes; nothing unless told. */
  readonly writes?: Writes;
  /** The fields it owns. */
  readonly api?: readonly ApiSlice[];
  readonly metrics?: MetricDefinitions;
  /** Node side of its steps, loaded only where steps run. */
  readonly actions?: () => Promise<NodeSide>;
  setup(host: PluginHost, options: { readonly [key: string]: unknown }): Contribution;
}

/** A plugin as its author writes it: what `options`, `api` and `metrics` declare types what setup() and its hooks get. */
export interface PluginDefinition<
  Options extends Schema,
  Api extends readonly ApiSlice[],
  Metrics extends MetricDefinitions,
> extends Omit<Plugin, 'options' | 'api' | 'metrics' | 'setup'> {
  readonly options?: Options;
  readonly api?: Api;
  readonly metrics?: Metrics;
  setup(host: PluginHost<Metrics>, options: OptionsOf<Options>): Contribution<VmiWith<Api>>;
}

/**
 * Declares a plugin; the default export of its module.
 *
 * @example
 * export default definePlugin({
 *   name: 'panic',
 *   version: '1.0.0',
 *   core: '^1.0.0',
 *   summary: 'a panic device',
 *   writes: { domain: ['devices/panic'] },
 *   api: [
 *     {
 *       path: 'spec.domain.devices.panicDevices',
 *       schema: { type: 'array', items: { type: 'object', properties: { model: { type: 'string' } } } },
 *     },
 *   ],
 *   setup: () => ({
 *     prepareDomain({ vmi }, plan) {
 *       for (const { model = 'isa' } of vmi.spec.domain.devices?.panicDevices ?? []) {
 *         plan.domain.device(el('panic', { model }));
 *       }
 *     },
 *   }),
 * });
 */
export function definePlugin<
  const Options extends Schema = Schema,
  const Api extends readonly ApiSlice[] = readonly ApiSlice[],
  const Metrics extends MetricDefinitions = MetricDefinitions,
>(plugin: PluginDefinition<Options, Api, Metrics>): Plugin {
  // The host checks options and objects against the very schemas that these types come from.
  return plugin as unknown as Plugin;
}
