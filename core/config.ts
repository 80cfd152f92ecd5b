// The configuration: which plugins run, with which options. Checked by schema, wrong fields named.
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { fail, messageOf } from './errors.ts';

export interface PluginConfig {
  readonly name: string;
  /** A path (relative to the configuration file) or the name of an installed package; one that comes with Virtloom needs none. */
  readonly module?: string;
  readonly options: { readonly [key: string]: unknown };
  readonly failurePolicy: 'Fail' | 'Ignore';
  /** Milliseconds an asynchronous tap of the plugin may take. */
  readonly timeoutMs: number;
  /** `process`: the plugin runs in a process of its own, which may read its code and do nothing else to the machine. */
  readonly isolation: 'none' | 'process';
}

export interface Config {
  /** Where the configuration file is: installed plugins are looked for from there. */
  readonly directory: string;
  readonly plugins: readonly PluginConfig[];
  /** `auto` starts a guest to see whether hardware virtualization works. */
  readonly useEmulation: 'auto' | boolean;
  /** The image that holds libvirt and QEMU; the embedded platform brings its own. */
  readonly launcherImage?: string;
  /** Registries that may speak plain HTTP; loopback ones always may. */
  readonly insecureRegistries: readonly string[];
}

const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['plugins'],
  properties: {
    useEmulation: { enum: ['auto', true, false] },
    launcherImage: { type: 'string', minLength: 1 },
    insecureRegistries: { type: 'array', items: { type: 'string', minLength: 1 } },
    plugins: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name'],
        properties: {
          name: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' },
          module: { type: 'string', minLength: 1 },
          options: { type: 'object' },
          failurePolicy: { enum: ['Fail', 'Ignore'] },
          timeoutMs: { type: 'integer', minimum: 1 },
          isolation: { enum: ['none', 'process'] },
        },
      },
    },
  },
} as const;

interface RawConfig {
  plugins: (Pick<PluginConfig, 'name'> & Partial<PluginConfig>)[];
  useEmulation?: 'auto' | boolean;
  launcherImage?: string;
  insecureRegistries?: string[];
}

const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile<RawConfig>(SCHEMA);

/** Checks configuration text. `file` names it in errors and is what module paths are relative to. Throws VL_CONFIG_INVALID. */
export function parseConfig(text: string, file: string): Config {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    throw fail('VL_CONFIG_INVALID', { file, field: 'document', problem: messageOf(error) }, error);
  }
  if (!validate(raw)) {
    const problems = (validate.errors ?? []).map((error) => {
      const extra = error.keyword === 'additionalProperties' ? ` "${String(error.params['additionalProperty'])}"` : '';
      return `${error.instancePath.slice(1).replaceAll('/', '.') || 'document'}: ${error.message ?? 'invalid'}${extra}`;
    });
    const [first = 'document: invalid'] = problems;
    const colon = first.indexOf(': ');
    const field = first.slice(0, colon);
    throw fail('VL_CONFIG_INVALID', {
      file,
      field,
      problem: [first.slice(colon + 2), ...problems.slice(1)].join('; '),
    });
  }
  const base = dirname(resolve(file));
  return {
    directory: base,
    useEmulation: raw.useEmulation ?? 'auto',
    insecureRegistries: raw.insecureRegistries ?? [],
    ...(raw.launcherImage === undefined ? {} : { launcherImage: raw.launcherImage }),
    plugins: raw.plugins.map((plugin) => ({
      name: plugin.name,
      ...(plugin.module === undefined
        ? {}
        : { module: isPath(plugin.module) ? resolve(base, plugin.module) : plugin.module }),
      options: plugin.options ?? {},
      failurePolicy: plugin.failurePolicy ?? 'Fail',
      timeoutMs: plugin.timeoutMs ?? 10_000,
      isolation: plugin.isolation ?? 'none',
    })),
  };
}

function isPath(module: string): boolean {
  return module.startsWith('.') || isAbsolute(module);
}

export async function loadConfig(file: string): Promise<Config> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw fail('VL_CONFIG_INVALID', { file, field: 'file', problem: messageOf(error) }, error);
  }
  return parseConfig(text, file);
}
