// Virtloom and plugins as somebody installs them: built, packed, and installed by npm in an empty directory.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { ok } from './command.ts';
import { ROOT } from './platform.ts';

const MODULES = join(ROOT, 'node_modules');
/** What the author of a plugin has at hand: the published Virtloom, TypeScript and Node's types. */
const AUTHORS = ['typescript', '@types', 'eslint', 'typescript-eslint', 'vitest'];

export interface Installed {
  /** The directory with node_modules, virtloom.yaml and whatever else the user has. Remove it afterwards. */
  readonly directory: string;
  /** Program and first argument of the installed `virtloom`. */
  readonly cli: string[];
  /** Where an author of plugins works: what `npm install` brings them is there. */
  readonly author: string;
}

/** Builds and packs Virtloom, and each plugin against that, and installs them all. Takes half a minute. */
export async function install(plugins: readonly string[]): Promise<Installed> {
  const work = mkdtempSync(join(tmpdir(), 'vl-installed-'));
  const directory = join(work, 'user');
  const author = join(work, 'author');
  const packed = join(work, 'packed');
  for (const folder of [directory, packed, join(author, 'node_modules')]) mkdirSync(folder, { recursive: true });
  const node = process.execPath;
  await ok([node, join(ROOT, 'scripts/build.mjs')], { timeoutMs: 180_000 });
  await npm(['pack', join(ROOT, 'dist'), '--pack-destination', packed], work);
  for (const name of AUTHORS) symlinkSync(join(MODULES, name), join(author, 'node_modules', name));
  symlinkSync(join(ROOT, 'dist'), join(author, 'node_modules/virtloom'));
  symlinkSync(join(MODULES, '.bin'), join(author, 'node_modules/.bin'));
  for (const plugin of plugins) {
    const copy = join(author, basename(plugin));
    cpSync(plugin, copy, { recursive: true, filter: (file) => !/\/(dist|node_modules)$/.test(file) });
    await npm(['pack', '--pack-destination', packed], copy);
  }
  writeFileSync(join(directory, 'package.json'), '{ "name": "user", "private": true }\n');
  const archives = readdirSync(packed).map((file) => join(packed, file));
  await npm(['install', '--prefer-offline', '--no-audit', '--no-fund', ...archives], directory);
  const cli = join(directory, 'node_modules/virtloom/cli/virtloom.mjs');
  if (!existsSync(cli)) throw new Error(`npm installed no ${cli}`);
  return { directory, cli: [node, cli], author };
}

/** npm in a folder; gives what it says. */
export async function npm(args: readonly string[], cwd: string): Promise<string> {
  // npm has no option for it that all commands heed.
  return ok(['sh', '-c', 'cd "$1" && shift && exec npm "$@"', 'sh', cwd, ...args], { timeoutMs: 180_000 });
}
