// Plans rendered per second for examples/vm-tiny.yaml in one thread, alone and beside 20 plugins that do nothing.
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { parse } from 'yaml';
import { applyDefaults } from '../core/admission.ts';
import { loadConfig } from '../core/config.ts';
import { toXml } from '../core/domain/xml.ts';
import { createHost, type Host, type PluginEntry } from '../core/host.ts';
import { loadPlugins } from '../core/modules.ts';
import { plan } from '../core/plan.ts';
import { definePlugin } from '../core/plugin.ts';
import type { Facts, Owner, Vmi } from '../core/types.ts';
import { median, print } from './report.ts';

const ROUNDS = 31;
const ROUND_MS = 150;
const FACTS: Facts = {
  cluster: { launcherImage: 'virtloom/launcher', virtType: 'qemu', imageVolumes: true },
  steps: {},
};

const idle = (index: number): PluginEntry => ({
  plugin: definePlugin({
    name: `idle-${index}`,
    version: '1.0.0',
    core: '^1.0.0',
    summary: 'does nothing',
    setup: () => ({ prepareDomain: () => undefined }),
  }),
});

async function perSecond(host: Host, vmi: Vmi, xml: boolean): Promise<number> {
  // Processor time, not the clock's: what else the machine does must not count.
  const begin = process.cpuUsage();
  const used = (): number => {
    const { user: inUs, system } = process.cpuUsage(begin);
    return (inUs + system) / 1000;
  };
  let count = 0;
  while (used() < ROUND_MS) {
    for (let i = 0; i < 50; i++) {
      const made = await plan(host, vmi, FACTS);
      if (xml) toXml(made.domain);
    }
    count += 50;
  }
  return (count / used()) * 1000;
}

const config = await loadConfig(new URL('../virtloom.yaml', import.meta.url).pathname);
const entries = await loadPlugins(config.plugins, config.directory);
const log = pino({ level: 'silent' });
// Taps are counted and timed, as they are in the platform.
const spent = new Map<Owner, { count: number; ms: number }>();
const onTap = (owner: Owner, began: number, ended: number, weight: number): void => {
  let stats = spent.get(owner);
  if (!stats) spent.set(owner, (stats = { count: 0, ms: 0 }));
  stats.count += weight;
  stats.ms += (ended - began) * weight;
};
const idles = Array.from({ length: 20 }, (_, index) => idle(index));
const alone = createHost(entries, { log, onTap });
const crowded = createHost([...entries, ...idles], { log, onTap });
const vm = parse(readFileSync(new URL('../examples/vm-tiny.yaml', import.meta.url), 'utf8')) as {
  spec: { template: Vmi };
};
const raw = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'tiny', namespace: 'default', uid: '9e827b78-818f-4260-9a48-201ad1473a45' },
  spec: vm.spec.template.spec,
};
const user = { username: 'bench', groups: [] };
const vmi = (await applyDefaults(alone, { operation: 'CREATE', object: raw, user })).object as unknown as Vmi;

const rates: Record<'plan' | 'xml' | 'crowded', number[]> = { plan: [], xml: [], crowded: [] };
for (let round = -2; round < ROUNDS; round++) {
  const now = {
    plan: await perSecond(alone, vmi, false),
    crowded: await perSecond(crowded, vmi, false),
    xml: await perSecond(alone, vmi, true),
  };
  // The first rounds are the compiler's.
  if (round >= 0) for (const key of ['plan', 'xml', 'crowded'] as const) rates[key].push(now[key]);
}
const plain = median(rates.plan);
print('plans a second: vm-tiny, pod and domain, every field signed, one thread, by processor time', [
  ['plan', `${Math.round(plain)}/s`],
  ['plan and its XML', `${Math.round(median(rates.xml))}/s`],
  ['plan beside 20 idle plugins', `${Math.round(median(rates.crowded))}/s`],
  // Neighbours in time are compared: what else the machine does changes more slowly than that.
  [
    'cost of 20 idle plugins',
    `${(median(rates.plan.map((rate, round) => rate / (rates.crowded[round] as number) - 1)) * 100).toFixed(1)} %`,
  ],
]);
