// A plugin's options as the configuration has them, checked by the plugin's own schema, defaults filled in.
import { Ajv } from 'ajv';
import { fail } from './errors.ts';
import type { Plugin } from './plugin.ts';

/** Keywords of API slices that options may share with them; checked by the JSON Schema beside them. */
export const SHARED_KEYWORDS = ['x-kubernetes-int-or-string'];

/** Throws VL_PLUGIN_OPTIONS. */
export function checkedOptions(plugin: Plugin, given: { readonly [key: string]: unknown }): { [key: string]: unknown } {
  const copy = structuredClone(given) as { [key: string]: unknown };
  const schema = plugin.options ?? { type: 'object', additionalProperties: false };
  const validate = new Ajv({ allErrors: true, useDefaults: true, keywords: SHARED_KEYWORDS }).compile(schema);
  if (!validate(copy)) {
    const problem = (validate.errors ?? [])
      .map((error) => {
        const extra =
          error.keyword === 'additionalProperties' ? ` "${String(error.params['additionalProperty'])}"` : '';
        return `${error.instancePath.slice(1).replaceAll('/', '.') || 'options'} ${error.message ?? 'is invalid'}${extra}`;
      })
      .join('; ');
    throw fail('VL_PLUGIN_OPTIONS', { plugin: plugin.name, problem });
  }
  return copy;
}
