// Puts a plugin's taps on the hooks, each contained, its answer checked.
import type { AsyncSeriesBailHook, HookMap } from 'tapable';
import type { ANSWERS } from './answers.ts';
import { andThen, checked } from './answers.ts';
import { fail } from './errors.ts';
import { freeze } from './freeze.ts';
import type { DefaultsReport, DraftSource, Hooks } from './hooks.ts';
import type { KubeObject } from './kube/objects.ts';
import type {
  AdmitTap,
  Contribution,
  Defaults,
  DefaultTap,
  MigratePhase,
  MigrateTap,
  Patch,
  PrepareTap,
  Stage,
  Verdict,
} from './plugin.ts';
import { setPath } from './path.ts';
import { runTap, type Tap, type TapPolicy } from './tap.ts';
import type { Cause } from './types.ts';

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
  const tap = (name: string): Tap => ({ owner: { plugin, tap: name }, policy, calls: 0 });
  const { admit, defaultPreset, attachDisk, attachNetwork, prepareDomain, migrate } = contribution;
  if (admit) registerAdmit(hooks, tap('admit'), admit);
  if (defaultPreset) registerDefaults(hooks, tap('defaultPreset'), defaultPreset);
  registerKeyed(hooks.attachDisk, keys.diskSources, 'attachDisk', tap, attachDisk);
  const { sources, bindings } = attachNetwork ?? {};
  registerKeyed(hooks.attachNetwork.sources, keys.networkSources, 'attachNetwork.source', tap, sources);
  registerKeyed(hooks.attachNetwork.bindings, keys.bindings, 'attachNetwork.binding', tap, bindings);
  const stages = typeof prepareDomain === 'function' ? { main: prepareDomain } : (prepareDomain ?? {});
  for (const stage in stages) {
    const prepare = stages[stage as Stage];
    if (prepare) registerPrepare(hooks, stage as Stage, tap(`prepareDomain.${stage}`), prepare);
  }
  for (const phase in migrate) {
    const answer = migrate[phase as MigratePhase];
    if (answer) registerMigrate(hooks, phase, tap(`migrate.${phase}`), answer);
  }
}

function registerAdmit(hooks: Hooks, tap: Tap, admit: AdmitTap): void {
  const call = andThen(admit, (answer) => checked(tap.owner, 'admit', verdictOf(answer)));
  hooks.admit.tapAsync(tap.owner.plugin, (input, report, done) => {
    runTap(tap, call, input, undefined, (error, verdict) => {
      if (verdict) report.add(tap.owner, verdict);
      done(error);
    });
  });
}

function verdictOf(answer: Cause[] | Verdict | void): Verdict {
  return Array.isArray(answer) ? { causes: answer } : (answer ?? {});
}

function registerDefaults(hooks: Hooks, tap: Tap, fill: DefaultTap): void {
  const call = andThen(
    (object: KubeObject, report: DefaultsReport) => {
      const vmi = report.vmiOf(freeze(object));
      return fill({ ...report.input, object, ...(vmi ? { vmi } : {}) });
    },
    (answer, object) => {
      const defaults = checked(tap.owner, 'defaultPreset', defaultsOf(answer));
      const next = (defaults.patches ?? []).reduce((made, patch) => setPath(made, patch.path, patch.value), object);
      return { defaults, next };
    },
  );
  hooks.defaultPreset.tapAsync(tap.owner.plugin, (object, report, done) => {
    runTap(tap, call, object, report, (error, made) => {
      if (error || !made) return done(error);
      report.add(tap.owner, made.defaults);
      done(null, made.next);
    });
  });
}

function defaultsOf(answer: Patch[] | Defaults | void): Defaults {
  return Array.isArray(answer) ? { patches: answer } : (answer ?? {});
}

function registerPrepare(hooks: Hooks, stage: Stage, tap: Tap, prepare: PrepareTap): void {
  const call = (source: DraftSource): void | Promise<void> => {
    const turn = source.turn(tap);
    return prepare(turn, turn);
  };
  const hook = hooks.prepareDomain[stage];
  if (tap.policy.failurePolicy === 'Fail') {
    hook.tapAsync(tap.owner.plugin, (source, done) => runTap(tap, call, source, undefined, done));
    return;
  }
  // What an ignored tap wrote before it failed must not stay.
  const guarded: Tap = { ...tap, policy: { ...tap.policy, failurePolicy: 'Fail' } };
  hook.tapAsync(tap.owner.plugin, (source, done) => {
    const undo = source.checkpoint();
    runTap(guarded, call, source, undefined, (error) => {
      if (error) undo();
      done(null);
    });
  });
}

function registerMigrate(hooks: Hooks, phase: string, tap: Tap, migrate: MigrateTap): void {
  const call = andThen(migrate, (answer) => checked(tap.owner, 'migrate', answer ?? {}));
  hooks.migrate.for(phase).tapAsync(tap.owner.plugin, (input, report, done) => {
    runTap(tap, call, input, undefined, (error, answer) => {
      if (answer) report(tap.owner, answer);
      done(error);
    });
  });
}

function registerKeyed<Input, Answer>(
  map: HookMap<AsyncSeriesBailHook<[Input], Answer>>,
  owners: Map<string, string>,
  hook: keyof typeof ANSWERS,
  tapOf: (name: string) => Tap,
  taps: { readonly [key: string]: (input: Input) => Answer | Promise<Answer> } | undefined,
): void {
  for (const key in taps) {
    const attach = taps[key];
    if (!attach) continue;
    const tap = tapOf(`${hook}.${key}`);
    const first = owners.get(key);
    if (first !== undefined) throw fail('VL_KEY_CLASH', { hook, key, first, second: tap.owner.plugin });
    owners.set(key, tap.owner.plugin);
    const call = andThen(attach, (answer) => checked(tap.owner, hook, answer));
    map.for(key).tapAsync(tap.owner.plugin, (input, done) => runTap(tap, call, input, undefined, done));
  }
}
