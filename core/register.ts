// Puts a plugin's taps on the hooks, each wrapped by its containment.
import type { AsyncSeriesBailHook, HookMap } from 'tapable';
import { fail } from './errors.ts';
import type { Hooks } from './hooks.ts';
import type { KubeObject } from './kube/objects.ts';
import type {
  AdmitTap,
  Contribution,
  Defaults,
  DefaultTap,
  MigratePhase,
  Patch,
  PrepareTap,
  Stage,
  Verdict,
} from './plugin.ts';
import { andThen, runTap, type TapPolicy } from './tap.ts';
import type { Cause, Owner } from './types.ts';
import { setPath } from './path.ts';

export interface HookKeys {
  diskSources: Map<string, string>;
  networkSources: Map<string, string>;
  bindings: Map<string, string>;
}

export function registerTaps(
  hooks: Hooks,
  keys: HookKeys,
  plugin: string,
  contribution: Contribution,
  policy: TapPolicy,
): void {
  if (contribution.admit) registerAdmit(hooks, plugin, contribution.admit, policy);
  if (contribution.defaultPreset) registerDefaults(hooks, plugin, contribution.defaultPreset, policy);
  const { attachDisk, attachNetwork, prepareDomain, migrate } = contribution;
  registerKeyed(hooks.attachDisk, keys.diskSources, 'attachDisk', plugin, attachDisk, policy);
  registerKeyed(
    hooks.attachNetwork.sources,
    keys.networkSources,
    'attachNetwork.source',
    plugin,
    attachNetwork?.sources,
    policy,
  );
  registerKeyed(
    hooks.attachNetwork.bindings,
    keys.bindings,
    'attachNetwork.binding',
    plugin,
    attachNetwork?.bindings,
    policy,
  );
  const stages = typeof prepareDomain === 'function' ? { main: prepareDomain } : (prepareDomain ?? {});
  for (const stage in stages) {
    const tap = stages[stage as Stage];
    if (tap) registerPrepare(hooks, stage as Stage, plugin, tap, policy);
  }
  for (const phase in migrate) {
    const tap = migrate[phase as MigratePhase];
    if (!tap) continue;
    const owner: Owner = { plugin, tap: `migrate.${phase}` };
    hooks.migrate.for(phase).tapAsync(plugin, (input, report, done) => {
      runTap(
        owner,
        policy,
        () => tap(input),
        (error, answer) => {
          if (answer) report(owner, answer);
          done(error);
        },
      );
    });
  }
}

function registerAdmit(hooks: Hooks, plugin: string, tap: AdmitTap, policy: TapPolicy): void {
  const owner: Owner = { plugin, tap: 'admit' };
  hooks.admit.tapAsync(plugin, (input, report, done) => {
    runTap(
      owner,
      policy,
      andThen(() => tap(input), verdictOf),
      (error, verdict) => {
        if (verdict) report.add(owner, verdict);
        done(error);
      },
    );
  });
}

function verdictOf(answer: Cause[] | Verdict | void): Verdict {
  const { causes = [], warnings = [] } = Array.isArray(answer) ? { causes: answer } : (answer ?? {});
  return { causes: [...causes], warnings: [...warnings] };
}

function registerDefaults(hooks: Hooks, plugin: string, tap: DefaultTap, policy: TapPolicy): void {
  const owner: Owner = { plugin, tap: 'defaultPreset' };
  hooks.defaultPreset.tapAsync(plugin, (object, report, done) => {
    const vmi = report.vmiOf(object);
    const input = { ...report.input, object, ...(vmi ? { vmi } : {}) };
    runTap(
      owner,
      policy,
      andThen(
        () => tap(input),
        (answer) => defaulted(object, answer),
      ),
      (error, made) => {
        if (error || !made) return done(error);
        report.add(owner, made.defaults);
        done(null, made.next);
      },
    );
  });
}

function defaulted(
  object: KubeObject,
  answer: Patch[] | Defaults | void,
): { defaults: Defaults; next: KubeObject } | undefined {
  if (!answer) return undefined;
  const { patches = [], warnings = [], causes = [] } = Array.isArray(answer) ? { patches: answer } : answer;
  const next = patches.reduce((made, patch) => setPath(made, patch.path, patch.value), object);
  return { defaults: { patches: [...patches], warnings: [...warnings], causes: [...causes] }, next };
}

function registerPrepare(hooks: Hooks, stage: Stage, plugin: string, tap: PrepareTap, policy: TapPolicy): void {
  const owner: Owner = { plugin, tap: `prepareDomain.${stage}` };
  hooks.prepareDomain[stage].tapAsync(plugin, (source, done) => {
    runTap(
      owner,
      policy,
      () => {
        const { input, draft } = source.for(owner);
        return tap(input, draft);
      },
      (error) => done(error),
    );
  });
}

function registerKeyed<Input, Answer>(
  map: HookMap<AsyncSeriesBailHook<[Input], Answer>>,
  owners: Map<string, string>,
  hook: string,
  plugin: string,
  taps: { readonly [key: string]: (input: Input) => Answer | Promise<Answer> } | undefined,
  policy: TapPolicy,
): void {
  for (const key in taps) {
    const tap = taps[key];
    if (!tap) continue;
    const first = owners.get(key);
    if (first !== undefined) throw fail('VL_KEY_CLASH', { hook, key, first, second: plugin });
    owners.set(key, plugin);
    const owner: Owner = { plugin, tap: `${hook}.${key}` };
    map.for(key).tapAsync(plugin, (input, done) => runTap(owner, policy, () => tap(input), done));
  }
}
