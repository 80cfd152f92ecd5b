// `virtloom plugin create`: a package with a plugin that works, to begin from.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CORE_API } from '../core/plugin.ts';
import { Exit, REFUSED, USAGE } from './exit.ts';
import { ROOT } from './paths.ts';

const NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

/** Makes the folder `name` with the package in it. Throws Exit where there is one, or the name cannot be a plugin's. */
export function createPlugin(name: string): void {
  if (!NAME.test(name)) {
    throw new Exit(USAGE, `"${name}" is no name for a plugin: small letters, digits and dashes, a letter first`);
  }
  const folder = resolve(name);
  try {
    mkdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Exit(REFUSED, `${name}: there is something of that name already; choose another, or remove it`);
  }
  for (const [file, text] of Object.entries(filesOf(name))) writeFileSync(join(folder, file), text);
  process.stdout.write(`${name}/ is made. Next:

  npx virtloom plugin test ${name}    # the contract, on random VMIs
  cd ${name} && npm install
  npm test                            # type check, lint, unit tests
  npm pack                            # builds it, and packs it to be installed beside Virtloom
`);
}

function filesOf(name: string): Record<string, string> {
  const field = name.replace(/-+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  const { version, devDependencies = {} } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    version: string;
    devDependencies?: Record<string, string>;
  };
  const tool = (of: string, otherwise: string): string => devDependencies[of] ?? otherwise;
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  return {
    'package.json': json({
      name: `virtloom-${name}`,
      version: '0.1.0',
      description: `Virtloom plugin: ${name}`,
      type: 'module',
      main: './dist/index.js',
      exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
      files: ['dist', 'README.md'],
      scripts: { build: 'tsc -p .', prepack: 'npm run build', test: 'tsc -p . --noEmit && eslint . && vitest run' },
      keywords: ['virtloom-plugin'],
      peerDependencies: { virtloom: `^${version}` },
      devDependencies: {
        '@types/node': tool('@types/node', '^24.0.0'),
        eslint: tool('eslint', '^10.0.0'),
        typescript: tool('typescript', '5.9'),
        'typescript-eslint': tool('typescript-eslint', '^8.0.0'),
        vitest: tool('vitest', '^4.0.0'),
      },
    }),
    'tsconfig.json': json({
      compilerOptions: {
        target: 'esnext',
        module: 'nodenext',
        strict: true,
        noUncheckedIndexedAccess: true,
        exactOptionalPropertyTypes: true,
        verbatimModuleSyntax: true,
        rewriteRelativeImportExtensions: true,
        declaration: true,
        skipLibCheck: true,
        types: ['node'],
        rootDir: '.',
        outDir: 'dist',
      },
      include: ['*.ts'],
      exclude: ['*.test.ts'],
    }),
    'eslint.config.js': `import tseslint from 'typescript-eslint';

export default tseslint.config({ ignores: ['dist/**'] }, ...tseslint.configs.strict);
`,
    '.gitignore': 'node_modules/\ndist/\n',
    'README.md': `# ${name}

Gives a VMI panic devices, through which a dying guest kernel tells the host. Make it do what you need.

    spec:
      domain:
        devices:
          ${field}: [{ model: isa }]

Switch it on in Virtloom's configuration:

    plugins:
      - { name: ${name}, module: virtloom-${name}, options: { defaultModel: isa } }
`,
    'index.ts': `// ${name}: what a VM gains by this plugin, in a line.
import { definePlugin, el } from 'virtloom/plugin';

const MODEL = { type: 'string', enum: ['isa', 'hyperv'] } as const;

export default definePlugin({
  name: '${name}',
  version: '0.1.0',
  core: '^${CORE_API}',
  summary: 'panic devices, through which a dying guest kernel tells the host',
  // What the operator may set in the configuration; checked, with defaults filled in.
  options: {
    type: 'object',
    additionalProperties: false,
    properties: { defaultModel: { ...MODEL, default: 'isa' } },
  },
  // What of the launcher pod and of libvirt's domain the hooks below write. Anything else is refused.
  writes: { domain: ['devices/panic'] },
  // The fields that users may set. The hooks know their types from here.
  api: [
    {
      path: 'spec.domain.devices.${field}',
      schema: { type: 'array', items: { type: 'object', properties: { model: MODEL } } },
    },
  ],
  setup: (_, options) => ({
    // Before a VM is stored: say what is wrong with it, all at once.
    admit({ vmi, at }) {
      const devices = vmi?.spec.domain.devices?.${field} ?? [];
      const field = at('spec.domain.devices.${field}');
      return devices.length > 1
        ? [{ field, reason: 'FieldValueInvalid', message: \`\${field} has \${devices.length} devices, and a guest uses one\` }]
        : [];
    },

    // When its launcher pod and domain are planned: add to them. The same input must give the same output.
    prepareDomain({ vmi }, plan) {
      for (const { model = options.defaultModel } of vmi.spec.domain.devices?.${field} ?? []) {
        plan.domain.device(el('panic', { model }));
      }
    },
  }),
});
`,
    'index.test.ts': `import { expect, it } from 'vitest';
import { admitFor, planFor } from 'virtloom/plugin/testing';
import plugin from './index.ts';

const vmi = (...devices: object[]) => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'vm', namespace: 'default' },
  spec: { domain: { devices: { ${field}: devices } } },
});

it('adds the device', async () => {
  const { xml } = await planFor({ plugins: [plugin], vmi: vmi({ model: 'hyperv' }) });
  expect(xml).toContain('<panic model="hyperv"/>');
});

it('takes the operator’s model where the VM says none', async () => {
  const options = { defaultModel: 'hyperv' };
  const { xml } = await planFor({ plugins: [{ plugin, options }], vmi: vmi({}) });
  expect(xml).toContain('<panic model="hyperv"/>');
});

it('refuses two', async () => {
  const { causes } = await admitFor({ plugins: [plugin], object: vmi({}, {}) });
  expect(causes.map(({ field }) => field)).toEqual(['spec.domain.devices.${field}']);
});
`,
  };
}
