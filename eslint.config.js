import { existsSync, readdirSync } from 'node:fs';
import tseslint from 'typescript-eslint';

// Who may import whom: DESIGN's table of rooms. A room may always import itself.
const ROOMS = {
  core: [],
  webhooks: ['core'],
  subresources: ['core'],
  agent: ['core'],
  telemetry: ['core'],
  conformance: ['core'],
  launcher: [],
};
const ALL = ['core', 'plugins', 'webhooks', 'subresources', 'agent', 'telemetry', 'conformance', 'launcher', 'embedded', 'cli', 'console'];

const forbid = (rooms, why) => ({
  patterns: rooms.map((room) => ({ group: [`**/${room}/**`, `!./**`], message: why })),
});

const roomRules = Object.entries(ROOMS).map(([room, allowed]) => ({
  files: [`${room}/**/*.ts`],
  ignores: ['**/*.test.ts'],
  rules: {
    'no-restricted-imports': [
      'error',
      forbid(
        ALL.filter((other) => other !== room && !allowed.includes(other)),
        `${room}/ may import only: ${allowed.join(', ') || 'nothing of ours'}.`,
      ),
    ],
  },
}));

// A plugin meets the core through its public entry, and never another plugin.
const plugins = existsSync('plugins')
  ? readdirSync('plugins', { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
  : [];
const pluginRules = plugins.map((plugin) => ({
  files: [`plugins/${plugin}/**/*.ts`],
  ignores: ['**/*.test.ts'],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            group: ['**/core/**', '!**/core/index.ts'],
            message: 'A plugin imports the core through core/index.ts only.',
          },
          {
            regex: `^(\\.\\./)+(${[...plugins.filter((other) => other !== plugin), ...ALL.filter((r) => r !== 'core' && r !== 'plugins')].join('|')})/`,
            message: 'A plugin imports neither another plugin nor another room.',
          },
        ],
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ['node_modules/**', '.cache/**', 'coverage/**', 'dist/**', 'examples/plugins/*/dist/**'] },
  ...tseslint.configs.strict,
  {
    rules: {
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-invalid-void-type': 'off',
      '@typescript-eslint/no-dynamic-delete': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
    },
  },
  { files: ['**/*.test.ts', 'bench/**'], rules: { 'max-lines': 'off' } },
  ...roomRules,
  {
    files: ['embedded/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(${ALL.filter((r) => r !== 'embedded' && r !== 'core').join('|')})/`,
              message: 'embedded/ imports core/kube only.',
            },
            { regex: '^(\\.\\./)+core/(?!kube/)', message: 'embedded/ imports core/kube only.' },
          ],
        },
      ],
    },
  },
  ...pluginRules,
);
