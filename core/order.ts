// The order of plugins: a topological sort of before/after/requires that keeps the listed order where nothing else is said.
import { fail } from './errors.ts';
import type { Plugin } from './plugin.ts';

/** Sorts `plugins`. Throws VL_PLUGIN_TWICE, VL_PLUGIN_MISSING, VL_PLUGIN_CONFLICT or VL_PLUGIN_CYCLE, naming the plugins. */
export function orderPlugins(plugins: readonly Plugin[]): Plugin[] {
  const byName = new Map<string, Plugin>();
  for (const plugin of plugins) {
    if (byName.has(plugin.name)) throw fail('VL_PLUGIN_TWICE', { plugin: plugin.name });
    byName.set(plugin.name, plugin);
  }
  const earlier = new Map<string, Set<string>>(plugins.map((plugin) => [plugin.name, new Set<string>()]));
  for (const plugin of plugins) {
    for (const name of plugin.conflicts ?? []) {
      if (byName.has(name)) throw fail('VL_PLUGIN_CONFLICT', { plugin: plugin.name, other: name });
    }
    for (const name of plugin.requires ?? []) {
      if (!byName.has(name)) throw fail('VL_PLUGIN_MISSING', { plugin: plugin.name, needs: name });
      // A need alone says nothing about order where the needed one asks to come later.
      if (!byName.get(name)?.after?.includes(plugin.name) && !plugin.before?.includes(name)) {
        earlier.get(plugin.name)?.add(name);
      }
    }
    for (const name of plugin.after ?? []) if (byName.has(name)) earlier.get(plugin.name)?.add(name);
    for (const name of plugin.before ?? []) earlier.get(name)?.add(plugin.name);
  }

  const sorted: Plugin[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const visit = (plugin: Plugin, trail: string[]): void => {
    if (state.get(plugin.name) === 'done') return;
    if (state.get(plugin.name) === 'open') {
      const cycle = [...trail.slice(trail.indexOf(plugin.name)), plugin.name];
      throw fail('VL_PLUGIN_CYCLE', { cycle: cycle.reverse().join(' -> ') });
    }
    state.set(plugin.name, 'open');
    for (const other of plugins) {
      if (earlier.get(plugin.name)?.has(other.name)) visit(other, [...trail, plugin.name]);
    }
    state.set(plugin.name, 'done');
    sorted.push(plugin);
  };
  for (const plugin of plugins) visit(plugin, []);
  return sorted;
}
