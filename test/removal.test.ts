// A feature is its folder: without the folder and its config line the rest builds and runs, and its fields are refused by name.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { compose } from '../cli/compose.ts';
import { readManifests } from '../cli/manifests.ts';
import { DEFAULT_CONFIG, KNOWN_FIELDS, ROOT } from '../cli/paths.ts';
import { templateOf, vmiIn } from '../core/admission.ts';
import type { Host } from '../core/host.ts';
import type { Cause } from '../core/types.ts';
import { configWithout, pluginFolders, Tree } from './support/tree.ts';

const PROGRAM = fileURLToPath(new URL('support/judge-manifests.ts', import.meta.url));
const EXAMPLES = readdirSync(join(ROOT, 'examples'))
  .filter((file) => file.endsWith('.yaml'))
  .map((file) => join(ROOT, 'examples', file));
const FOLDERS = pluginFolders();

interface Judged {
  readonly file: string;
  readonly kind: string;
  readonly causes: readonly Cause[];
  readonly xml?: string;
}
interface Answer {
  readonly error?: string;
  readonly plugins: readonly string[];
  readonly kinds: readonly string[];
  readonly results: readonly Judged[];
}

let tree: Tree;
let host: Host;
beforeAll(async () => {
  tree = new Tree();
  ({ host } = await compose(DEFAULT_CONFIG, pino({ level: 'silent' })));
});
afterAll(() => tree.remove());

async function judge(away: readonly string[], config: readonly string[] = away): Promise<Answer> {
  const output = await tree.without(away, configWithout(config), PROGRAM, [tree.root, ...EXAMPLES]);
  expect(output.stderr).toBe('');
  return JSON.parse(output.stdout) as Answer;
}

/** The plugin and all that need it, whatever needs those. */
function withDependents(name: string): string[] {
  const away = new Set([name]);
  // Sets grow while they are walked.
  for (const gone of away) {
    for (const plugin of host.plugins) if (plugin.requires?.includes(gone)) away.add(plugin.name);
  }
  return [...away];
}

/** Every path of an object's VMI, lists as `disks[]`; and as it stands in the object. */
function* pathsIn(value: unknown, generic: string, exact: string): Generator<[generic: string, exact: string]> {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* pathsIn(item, `${generic}[]`, `${exact}[${index}]`);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      yield [`${generic}.${key}`, `${exact}.${key}`];
      yield* pathsIn(item, `${generic}.${key}`, `${exact}.${key}`);
    }
  }
}

/** Fields of the manifests that belong to these plugins, by file: path in the object to plugin. */
function usesOf(names: readonly string[]): Map<string, Map<string, string>> {
  const uses = new Map<string, Map<string, string>>();
  for (const file of EXAMPLES) {
    const found = new Map<string, string>();
    for (const object of readManifests(file)) {
      const template = templateOf(host, object.kind);
      const vmi = vmiIn(object, template);
      if (template === undefined || !vmi) continue;
      const at = template === '' ? 'spec' : `${template}.spec`;
      for (const [generic, exact] of pathsIn(vmi.spec, 'spec', at)) {
        const owner = host.fields.owners.get(generic);
        if (owner !== undefined && names.includes(owner)) found.set(exact, owner);
      }
    }
    uses.set(file, found);
  }
  return uses;
}

describe.each(FOLDERS)('without %s', (name) => {
  const dependents = (): string[] =>
    host.plugins.filter((plugin) => plugin.requires?.includes(name)).map((plugin) => plugin.name);

  it('what needs it says so, clearly', async () => {
    // Where nothing does, the next test shows that the rest starts.
    if (dependents().length === 0) return;
    const { error } = await judge([name]);
    expect(dependents().map((one) => `plugin "${one}" needs plugin "${name}", which is not enabled.`)).toContain(
      error?.slice(0, error.indexOf(' Add it')),
    );
  });

  it('every manifest that uses none of its fields runs, and in the others these fields are refused by name', async () => {
    const away = withDependents(name);
    const { error, plugins, kinds, results } = await judge(away);
    expect(error).toBeUndefined();
    expect([...plugins].sort()).toEqual(FOLDERS.filter((folder) => !away.includes(folder)).sort());
    const uses = usesOf(away);
    for (const { file, causes, xml } of results) {
      const used = uses.get(file) ?? new Map<string, string>();
      // A field within a field that is refused needs no cause of its own.
      const outer = [...used].filter(([field]) => ![...used.keys()].some((other) => field.startsWith(`${other}.`)));
      for (const [field, owner] of outer) {
        // Or the group that it is in, where the whole group went.
        const cause = causes.find((one) => one.field === field || field.startsWith(`${one.field}.`));
        expect(cause?.message, `${file}: ${field}`).toContain(`enable plugin "${owner}" or leave the field out`);
      }
      if (used.size === 0) {
        expect(causes, file).toEqual([]);
        expect(xml, file).toContain('<domain');
      }
    }
    const gone = host.kinds.map(({ resource }) => resource.kind).filter((kind) => !kinds.includes(kind));
    const expected = EXAMPLES.flatMap(readManifests).filter(
      ({ kind }) => templateOf(host, kind) !== undefined && !gone.includes(kind),
    );
    expect(results).toHaveLength(expected.length);
  });
});

it('a configuration that lists a plugin whose folder is gone is refused by name', async () => {
  const { error } = await judge(['cloud-init'], []);
  expect(error).toContain('plugin "cloud-init" could not be loaded');
});

it('every field of every plugin is known by its name, so that its refusal can say it', () => {
  const known = JSON.parse(readFileSync(KNOWN_FIELDS, 'utf8')) as Record<string, string>;
  const wrong = [...host.fields.owners].filter(([path, plugin]) => known[path] !== plugin);
  expect(wrong).toEqual([]);
});

it('every folder is a plugin of its own name in the configuration', () => {
  const { plugins } = parse(readFileSync(DEFAULT_CONFIG, 'utf8')) as { plugins: { name: string; module: string }[] };
  expect(plugins.map(({ name }) => name).sort()).toEqual([...FOLDERS].sort());
  for (const { name, module } of plugins) expect(module).toBe(`./plugins/${name}`);
});

it('the type checker finds nothing missing without it either', () => {
  const parsed = ts.getParsedCommandLineOfConfigFile(
    join(ROOT, 'tsconfig.json'),
    {},
    {
      ...ts.sys,
      onUnRecoverableConfigFileDiagnostic: () => undefined,
    },
  );
  if (!parsed) throw new Error('tsconfig.json cannot be read');
  // Tests may import anything; what is built is the rest.
  const names = parsed.fileNames.filter(
    (file) => /\/(core|plugins)\//.test(file) && !/\.test\.ts$|\/testing|\/fixtures/.test(file),
  );
  const compiler = ts.createCompilerHost(parsed.options);
  const read = compiler.getSourceFile.bind(compiler);
  const files = new Map<string, ts.SourceFile | undefined>();
  compiler.getSourceFile = (file, ...rest) => {
    if (!files.has(file)) files.set(file, read(file, ...rest));
    return files.get(file);
  };
  for (const name of FOLDERS) {
    const away = withDependents(name).map((one) => `/plugins/${one}/`);
    const isAway = (file: string): boolean => away.some((folder) => file.includes(folder));
    const rest = names.filter((file) => !isAway(file));
    const program = ts.createProgram(rest, parsed.options, compiler);
    const ours = program.getSourceFiles().filter((file) => rest.includes(file.fileName));
    expect(
      program
        .getSourceFiles()
        .map((file) => file.fileName)
        .filter(isAway),
    ).toEqual([]);
    const faults = ours.flatMap((file) => [...program.getSemanticDiagnostics(file)]);
    expect(
      faults.map(
        (fault) => `${fault.file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(fault.messageText, ' ')}`,
      ),
    ).toEqual([]);
  }
}, 60_000);
