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
import type { Action, StepDraft } from './steps.ts';
import type { Cause, Disk, Facts, Interface, Json, Network, Vmi, Volume } from './types.ts';

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

export interface AdmitInput {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  /** The object's kind, e.g. VirtualMachine. */
  readonly kind: string;
  readonly object: KubeObject;
  readonly old?: KubeObject;
  /** The VMI in the object: itself, or the one its template makes. Absent for kinds that hold none. */
  readonly vmi?: Vmi;
  /** The VMI in `old`. */
  readonly oldVmi?: Vmi;
  /** The path in the object of a field of the VMI: at('spec.domain') is `spec.template.spec.domain` in a VirtualMachine. */
  readonly at: (path: string) => string;
  readonly user: { readonly username: string; readonly groups: readonly string[] };
}
export interface Verdict {
  causes?: Cause[];
  warnings?: string[];
}
export type AdmitTap = (input: AdmitInput) => Cause[] | Verdict | void | Promise<Cause[] | Verdict | void>;

// ---------------------------------------------------------------- defaultPreset

export interface DefaultInput {
  readonly operation: 'CREATE' | 'UPDATE';
  readonly kind: string;
  /** The object as the taps before this one left it. Read only: give patches. */
  readonly object: KubeObject;
  /** The VMI in the object, as in AdmitInput. */
  readonly vmi?: Vmi;
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
export type DefaultTap = (input: DefaultInput) => Patch[] | Defaults | void | Promise<Patch[] | Defaults | void>;

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

export interface AttachInput {
  readonly vmi: Vmi;
  readonly facts: Facts;
  /** The result of this attachment's own step `id`, once it ran; `undefined` before. */
  result(id: string): Json | undefined;
}
export interface AttachDiskInput extends AttachInput {
  readonly volume: Volume;
  readonly volumeIndex: number;
  /** The disk of this name, if the guest sees the volume as one. */
  readonly disk: Disk | undefined;
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
export type AttachDiskTap = (input: AttachDiskInput) => DiskAttachment | Promise<DiskAttachment>;

export interface AttachSourceInput extends AttachInput {
  readonly network: Network;
  readonly networkIndex: number;
  readonly interface: Interface;
}
/** The pod's end of a network: which interface of the pod it is. */
export interface SourceAttachment extends Attachment {
  /** Name in the pod's network namespace, e.g. eth0. */
  podInterface: string;
}
export type AttachSourceTap = (input: AttachSourceInput) => SourceAttachment | Promise<SourceAttachment>;

export interface AttachBindingInput extends AttachInput {
  readonly network: Network;
  readonly interface: Interface;
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
export type AttachBindingTap = (input: AttachBindingInput) => NicAttachment | Promise<NicAttachment>;

// ---------------------------------------------------------------- prepareDomain

export interface AttachedDisk extends DiskAttachment {
  readonly name: string;
  readonly spec: Disk | undefined;
  readonly volume: Volume;
  readonly volumeIndex: number;
}
export interface AttachedNic extends NicAttachment {
  readonly name: string;
  readonly spec: Interface;
  readonly network: Network;
  readonly source: SourceAttachment;
}
export interface PrepareInput {
  readonly vmi: Vmi;
  readonly facts: Facts;
  /** In the order of spec.volumes. */
  readonly disks: readonly AttachedDisk[];
  /** In the order of spec.domain.devices.interfaces. */
  readonly nics: readonly AttachedNic[];
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
  /** Says that, or why not, the VM can be live-migrated. */
  migratable(answer: Migratable): void;
}
export type Stage = 'first' | 'main' | 'last';
export type PrepareTap = (input: PrepareInput, plan: PlanDraft) => void | Promise<void>;

// ---------------------------------------------------------------- migrate

export type MigratePhase = 'check' | 'prepareTarget' | 'handoff' | 'finish' | 'abort';
export interface MigrateInput {
  readonly phase: MigratePhase;
  readonly vmi: Vmi;
  readonly facts: Facts;
}
export interface MigrateAnswer {
  blockers?: { reason: string; message: string }[];
  steps?: StepDraft[];
}
export type MigrateTap = (input: MigrateInput) => MigrateAnswer | void | Promise<MigrateAnswer | void>;

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

// ---------------------------------------------------------------- the plugin

/** What a plugin contributes. Everything is optional. */
export interface Contribution {
  admit?: AdmitTap;
  defaultPreset?: DefaultTap;
  /** By the key of the volume's source. */
  attachDisk?: { readonly [source: string]: AttachDiskTap };
  attachNetwork?: {
    /** By the key of the network's source (`pod`, `multus`). */
    readonly sources?: { readonly [source: string]: AttachSourceTap };
    /** By the key of the interface's binding (`bridge`, ...). */
    readonly bindings?: { readonly [binding: string]: AttachBindingTap };
  };
  /** One tap, or several at different stages: `first` before all of `main`, `last` after. */
  prepareDomain?: PrepareTap | { readonly [stage in Stage]?: PrepareTap };
  migrate?: { readonly [phase in MigratePhase]?: MigrateTap };
  kinds?: readonly KindDefinition[];
  /** Controllers, started on the replica that leads. */
  controllers?: (context: ControllerContext) => Controller[];
  verbs?: readonly Verb[];
}

/** What setup() may use. Read-only, and the plugin's own. */
export interface PluginHost {
  readonly name: string;
  /** Objects that admission may look up (presets, secrets, ...); offline it finds nothing. */
  list<T extends KubeObject>(resource: Resource, namespace: string): Promise<T[]>;
}

export interface Plugin {
  readonly name: string;
  readonly version: string;
  /** One line: what a VM gains by it. */
  readonly summary: string;
  /** JSON Schema of its options in the configuration. */
  readonly options?: Schema;
  /** Plugins that must be enabled too. */
  readonly needs?: readonly string[];
  /** Plugins whose taps this one's come before, or after; unknown names are ignored unless they are in `needs`. */
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  /** The fields it owns. */
  readonly api?: readonly ApiSlice[];
  /** Node side of its steps, loaded only where steps run. */
  readonly actions?: () => Promise<{ readonly actions: { readonly [name: string]: Action } }>;
  setup(host: PluginHost, options: { readonly [key: string]: unknown }): Contribution;
}

/**
 * Declares a plugin; the default export of its module.
 *
 * @example
 * export default definePlugin({
 *   name: 'panic',
 *   version: '1.0.0',
 *   summary: 'a panic device',
 *   api: [{ path: 'spec.domain.devices.panicDevices', schema: { type: 'array', items: { type: 'object' } } }],
 *   setup: () => ({
 *     prepareDomain({ vmi }, plan) {
 *       for (const _ of vmi.spec.domain.devices?.panicDevices ?? []) plan.domain.device(el('panic', { model: 'isa' }));
 *     },
 *   }),
 * });
 */
export function definePlugin(plugin: Plugin): Plugin {
  return plugin;
}
