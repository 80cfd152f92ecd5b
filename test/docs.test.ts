// The documents: links lead somewhere, files that are named exist, the README's plugin works, error codes are all explained.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { hookReference } from '../scripts/hook-reference.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DOCUMENTS = readdirSync(ROOT)
  .filter((name) => !name.startsWith('.') && name !== 'node_modules' && name !== 'dist')
  .flatMap((name) => {
    if (!statSync(join(ROOT, name)).isDirectory()) return [name];
    return readdirSync(join(ROOT, name), { recursive: true }).map((below) => join(name, String(below)));
  })
  .filter((file) => file.endsWith('.md') && !file.includes('node_modules'));

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** Text without fenced and indented code. */
function prose(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```$/gm, '').replace(/^ {4}.*$/gm, '');
}

/** The fenced blocks of a language, in order. */
function blocks(markdown: string, language: string): string[] {
  return [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , code]) => code ?? '');
}

describe.each(DOCUMENTS)('%s', (document) => {
  const text = prose(read(document));

  it('links to what is there', () => {
    const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target]) => target ?? '');
    const local = targets.filter((target) => !/^[a-z]+:/.test(target));
    expect(local.filter((target) => !existsSync(join(ROOT, dirname(document), target)))).toEqual([]);
  });

  it('names files that are there', () => {
    const rooms = 'core|agent|cli|embedded|webhooks|subresources|launcher|plugins|docs|test|bench|examples|scripts';
    const named = [...text.matchAll(new RegExp(`\`((?:${rooms})/[\\w./-]+)\``, 'g'))].map(([, file]) => file ?? '');
    const there = (file: string) =>
      existsSync(join(ROOT, file)) ||
      existsSync(join(ROOT, `${file}.md`)) ||
      existsSync(join(ROOT, dirname(document), file));
    expect(named.filter((file) => !there(file))).toEqual([]);
  });
});

describe('README.md', () => {
  const directory = mkdtempSync(join(tmpdir(), 'vl-docs-'));
  const config = join(directory, 'virtloom.yaml');
  const manifest = join(directory, 'vmi.yaml');
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  beforeAll(() => {
    const folder = join(directory, 'panic');
    mkdirSync(join(folder, 'node_modules'), { recursive: true });
    // As npm install <folder> does.
    symlinkSync(ROOT, join(folder, 'node_modules/virtloom'));
    writeFileSync(join(folder, 'index.ts'), blocks(read('README.md'), 'ts')[0] ?? '');
    const { plugins } = parse(read('virtloom.yaml')) as { plugins: { name: string; module: string }[] };
    const absolute = plugins.map(({ name, module }) => ({ name, module: join(ROOT, module) }));
    writeFileSync(config, stringify({ plugins: [...absolute, { name: 'panic', module: folder }] }));
    writeFileSync(manifest, stringify(vmiWith([{}])));
  });

  function vmiWith(panicDevices: unknown): object {
    return {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachineInstance',
      metadata: { name: 'fragile' },
      spec: { domain: { memory: { guest: '64Mi' }, devices: { panicDevices } } },
    };
  }

  function virtloom(...args: string[]) {
    return spawnSync(process.execPath, [join(ROOT, 'cli/virtloom.mjs'), ...args], { encoding: 'utf8' });
  }

  it('has a plugin that works', () => {
    const domain = virtloom('render', '-f', manifest, '--config', config);
    expect(domain.stderr).toBe('');
    expect(domain.stdout).toContain('<panic model="isa"/>');
    expect(virtloom('explain', '-f', manifest, '--config', config).stdout).toMatch(
      /devices\/panic\/@model = isa +panic prepareDomain\.main, spec\.domain\.devices\.panicDevices\[0\]$/m,
    );
  });

  it('has a plugin whose field is checked, and refused without it', () => {
    const wrong = join(directory, 'wrong.yaml');
    writeFileSync(wrong, stringify(vmiWith([{ model: 'sudden' }])));
    const refused = virtloom('render', '-f', wrong, '--config', config);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('spec.domain.devices.panicDevices[0].model: FieldValueNotSupported');
    expect(virtloom('render', '-f', manifest).stderr).toContain('belongs to plugin "panic"');
  });

  it('says of each plugin what the plugin says of itself', () => {
    const rows = [...read('README.md').matchAll(/^\| \[([\w-]+)\]\(plugins\/[\w-]+\/README\.md\) \| (.*) \|$/gm)];
    const listed = virtloom('plugins').stdout.trimEnd().split('\n').slice(1);
    expect(rows.map(([, name, summary]) => `${name}: ${summary}`)).toEqual(
      listed.map((line) => line.split(/ {2,}/)).map((cells) => `${cells[1]}: ${cells[5]}`),
    );
  });

  it('names the two commands', () => {
    expect(read('README.md')).toMatch(/^ {4}npm start\b/m);
    expect(read('README.md')).toMatch(/^ {4}npm test\b/m);
  });
});

describe('docs/errors.md', () => {
  it('explains every code, and no other', () => {
    const thrown = [...read('core/errors.ts').matchAll(/^ {2}(VL_\w+):/gm)].map(([, code]) => code);
    const explained = [...read('docs/errors.md').matchAll(/^\| `(VL_\w+)` \|/gm)].map(([, code]) => code);
    expect(explained).toEqual(thrown);
  });
});

it('docs/hooks.md is what the types say', () => {
  expect(read('docs/hooks.md')).toBe(hookReference());
});
