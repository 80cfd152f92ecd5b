// The six lifecycle hooks, as tapable has them. The table of the design, in code.
import { AsyncSeriesBailHook, AsyncSeriesHook, AsyncSeriesWaterfallHook, HookMap } from 'tapable';
import type {
  AdmitInput,
  AttachBindingInput,
  AttachDiskInput,
  AttachSourceInput,
  DefaultInput,
  Defaults,
  DiskAttachment,
  MigrateAnswer,
  MigrateInput,
  NicAttachment,
  PlanDraft,
  PrepareInput,
  SourceAttachment,
  Verdict,
} from './plugin.ts';
import type { KubeObject } from './kube/objects.ts';
import type { Tap } from './tap.ts';
import type { Owner, Vmi } from './types.ts';

/** Where admit taps put what they find. */
export interface AdmitReport {
  add(owner: Owner, verdict: Verdict): void;
}
/** Where defaultPreset taps leave a record of what they set. */
export interface DefaultsReport {
  readonly input: Omit<DefaultInput, 'object' | 'vmi'>;
  vmiOf(object: KubeObject): Vmi | undefined;
  add(owner: Owner, defaults: Defaults): void;
}
/** Hands each prepareDomain tap a draft that signs with the tap's name and keeps to what its plugin may write. */
export interface DraftSource {
  turn(tap: Tap): PrepareInput & PlanDraft;
  /** Remembers the plan as it is; the function that it gives brings it back. */
  checkpoint(): () => void;
}

export interface Hooks {
  /** Every tap runs; each adds causes and warnings. Runs in webhooks. */
  readonly admit: AsyncSeriesHook<[AdmitInput, AdmitReport]>;
  /** Waterfall: each tap gets the object as the one before left it. Runs in webhooks. */
  readonly defaultPreset: AsyncSeriesWaterfallHook<[KubeObject, DefaultsReport]>;
  /** By volume source. Runs in the controller and in the agent. */
  readonly attachDisk: HookMap<AsyncSeriesBailHook<[AttachDiskInput], DiskAttachment>>;
  /** By network source, then by binding. Runs in the controller and in the agent. */
  readonly attachNetwork: {
    readonly sources: HookMap<AsyncSeriesBailHook<[AttachSourceInput], SourceAttachment>>;
    readonly bindings: HookMap<AsyncSeriesBailHook<[AttachBindingInput], NicAttachment>>;
  };
  /** After disks and networks, by stage. Runs in the controller and in the agent. */
  readonly prepareDomain: {
    readonly first: AsyncSeriesHook<[DraftSource]>;
    readonly main: AsyncSeriesHook<[DraftSource]>;
    readonly last: AsyncSeriesHook<[DraftSource]>;
  };
  /** By phase: check, prepareTarget, handoff, finish, abort. Runs in the controller and in the agents. */
  readonly migrate: HookMap<AsyncSeriesHook<[MigrateInput, (owner: Owner, answer: MigrateAnswer) => void]>>;
}

export function createHooks(): Hooks {
  return {
    admit: new AsyncSeriesHook(['input', 'report'], 'admit'),
    defaultPreset: new AsyncSeriesWaterfallHook(['object', 'report'], 'defaultPreset'),
    attachDisk: new HookMap(() => new AsyncSeriesBailHook(['input']), 'attachDisk'),
    attachNetwork: {
      sources: new HookMap(() => new AsyncSeriesBailHook(['input']), 'attachNetwork.source'),
      bindings: new HookMap(() => new AsyncSeriesBailHook(['input']), 'attachNetwork.binding'),
    },
    prepareDomain: {
      first: new AsyncSeriesHook(['source'], 'prepareDomain.first'),
      main: new AsyncSeriesHook(['source'], 'prepareDomain.main'),
      last: new AsyncSeriesHook(['source'], 'prepareDomain.last'),
    },
    migrate: new HookMap(() => new AsyncSeriesHook(['input', 'report']), 'migrate'),
  };
}
