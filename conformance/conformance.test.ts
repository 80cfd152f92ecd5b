// The kit on our own plugins, which pass; and on bad ones, each of which fails the check that is for it.
import { beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG, ROOT } from '../cli/paths.ts';
import { loadConfig } from '../core/config.ts';
import { el } from '../core/domain/element.ts';
import type { PluginEntry } from '../core/host.ts';
import { loadPlugin, loadPlugins } from '../core/modules.ts';
import { definePlugin, type Contribution, type Plugin } from '../core/plugin.ts';
import { pluginFolders } from '../test/support/tree.ts';
import { conformance } from './conformance.ts';

const SEED = 20_261_124;
let entries: PluginEntry[];
beforeAll(async () => {
  const config = await loadConfig(DEFAULT_CONFIG);
  entries = await loadPlugins(config.plugins, config.directory);
});

const problems = async (all: readonly PluginEntry[], name: string, vmis: number): Promise<string[]> =>
  (await conformance({ entries: all, name, vmis, seed: SEED })).flatMap(({ check, problem }) =>
    problem === undefined ? [] : [`${check}: ${problem}`],
  );

describe('passes', () => {
  it.each(pluginFolders())('plugins/%s', async (name) => {
    expect(await problems(entries, name, 150)).toEqual([]);
  });

  it.each(['io-limits', 'http-volume', 'user-nic'])('examples/plugins/%s', async (name) => {
    const plugin = await loadPlugin(`${ROOT}examples/plugins/${name}`, ROOT);
    expect(await problems([...entries, { plugin }], name, 150)).toEqual([]);
  });
});

describe('fails', () => {
  const bad = (contribution: Contribution, more: Partial<Plugin> = {}): Plugin => ({
    ...definePlugin({
      name: 'bad',
      version: '1.0.0',
      core: '^1.0.0',
      summary: 'does wrong',
      setup: () => contribution,
    }),
    writes: { pod: ['metadata.annotations'], domain: ['devices', 'description'] },
    ...more,
  });
  let calls = 0;
  const leak = (): void => undefined;

  it.each<[string, Plugin, RegExp]>([
    [
      'options that are no schema',
      bad({}, { options: { type: 'object', properties: { a: { type: 'number', minimun: 1 } } } }),
      /^options are a sound schema: .*minimun/,
    ],
    [
      'defaults that its own options refuse',
      bad({}, { options: { type: 'object', properties: { a: { type: 'integer', default: 1, minimum: 2 } } } }),
      /^options are a sound schema: its defaults/,
    ],
    [
      'a field without a type',
      bad({}, { api: [{ path: 'spec.domain.bad', schema: { type: 'object', properties: { a: {} } } }] }),
      /^fields have a structural schema: spec\.domain\.bad\.a has no type/,
    ],
    [
      'a hook that stumbles',
      bad({ prepareDomain: ({ vmi }) => void (vmi as unknown as { spec: { a: { b: string } } }).spec.a.b }),
      /^survives random VMIs: prepareDomain\.main of plugin "bad" failed: Cannot read/,
    ],
    [
      'a hook that changes its input',
      bad({ prepareDomain: ({ vmi }) => void (vmi.spec.domain = {}) }),
      /^survives random VMIs: .*read only/,
    ],
    [
      'a write that it does not declare',
      bad({ prepareDomain: (_, { pod }) => pod.merge({ spec: { hostNetwork: true } }) }),
      /^survives random VMIs: pod spec: plugin "bad" writes it/,
    ],
    [
      'an answer that is none',
      bad({ admit: () => [{ field: 'a' }] as never }),
      /^survives random VMIs: admit of plugin "bad" gave a malformed answer/,
    ],
    [
      'a plan that depends on what came before',
      bad({ prepareDomain: (_, { domain }) => domain.merge(el('description', {}, String(calls++))) }),
      /^is pure: .*a second plan differs/,
    ],
    [
      'a step without an action',
      bad({ prepareDomain: (_, draft) => draft.step({ id: 'a', action: 'nothing' }) }),
      /^its steps have actions: .*"nothing"/,
    ],
    [
      'a domain that knows its node',
      bad({ prepareDomain: ({ facts }, { domain }) => domain.merge(el('description', {}, facts.node?.name ?? '-')) }),
      /^makes the same domain on another node: the domains differ/,
    ],
    [
      'XML that libvirt does not know',
      bad({ prepareDomain: (_, { domain }) => void domain.device(el('teapot')) }),
      /^makes XML that libvirt’s schema allows: /,
    ],
    [
      'a listener that stays',
      bad({ prepareDomain: () => void process.on('SIGWINCH', leak) }),
      /^leaks no listeners and timers: \d+ listeners/,
    ],
  ])('for %s', async (_, plugin, problem) => {
    process.setMaxListeners(0);
    const found = await problems([...entries, { plugin }], 'bad', 40);
    process.removeAllListeners('SIGWINCH');
    expect(found).toContainEqual(expect.stringMatching(problem));
  });

  it('to be set up where a plugin clashes with another', async () => {
    const twin = bad({}, { api: [{ path: 'spec.volumes[].emptyDisk', schema: { type: 'object' } }] });
    await expect(problems([...entries, { plugin: twin }], 'bad', 1)).rejects.toMatchObject({ code: 'VL_API_CLASH' });
  });
});

it('makes the same VMIs of the same seed', async () => {
  const plugin = definePlugin({ name: 'quiet', version: '1.0.0', core: '^1.0.0', summary: 'quiet', setup: () => ({}) });
  const run = () => conformance({ entries: [...entries, { plugin }], name: 'quiet', vmis: 30, seed: SEED });
  expect(await run()).toEqual(await run());
});
