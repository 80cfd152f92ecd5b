// Plugin objects: hooks of the cluster's operator, as CEL expressions or behind sockets, for all VMs that a condition takes in.
import { definePlugin } from '../../core/index.ts';
import type { Facts, PlanDraft, StepDraft, Vmi } from '../../core/index.ts';
import type { HookArgs } from './actions.ts';
import { admitPlugin } from './admit.ts';
import { millisecondsOf, PLUGIN, POINTS, type FailureStrategy, type Plugin } from './kind.ts';
import { COMPUTE, sidecarOf, VOLUMES } from './pod.ts';

const TIMEOUT_MS = 30_000;
/** Which action, and when, each moment of a VM's life is. */
const MOMENTS: Record<(typeof POINTS)[number], Pick<StepDraft, 'action' | 'at'>> = {
  PreVMStart: { action: 'node' },
  PostVMStart: { action: 'node', at: 'started' },
  PreVMStop: { action: 'node', at: 'stopping' },
  PostVMStop: { action: 'nodeAfterStop' },
};

export default definePlugin({
  name: 'plugin-objects',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'kind Plugin: CEL expressions and gRPC sockets that change domains and hear of starts and stops',
  writes: { pod: ['spec.volumes', 'spec.initContainers', 'spec.containers[compute].volumeMounts'] },
  actions: () => import('./actions.ts'),
  setup: () => ({
    kinds: [PLUGIN],
    reads: [{ resource: PLUGIN.resource, of: () => 'all' }],
    admit: admitPlugin,
    prepareDomain: {
      async last({ facts, vmi }, plan) {
        for (const plugin of pluginsOf(facts)) {
          await layPod(plugin, vmi, plan);
          layDomainHooks(plugin, plan);
          layNodeHooks(plugin, plan, facts.node?.name ?? '');
        }
      },
    },
  }),
});

/** By name, as KubeVirt has them follow each other. */
function pluginsOf(facts: Facts): Plugin[] {
  const { group, version, kind } = PLUGIN.resource;
  const plugins = facts.objects?.filter((one) => one.kind === kind && one.apiVersion === `${group}/${version}`) ?? [];
  return (plugins as Plugin[]).toSorted((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
}

async function layPod(plugin: Plugin, vmi: Vmi, plan: PlanDraft): Promise<void> {
  if (!plugin.spec.domainHooks?.some(({ sidecar }) => sidecar)) return;
  plan.pod.merge(VOLUMES);
  plan.pod.compute(COMPUTE);
  const { container } = sidecarOf(plugin);
  if (container && (await mayTakeIn(plugin, vmi))) plan.pod.merge({ spec: { initContainers: [container] } });
}

/** False where the condition says no of the VMI, whatever its domain will be. */
async function mayTakeIn({ spec: { condition } }: Plugin, vmi: Vmi): Promise<boolean> {
  if (!condition) return true;
  const { holds } = await import('./cel.ts');
  try {
    return holds([condition], vmi);
  } catch {
    // It looks at the domain, or is wrong: both show when the hook is to run.
    return true;
  }
}

function layDomainHooks(plugin: Plugin, plan: PlanDraft): void {
  plugin.spec.domainHooks?.forEach((hook, index) => {
    const { cel, sidecar } = hook;
    plan.rewrite({
      ...common(plugin, hook),
      id: `${plugin.metadata.name}/${index}`,
      field: `Plugin/${plugin.metadata.name} spec.domainHooks[${index}]`,
      action: cel ? 'cel' : 'sidecar',
      args: {
        ...argsOf(plugin, hook),
        ...(cel ? { expression: cel.expression } : { socket: sidecar?.socketPath ?? '' }),
      },
    });
  });
}

function layNodeHooks(plugin: Plugin, plan: PlanDraft, node: string): void {
  plugin.spec.nodeHooks?.forEach((hook, index) => {
    for (const point of POINTS) {
      if (!hook.permittedHooks.includes(point)) continue;
      plan.step({
        ...common(plugin, hook),
        ...MOMENTS[point],
        id: `${plugin.metadata.name}/${index}/${point}`,
        args: { ...argsOf(plugin, hook), point, node, socket: hook.socket },
      });
    }
  });
}

interface Hook {
  readonly condition?: string;
  readonly failureStrategy?: FailureStrategy;
  readonly timeout?: string;
}

function common(plugin: Plugin, hook: Hook): Pick<StepDraft, 'failurePolicy'> {
  return { failurePolicy: hook.failureStrategy ?? plugin.spec.failureStrategy ?? 'Fail' };
}

function argsOf({ spec }: Plugin, { condition, timeout }: Hook) {
  const args: HookArgs = {
    conditions: [spec.condition, condition].filter((one): one is string => one !== undefined && one !== ''),
    timeoutMs: (timeout === undefined ? undefined : millisecondsOf(timeout)) ?? TIMEOUT_MS,
  };
  return { ...args, conditions: [...args.conditions] };
}
