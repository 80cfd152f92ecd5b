// The composition root: the one place where the configuration's plugins and the core's host meet.
import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { loadConfig, type Config } from '../core/config.ts';
import { createHost, type Host, type HostOptions } from '../core/host.ts';
import { loadPlugins } from '../core/modules.ts';
import type { KnownFields } from '../core/schema.ts';
import { KNOWN_FIELDS } from './paths.ts';

export interface Composed {
  readonly config: Config;
  readonly host: Host;
}

/** Loads the configuration and the plugins it lists. Throws VirtloomError (VL_CONFIG_*, VL_PLUGIN_*, VL_*_CLASH). */
export async function compose(
  configFile: string,
  log: Logger,
  options: Pick<HostOptions, 'list' | 'metrics' | 'onTap' | 'onStep'> = {},
): Promise<Composed> {
  const config = await loadConfig(configFile);
  const [entries, known] = await Promise.all([
    loadPlugins(config.plugins, config.directory),
    readFile(KNOWN_FIELDS, 'utf8'),
  ]);
  const host = createHost(entries, { log, knownFields: JSON.parse(known) as KnownFields, ...options });
  return { config, host };
}
