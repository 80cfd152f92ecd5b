// `virtloom plugin test`: the conformance kit on a plugin in a folder, beside those of the configuration.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { conformance } from '../conformance/conformance.ts';
import { loadConfig } from '../core/config.ts';
import { loadPlugin, loadPlugins } from '../core/modules.ts';
import { Exit, REFUSED, USAGE } from './exit.ts';

export interface PluginTestOptions {
  readonly config: string;
  readonly vmis: number;
  readonly seed?: number;
}

export async function testPlugin(folder: string, options: PluginTestOptions): Promise<void> {
  const directory = resolve(folder);
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory())
    throw new Exit(USAGE, `${folder}: no such folder`);
  const config = await loadConfig(options.config);
  const plugin = await loadPlugin(directory, directory);
  const others = await loadPlugins(
    config.plugins.filter(({ name }) => name !== plugin.name),
    config.directory,
  );
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const entries = [...others, { plugin }];
  const findings = await conformance({ entries, name: plugin.name, vmis: options.vmis, seed });
  process.stdout.write(`${plugin.name} ${plugin.version}\n`);
  for (const { check, detail, problem } of findings) {
    process.stdout.write(
      `${problem === undefined ? '  ok  ' : 'FAIL  '}${check}${detail === '' ? '' : ` (${detail})`}\n`,
    );
    if (problem !== undefined) process.stdout.write(`      ${problem}\n`);
  }
  const failed = findings.filter(({ problem }) => problem !== undefined).length;
  if (failed > 0)
    throw new Exit(REFUSED, `${failed} of ${findings.length} checks failed. The same again: --seed ${seed}`);
}
