// The process of one isolated plugin: loads it, says what it is, and answers calls of its taps until the platform is gone.
import { pino } from 'pino';
import { messageOf } from '../errors.ts';
import { checkedOptions } from '../options.ts';
import { uncollected } from '../metrics.ts';
import type { Contribution, Plugin, Stage } from '../plugin.ts';
import type { Facts, Json } from '../types.ts';
import type { Call, Declaration, Message, PrepareData, Start } from './protocol.ts';
import { recorder } from './recorder.ts';

const send = (message: Message): void => void process.send?.(message);

function declarationOf(plugin: Plugin, contribution: Contribution): Declaration {
  const { actions, ...rest } = plugin;
  // A function does not go from process to process.
  const data = Object.fromEntries(Object.entries(rest).filter(([key]) => key !== 'setup')) as Declaration['plugin'];
  const { controllers, verbs, commands, reads, migrate, prepareDomain, attachNetwork } = contribution;
  const impossible = Object.entries({ actions, controllers, verbs, commands, reads, migrate }).filter(([, one]) => one);
  if (impossible.length > 0) {
    throw new Error(`it has ${impossible.map(([name]) => name).join(', ')}, which an isolated plugin cannot have`);
  }
  return {
    plugin: data,
    kinds: contribution.kinds ?? [],
    admit: contribution.admit !== undefined,
    defaultPreset: contribution.defaultPreset !== undefined,
    attachDisk: Object.keys(contribution.attachDisk ?? {}),
    sources: Object.keys(attachNetwork?.sources ?? {}),
    bindings: Object.keys(attachNetwork?.bindings ?? {}),
    prepareDomain: typeof prepareDomain === 'function' ? ['main'] : Object.keys(prepareDomain ?? {}),
  };
}

async function answer(name: string, contribution: Contribution, call: Call): Promise<unknown> {
  const { hook, key, at = '', subject = '' } = call;
  const { facts } = call.input as { facts?: Facts };
  const input = {
    ...call.input,
    at: (path: string): string => `${at}${path}`,
    result: (id: string): Json | undefined => facts?.steps[`${name}/${subject}/${id}`],
  };
  const { prepareDomain } = contribution;
  if (hook === 'admit') return contribution.admit?.(input as never);
  if (hook === 'defaultPreset') return contribution.defaultPreset?.(input as never);
  if (hook === 'attachDisk') return contribution.attachDisk?.[key]?.(input as never);
  if (hook !== 'prepareDomain') return contribution.attachNetwork?.[hook]?.[key]?.(input as never);
  const { domain, overheadSoFar } = call.input as PrepareData;
  const { draft, writes } = recorder(domain, overheadSoFar);
  const tap = typeof prepareDomain === 'function' ? prepareDomain : prepareDomain?.[key as Stage];
  await tap?.(input as never, draft);
  return writes;
}

process.once('message', (start: Start) => {
  void (async () => {
    try {
      const plugin = ((await import(start.url)) as { default: Plugin }).default;
      const list = (): never => {
        throw new Error('an isolated plugin cannot look objects up');
      };
      const contribution = plugin.setup(
        {
          name: plugin.name,
          log: pino({ level: 'silent' }),
          metrics: uncollected(plugin.name, plugin.metrics ?? {}),
          list,
        },
        checkedOptions(plugin, start.options),
      );
      const declaration = declarationOf(plugin, contribution);
      process.on('message', (call: Call) => {
        answer(plugin.name, contribution, call).then(
          (value) => send({ is: 'answer', id: call.id, value }),
          (error: unknown) => send({ is: 'failure', id: call.id, problem: messageOf(error) }),
        );
      });
      send({ is: 'ready', declaration });
    } catch (error) {
      send({ is: 'unusable', problem: messageOf(error) });
    }
  })();
});
process.once('disconnect', () => process.exit());
