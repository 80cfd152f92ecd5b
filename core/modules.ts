// The plugins' modules: what the configuration calls them, found, imported and looked at.
import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import semver from 'semver';
import type { PluginConfig } from './config.ts';
import { fail, messageOf, type VirtloomError } from './errors.ts';
import type { PluginEntry } from './host.ts';
import { isolated } from './isolation/isolated.ts';
import type { Plugin } from './plugin.ts';

/** Of this package: plugins that are installed beside it are found although the configuration is elsewhere. */
const OWN = createRequire(import.meta.url);
const OWN_PACKAGE = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const ENTRIES = ['index.ts', 'index.js'];

/** Imports the plugins that the configuration in `directory` lists. Throws VL_PLUGIN_LOAD or VL_PLUGIN_SHAPE. */
export async function loadPlugins(configs: readonly PluginConfig[], directory: string): Promise<PluginEntry[]> {
  return Promise.all(
    configs.map(async ({ name, module, isolation, ...rest }) => {
      const plugin =
        isolation === 'process'
          ? await loadIsolated({ name, module, ...rest }, directory)
          : await load(name, module, directory);
      if (plugin.name !== name) {
        throw fail('VL_PLUGIN_SHAPE', { plugin: name, problem: `its module calls itself "${plugin.name}"` });
      }
      return { plugin, ...rest };
    }),
  );
}

/** Imports the one plugin that `module` is, whatever it calls itself. Throws as loadPlugins(). */
export function loadPlugin(module: string, directory: string): Promise<Plugin> {
  return load(module, module, directory);
}

async function load(name: string, module: string | undefined, directory: string): Promise<Plugin> {
  let loaded: { default?: unknown };
  try {
    loaded = (await import(urlOf(name, module, directory))) as { default?: unknown };
  } catch (error) {
    throw unloadable(name, module, error);
  }
  return shaped(name, loaded.default);
}

type Alone = Pick<PluginConfig, 'name' | 'options' | 'timeoutMs'> & { readonly module: string | undefined };

async function loadIsolated({ name, module, options, timeoutMs }: Alone, directory: string): Promise<Plugin> {
  let url: string;
  try {
    url = urlOf(name, module, directory);
  } catch (error) {
    throw unloadable(name, module, error);
  }
  // Its own package, the configuration's packages, and Virtloom's.
  const readable = [packageOf(fileURLToPath(url)), join(directory, 'node_modules'), OWN_PACKAGE];
  const plugin = await isolated({ name, url, options, timeoutMs, readable: readable.map((path) => `${path}/*`) });
  return shaped(name, plugin);
}

function urlOf(name: string, module: string | undefined, directory: string): string {
  return module === undefined ? ownModule(name) : resolveModule(module, directory);
}

function unloadable(name: string, module: string | undefined, error: unknown): VirtloomError {
  return fail('VL_PLUGIN_LOAD', { plugin: name, module: module ?? 'Virtloom itself', cause: messageOf(error) }, error);
}

/** The folder with the package.json that a file belongs to; its own where there is none. */
function packageOf(file: string): string {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
  }
  return dirname(file);
}

/** A plugin as far as the host relies on it. Throws VL_PLUGIN_SHAPE. */
function shaped(name: string, value: unknown): Plugin {
  const problem = (text: string): VirtloomError => fail('VL_PLUGIN_SHAPE', { plugin: name, problem: text });
  if (typeof value !== 'object' || value === null || typeof (value as Plugin).setup !== 'function') {
    throw problem('its default export is not made by definePlugin()');
  }
  const plugin = value as Plugin;
  for (const key of ['name', 'version', 'core', 'summary'] as const) {
    if (typeof plugin[key] !== 'string') throw problem(`it does not say its ${key}`);
  }
  if (semver.valid(plugin.version) === null) throw problem(`its version "${plugin.version}" is not a semantic version`);
  if (semver.validRange(plugin.core) === null)
    throw problem(`core "${plugin.core}" is not a range of semantic versions`);
  return plugin;
}

/**
 * The URL of `module`: a file, a folder with an index.ts or index.js or a package in it, or the name of a package that
 * is installed where `directory` (the configuration's) finds it, else beside Virtloom. Throws where there is none.
 */
export function resolveModule(module: string, directory: string): string {
  if (isAbsolute(module)) return pathToFileURL(fileOf(module)).href;
  const from = createRequire(join(directory, 'x.js'));
  try {
    return pathToFileURL(from.resolve(module)).href;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    try {
      return pathToFileURL(OWN.resolve(module)).href;
    } catch {
      throw new Error(`no package "${module}" is installed: npm install it beside the configuration`);
    }
  }
}

/** The plugin of this name that comes with Virtloom. */
function ownModule(name: string): string {
  const folder = fileURLToPath(new URL(`../plugins/${name}`, import.meta.url));
  if (!existsSync(folder)) throw new Error('no plugin of this name comes with it: say its module');
  return pathToFileURL(fileOf(folder)).href;
}

function fileOf(path: string): string {
  if (!statSync(path).isDirectory()) return path;
  const entry = ENTRIES.map((name) => join(path, name)).find((file) => existsSync(file));
  return entry ?? OWN.resolve(path);
}
