// The public entry: all that a plugin may import.
export { CORE_API, definePlugin } from './plugin.ts';
export type {
  AdmitInput,
  AdmitTap,
  ApiSlice,
  AttachBindingInput,
  AttachBindingTap,
  AttachDiskInput,
  AttachDiskTap,
  AttachInput,
  AttachSourceInput,
  AttachSourceTap,
  AttachedDisk,
  AttachedNic,
  Attachment,
  Command,
  CommandContext,
  Contribution,
  ControllerContext,
  DefaultInput,
  DefaultTap,
  Defaults,
  DiskAttachment,
  KindDefinition,
  Metric,
  MetricDefinition,
  Migratable,
  MigrateAnswer,
  MigrateInput,
  NicAttachment,
  Overhead,
  Patch,
  PlanDraft,
  Plugin,
  PluginDefinition,
  PluginHost,
  PrepareInput,
  PrepareTap,
  Read,
  Schema,
  SourceAttachment,
  Verb,
  VerbAnswer,
  VerbContext,
  Verdict,
} from './plugin.ts';
export type {
  Action,
  ExecOptions,
  NodeSide,
  RewriteDraft,
  Rewriter,
  Sandbox,
  Step,
  StepContext,
  StepDraft,
} from './steps.ts';
export type {
  Cause,
  CauseReason,
  Condition,
  Devices,
  Disk,
  DomainSpec,
  Facts,
  Interface,
  InterfaceStatus,
  Json,
  Network,
  Owner,
  Vmi,
  VmiOf,
  VmiPhase,
  VmiSpec,
  VmiStatus,
  Volume,
} from './types.ts';
export type { ValueOf } from './typing.ts';
export { childOf, el, keyed } from './domain/element.ts';
export type { Element, ReadonlyElement } from './domain/element.ts';
export { parseXml, toXml } from './domain/xml.ts';
export type { DomainDraft, ElementDraft } from './domain/draft.ts';
export type { PodPart } from './pod.ts';
export type { Writes } from './scope.ts';
export { fail, messageOf, VirtloomError } from './errors.ts';
export { RESTART_REQUIRED } from './drift.ts';
export { grpcCall } from './grpc.ts';
export type { GrpcCall } from './grpc.ts';
export { getPath, parsePath, formatPath, setPath } from './path.ts';
export { conditionOf, dropCondition, isFinal, seconds, setCondition } from './status.ts';
export { isPlatform } from './vmi-admission.ts';
export { VMIS } from './vmi-kind.ts';
export { KubeError, isConflict, isNotFound } from './kube/client.ts';
export type { KubeClient } from './kube/client.ts';
export { Controller } from './kube/controller.ts';
export { CachedWriter } from './kube/writer.ts';
export type { Request, Result } from './kube/controller.ts';
export type { EventRecorder } from './kube/events.ts';
export type { Informer } from './kube/informer.ts';
export * from './kube/objects.ts';
export * from './kube/quantity.ts';
export * from './net/index.ts';
