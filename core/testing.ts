// What plugin tests need: a plan or an admission verdict from a few plugins, without a cluster.
import { pino } from 'pino';
import { admit, applyDefaults } from './admission.ts';
import type { AdmissionRequest } from './vmi-admission.ts';
import { toXml } from './domain/xml.ts';
import { createHost, type Host, type HostOptions, type PluginEntry } from './host.ts';
import type { KubeObject } from './kube/objects.ts';
import { plan, type Plan } from './plan.ts';
import type { Plugin } from './plugin.ts';
import type { Cause, Facts, Vmi } from './types.ts';

export const TEST_FACTS: Facts = {
  cluster: { launcherImage: 'virtloom/launcher:test', virtType: 'qemu', imageVolumes: true },
  steps: {},
};

const USER = { username: 'test', groups: ['system:authenticated'] };

/** A host of these plugins, silent, with everything at its default. */
export function testHost(plugins: readonly (Plugin | PluginEntry)[], options: Partial<HostOptions> = {}): Host {
  const entries = plugins.map((one) => ('plugin' in one ? one : { plugin: one }));
  return createHost(entries, { log: pino({ level: 'silent' }), ...options });
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}

/** The plan of a VMI by these plugins. Inputs are frozen, so that a tap that changes them fails. */
export async function planFor(given: {
  plugins: readonly (Plugin | PluginEntry)[];
  vmi: Vmi;
  facts?: Partial<Facts>;
}): Promise<Plan & { xml: string }> {
  const facts = freeze({ ...structuredClone(TEST_FACTS), ...structuredClone(given.facts ?? {}) });
  const result = await plan(testHost(given.plugins), freeze(structuredClone(given.vmi)), facts);
  return { ...result, xml: toXml(result.domain) };
}

/** Defaults, then rules, as the webhooks apply them. */
export async function admitFor(given: {
  plugins: readonly (Plugin | PluginEntry)[];
  object: KubeObject | Vmi;
  old?: KubeObject | Vmi;
  operation?: AdmissionRequest['operation'];
  user?: AdmissionRequest['user'];
  options?: Partial<HostOptions>;
}): Promise<{ object: KubeObject; causes: Cause[]; warnings: string[] }> {
  const host = testHost(given.plugins, given.options);
  const request: AdmissionRequest = {
    operation: given.operation ?? 'CREATE',
    object: freeze(structuredClone(given.object)) as KubeObject,
    ...(given.old ? { old: freeze(structuredClone(given.old)) as KubeObject } : {}),
    user: given.user ?? USER,
  };
  const defaulted = await applyDefaults(host, request);
  const verdict = await admit(host, { ...request, object: freeze(defaulted.object) });
  return {
    object: defaulted.object,
    causes: [...defaulted.causes, ...verdict.causes],
    warnings: [...defaulted.warnings, ...verdict.warnings],
  };
}
