// The host: plugins loaded, put in order, their taps on the hooks, each contained and signed.
import type { Logger } from 'pino';
import semver from 'semver';
import { fail } from './errors.ts';
import { createHooks, type Hooks } from './hooks.ts';
import type { KubeObject, Resource } from './kube/objects.ts';
import { checkedOptions } from './options.ts';
import { orderPlugins } from './order.ts';
import { CORE_API } from './plugin.ts';
import type { Command, ControllerContext, KindDefinition, Plugin, Read, Verb } from './plugin.ts';
import type { Controller } from './kube/controller.ts';
import { FieldTable, type KnownFields } from './schema.ts';
import type { Action, NodeSide, Rewriter } from './steps.ts';
import { uncollected, type MetricsOfPlugin } from './metrics.ts';
import { registerTaps } from './register.ts';
import { scopesOf, type Scopes } from './scope.ts';
import type { TapPolicy } from './tap.ts';

/** A plugin with what the operator says about it. */
export interface PluginEntry {
  readonly plugin: Plugin;
  readonly options?: { readonly [key: string]: unknown };
  readonly failurePolicy?: 'Fail' | 'Ignore';
  readonly timeoutMs?: number;
}

export interface HostOptions {
  readonly log: Logger;
  /** How admission looks objects up; offline, nothing is found. */
  readonly list?: <T extends KubeObject>(resource: Resource, namespace: string) => Promise<T[]>;
  /** Who collects the metrics that plugins declare; nobody unless told. */
  readonly metrics?: MetricsOfPlugin;
  /** Told of every tap that ran. */
  readonly onTap?: TapPolicy['onTap'];
  /** Told of every node step that was done or undone. */
  readonly onStep?: OnStep;
  /** Fields of KubeVirt's API and the plugin that each belongs to, so that a refusal can name it. */
  readonly knownFields?: KnownFields;
}

/** Milliseconds that a node step took. The core's own (libvirt's start of a guest) are told as plugin `core`. */
export type OnStep = (
  step: { readonly plugin: string; readonly action: string; readonly way: 'apply' | 'revert' },
  ms: number,
  failed: boolean,
) => void;

/** Everything that the enabled plugins contribute, in their resolved order. */
export interface Host {
  readonly plugins: readonly Plugin[];
  readonly hooks: Hooks;
  /** Where in pod and domain each plugin may write. */
  readonly scopes: ReadonlyMap<string, Scopes>;
  /** Keys that attach hooks are there for, and the plugin behind each. */
  readonly diskSources: ReadonlyMap<string, string>;
  readonly networkSources: ReadonlyMap<string, string>;
  readonly bindings: ReadonlyMap<string, string>;
  readonly fields: FieldTable;
  readonly kinds: readonly KindDefinition[];
  readonly verbs: readonly Verb[];
  readonly commands: readonly (Command & { readonly plugin: string })[];
  /** The objects of the cluster that plugins' hooks read. */
  readonly reads: readonly (Read & { readonly plugin: string })[];
  /** Whether any plugin has a part in live migration; else nothing can be migrated. */
  readonly migrates: boolean;
  readonly controllers: readonly ((context: ControllerContext) => Controller[])[];
  readonly onStep: OnStep;
  /** The node side of a step. Throws VL_STEP_UNKNOWN. */
  action(plugin: string, name: string): Promise<Action>;
  /** The node side of a rewrite. Throws VL_STEP_UNKNOWN. */
  rewriter(plugin: string, name: string): Promise<Rewriter>;
  readonly log: Logger;
}

/** The enabled plugins: name to version. */
export function versionsOf({ plugins }: Pick<Host, 'plugins'>): Map<string, string> {
  return new Map(plugins.map(({ name, version }) => [name, version]));
}

/** Builds the host: checks options, resolves the order, registers every tap. Throws VL_PLUGIN_* and VL_*_CLASH. */
export function createHost(entries: readonly PluginEntry[], options: HostOptions): Host {
  for (const { plugin } of entries) {
    if (!semver.satisfies(CORE_API, plugin.core)) {
      throw fail('VL_PLUGIN_CORE', { plugin: plugin.name, version: plugin.version, range: plugin.core, api: CORE_API });
    }
  }
  const byName = new Map(entries.map((entry) => [entry.plugin.name, entry]));
  const plugins = orderPlugins(entries.map((entry) => entry.plugin));
  const hooks = createHooks();
  const scopes = new Map(plugins.map((plugin) => [plugin.name, scopesOf(plugin.writes)]));
  const keys = { diskSources: new Map<string, string>(), networkSources: new Map(), bindings: new Map() };
  const kinds: KindDefinition[] = [];
  const verbs: Verb[] = [];
  const commands: (Command & { readonly plugin: string })[] = [];
  const reads: (Read & { readonly plugin: string })[] = [];
  const controllers: ((context: ControllerContext) => Controller[])[] = [];
  let migrates = false;

  for (const plugin of plugins) {
    const entry = byName.get(plugin.name) as PluginEntry;
    const contribution = plugin.setup(
      {
        name: plugin.name,
        log: options.log.child({ plugin: plugin.name }),
        metrics: (options.metrics ?? uncollected)(plugin.name, plugin.metrics ?? {}),
        list: options.list ?? (async () => []),
      },
      checkedOptions(plugin, entry.options ?? {}),
    );
    registerTaps(hooks, keys, plugin.name, contribution, {
      failurePolicy: entry.failurePolicy ?? 'Fail',
      timeoutMs: entry.timeoutMs ?? 10_000,
      scopes: scopes.get(plugin.name) as Scopes,
      onTap: options.onTap,
      onFailure: (owner, error) =>
        options.log.warn({ plugin: owner.plugin, hook: owner.tap, code: error.code }, error.message),
    });
    migrates ||= contribution.migrate !== undefined;
    kinds.push(...(contribution.kinds ?? []));
    verbs.push(...(contribution.verbs ?? []));
    for (const command of contribution.commands ?? []) {
      const first = commands.find((one) => one.name === command.name)?.plugin;
      if (first !== undefined)
        throw fail('VL_KEY_CLASH', { hook: 'command', key: command.name, first, second: plugin.name });
      commands.push({ ...command, plugin: plugin.name });
    }
    for (const read of contribution.reads ?? []) reads.push({ ...read, plugin: plugin.name });
    if (contribution.controllers) controllers.push(contribution.controllers);
  }

  const onStep = options.onStep ?? (() => undefined);
  const sides = new Map<string, Promise<NodeSide>>();
  /** What `pick` finds in the plugin's node side, which is loaded once. */
  const nodeSide = async <T>(name: string, plugin: string, pick: (side: NodeSide) => T | undefined): Promise<T> => {
    const load = byName.get(plugin)?.plugin.actions;
    let side = sides.get(plugin);
    if (!side && load) sides.set(plugin, (side = load()));
    const found = side && pick(await side);
    if (!found) throw fail('VL_STEP_UNKNOWN', { step: name, action: name, plugin });
    return found;
  };
  return {
    plugins,
    hooks,
    scopes,
    ...keys,
    fields: new FieldTable(plugins, options.knownFields ?? {}),
    kinds,
    verbs,
    commands,
    reads,
    migrates,
    controllers,
    log: options.log,
    onStep,
    action: async (plugin, name) =>
      timed(await nodeSide(name, plugin, ({ actions }) => actions[name]), plugin, name, onStep),
    rewriter: (plugin, name) => nodeSide(name, plugin, ({ rewrites }) => rewrites?.[name]),
  };
}

/** The action, with what it takes told. */
function timed(action: Action, plugin: string, name: string, onStep: OnStep): Action {
  const run = async <T>(way: 'apply' | 'revert', work: () => Promise<T>): Promise<T> => {
    const began = performance.now();
    let failed = true;
    try {
      const result = await work();
      failed = false;
      return result;
    } finally {
      onStep({ plugin, action: name, way }, performance.now() - began, failed);
    }
  };
  return {
    apply: (context, args) => run('apply', () => action.apply(context, args)),
    ...(action.revert
      ? { revert: (context, args, result) => run('revert', async () => action.revert?.(context, args, result)) }
      : {}),
  };
}
