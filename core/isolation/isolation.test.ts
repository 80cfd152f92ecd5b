// Plugins in real processes of their own: the same plans as without, and what bad ones cannot do.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, describe, expect, it } from 'vitest';
import { readManifests } from '../../cli/manifests.ts';
import { DEFAULT_CONFIG, ROOT } from '../../cli/paths.ts';
import { admit, applyDefaults, templateOf, vmiIn } from '../admission.ts';
import { loadConfig, type PluginConfig } from '../config.ts';
import { toXml } from '../domain/xml.ts';
import { explained } from '../drift.ts';
import { compare, flatten } from '../flat-plan.ts';
import { createHost, type Host } from '../host.ts';
import { loadPlugins } from '../modules.ts';
import { plan } from '../plan.ts';
import { TEST_FACTS } from '../testing.ts';
import type { Vmi } from '../types.ts';

const log = pino({ level: 'silent' });
const user = { username: 'test', groups: [] };
/** Those without a node side and controllers. */
const ISOLABLE = ['scheduling', 'disks', 'interfaces', 'network-pod', 'compute'];
const folder = mkdtempSync(join(tmpdir(), 'vl-isolation-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function hostOf(plugins: readonly Partial<PluginConfig>[], directory = ROOT): Promise<Host> {
  const base = { options: {}, failurePolicy: 'Fail', timeoutMs: 10_000, isolation: 'none' } as const;
  const entries = await loadPlugins(
    plugins.map((plugin) => ({ ...base, ...plugin }) as PluginConfig),
    directory,
  );
  return createHost(entries, { log });
}

describe('an isolated plugin', () => {
  it('gives the plans that it gives without, signatures and all', async () => {
    const { plugins } = await loadConfig(DEFAULT_CONFIG);
    const plain = await hostOf(plugins);
    const boxed = await hostOf(
      plugins.map((plugin) => (ISOLABLE.includes(plugin.name) ? { ...plugin, isolation: 'process' as const } : plugin)),
    );
    let compared = 0;
    for (const file of readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.yaml'))) {
      for (const object of readManifests(join(ROOT, 'examples', file))) {
        const vmi = vmiIn(object, templateOf(plain, object.kind));
        if (!vmi) continue;
        const raw = { ...vmi, metadata: { ...vmi.metadata, namespace: 'default', uid: 'u1' } } as never;
        const all = await Promise.all(
          [plain, boxed].map(async (host) => {
            const { object: made, record } = await applyDefaults(host, { operation: 'CREATE', object: raw, user });
            const { causes } = await admit(host, { operation: 'CREATE', object: made, user });
            const planned = await plan(host, made as unknown as Vmi, TEST_FACTS);
            const owners = [...planned.pod.owners].map(([path, by]) => `${path} ${by.plugin} ${by.tap}`);
            const defaults = record.map(({ path, by }) => `${path.join('.')} ${by.plugin}`);
            return {
              xml: toXml(planned.domain),
              pod: planned.pod.value,
              chains: planned.chains,
              owners,
              defaults,
              causes,
              watched: compare(flatten(planned), await explained(host, made as unknown as Vmi, TEST_FACTS)),
            };
          }),
        );
        expect(all[1]).toEqual(all[0]);
        // Whoever asks for the fields behind it gets the same plan.
        expect(all[0]?.watched).toEqual([]);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(10);
  });
});

const VMI = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'vm', namespace: 'ns' },
  spec: { domain: {} },
} as unknown as Vmi;

/** A plugin in a file of its own; `body` is its prepareDomain, `more` what else it has. */
async function bad(name: string, body: string, more = '', setup = ''): Promise<Host> {
  const module = join(folder, `${name}.mjs`);
  writeFileSync(
    module,
    `let calls = 0;
export default {
  name: '${name}', version: '1.0.0', core: '^1.0.0', summary: 'bad', writes: { domain: ['description'] }, ${more}
  setup: () => ({ ${setup} prepareDomain: async ({ vmi }, { domain }) => { ${body} } }),
};
`,
  );
  return hostOf([{ name, module, isolation: 'process', timeoutMs: 1_000 }], folder);
}
const DESCRIBE = `domain.merge({ tag: 'description', attrs: {}, children: [], text: 'fine' });`;
const planned = async (host: Host, vmi: Vmi = VMI): Promise<string> =>
  toXml((await plan(host, vmi, TEST_FACTS)).domain);
const other = { ...VMI, metadata: { name: 'other', namespace: 'ns' } } as unknown as Vmi;

describe('a bad plugin, isolated', () => {
  it.each([
    ['spins without an end', 'for (;;);', 'VL_TAP_TIMEOUT', 'gave no answer in 1000 ms'],
    ['hangs', 'await new Promise((resolve) => setTimeout(resolve, 1e9));', 'VL_TAP_TIMEOUT', 'gave no answer'],
    ['throws', 'throw new Error("no reel");', 'VL_TAP_FAILED', 'no reel'],
    ['ends its process', 'process.exit(3);', 'VL_TAP_FAILED', 'its process ended (exit code 3)'],
    ['eats memory', 'const all = []; for (;;) all.push(new Array(1e5).fill(vmi));', undefined, 'plugin "'],
    [
      'sends nonsense',
      'process.send({ is: "answer", id: 1, value: 7 }); await new Promise(() => {});',
      'VL_TAP_FAILED',
      'no list of writes',
    ],
    [
      'writes where it does not declare',
      `domain.merge({ tag: 'memory', attrs: {}, children: [] });`,
      'VL_WRITE_UNDECLARED',
      'domain memory',
    ],
  ] as const)('that %s is survived, and serves the next VM', async (what, body, code, message) => {
    const name = `bad-${what.replaceAll(' ', '-')}`;
    const host = await bad(name, `if (vmi.metadata.name === 'vm') { ${body} }\n ${DESCRIBE}`);
    await expect(planned(host)).rejects.toMatchObject({
      ...(code === undefined ? {} : { code }),
      message: expect.stringContaining(message) as string,
    });
    expect(await planned(host, other)).toContain('<description>fine</description>');
  });

  it.each([
    ['reads files of the machine', `(await import('node:fs')).readFileSync('/etc/passwd');`],
    ['writes files', `(await import('node:fs')).writeFileSync('${folder}/written', 'x');`],
    ['starts programs', `(await import('node:child_process')).execFileSync('id');`],
    ['starts threads', `new (await import('node:worker_threads')).Worker('0', { eval: true });`],
  ])('that %s is refused by its process', async (what, body) => {
    const host = await bad(`bad-${what.replaceAll(' ', '-')}`, body);
    await expect(planned(host)).rejects.toMatchObject({
      code: 'VL_TAP_FAILED',
      message: expect.stringMatching(/[Pp]ermission|Access to this API has been restricted/) as string,
    });
    expect(() => readFileSync(join(folder, 'written'))).toThrow();
  });

  it('changes nobody’s VMI but its own copy', async () => {
    const host = await bad('bad-changes', `vmi.spec.domain.changed = true; ${DESCRIBE}`);
    const given = structuredClone(VMI);
    expect(await plan(host, given, TEST_FACTS).then(({ domain }) => toXml(domain))).toContain('fine');
    expect(given).toEqual(VMI);
  });

  it.each([
    [
      'a node side',
      `actions: async () => ({ actions: {} }),`,
      '',
      'it has actions, which an isolated plugin cannot have',
    ],
    ['controllers', '', 'controllers: () => [],', 'it has controllers, which an isolated plugin cannot have'],
  ])('with %s is refused at start', async (what, more, setup, message) => {
    await expect(bad(`bad-${what.replaceAll(' ', '-')}`, '', more, setup)).rejects.toMatchObject({
      code: 'VL_PLUGIN_LOAD',
      message: expect.stringContaining(message) as string,
    });
  });

  it('that cannot be loaded is told by name', async () => {
    const module = join(folder, 'broken.mjs');
    writeFileSync(module, 'throw new Error("never");');
    await expect(hostOf([{ name: 'broken', module, isolation: 'process' }], folder)).rejects.toThrow(
      'plugin "broken" could not be loaded',
    );
  });
});
