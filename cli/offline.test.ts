// render, explain and plugins as commands: what is printed where, and the exit codes 0, 1 and 2.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { Exit } from './exit.ts';
import { readManifests } from './manifests.ts';
import { DEFAULT_CONFIG } from './paths.ts';
import { render } from './render.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const EXAMPLE = fileURLToPath(new URL('../examples/vmi-tiny.yaml', import.meta.url));
const VM = fileURLToPath(new URL('../examples/vm-tiny.yaml', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'vl-cli-'));
afterAll(() => rmSync(directory, { recursive: true }));

interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function virtloom(args: readonly string[], input = ''): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: directory });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    // Whoever is not interested in its input may have ended before it is written.
    child.stdin.on('error', () => undefined);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
    child.stdin.end(input);
  });
}

function fileOf(name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

const vmi = (spec: string): string =>
  `apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec: ${spec}\n`;

describe('virtloom render', () => {
  it('prints the domain', async () => {
    const { code, stdout, stderr } = await virtloom(['render', '-f', EXAMPLE]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^<domain type="qemu"[^]*<name>default_vmi-tiny<\/name>[^]*<\/domain>\n$/);
  });

  it('prints the pod, and the whole plan, of a VirtualMachine, for hardware too', async () => {
    const pod = await virtloom(['render', '-f', VM, '-o', 'pod']);
    expect(parseAllDocuments(pod.stdout).map((one) => one.toJS() as object)).toMatchObject([{ kind: 'Pod' }]);
    // What is deprecated is said, and where it does not disturb.
    expect(pod.stderr).toBe('Warning: spec.running is deprecated, please use spec.runStrategy instead.\n');
    const plan = await virtloom(['render', '-f', VM, '-o', 'plan', '--no-emulation']);
    expect(parseAllDocuments(plan.stdout)[0]?.toJS()).toMatchObject({
      vmi: { kind: 'VirtualMachineInstance' },
      pod: { kind: 'Pod' },
      domain: expect.stringContaining('<domain type="kvm"') as string,
    });
  });

  it('names what will rewrite the domain, by objects of the same file too', async () => {
    const file = fileURLToPath(new URL('../examples/vmi-plugin-objects.yaml', import.meta.url));
    const plan = await virtloom(['render', '-f', file, '-o', 'plan']);
    const { rewrites } = parseAllDocuments(plan.stdout)[0]?.toJS() as { rewrites: { by: { field: string } }[] };
    expect(rewrites.map(({ by }) => by.field)).toEqual([
      'Plugin/asset-tag spec.domainHooks[0]',
      'Plugin/watchdog spec.domainHooks[0]',
    ]);
    const { stdout } = await virtloom(['explain', '-f', file]);
    expect(stdout).toMatch(/^# rewrites .*\n.*asset-tag\/0 .*Plugin\/asset-tag.*\n.*watchdog\/0 .*Plugin\/watchdog/m);
  });

  it('reads standard input, several documents and lists', async () => {
    const one = JSON.parse(
      JSON.stringify({
        apiVersion: 'kubevirt.io/v1',
        kind: 'VirtualMachineInstance',
        metadata: { name: 'b' },
        spec: { domain: { memory: { guest: '64Mi' } } },
      }),
    ) as object;
    const list = JSON.stringify({ kind: 'List', apiVersion: 'v1', items: [one] });
    const { code, stdout } = await virtloom(
      ['render', '-f', '-'],
      `${vmi('{domain: {memory: {guest: 64Mi}}}')}---\n---\n${list}`,
    );
    expect(code).toBe(0);
    expect([...stdout.matchAll(/<name>(default_\w)<\/name>/g)].map(([, name]) => name)).toEqual([
      'default_a',
      'default_b',
    ]);
  });

  it('refuses with 1, and tells every cause on a line of its own', async () => {
    const file = fileOf(
      'bad.yaml',
      vmi('{domain: {memory: {guest: "0"}, cpu: {cores: -1}, x: 1, devices: {tpm: {}}}}'),
    );
    const { code, stdout, stderr } = await virtloom(['render', '-f', file]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(line).toMatch(/^spec\.[\w.[\]]+: FieldValue\w+: \S/);
    expect(stderr).toContain('spec.domain.devices.tpm: FieldValueNotSupported: ');
    expect(stderr).toContain('enable plugin "tpm"');
  });

  it.each([
    [
      'no spec',
      'kind: VirtualMachineInstance\napiVersion: kubevirt.io/v1\nmetadata: {name: a}\n',
      'spec: FieldValueRequired: ',
    ],
    ['no domain', vmi('{}'), 'spec.domain: FieldValueRequired: '],
    ['a domain of text', vmi('{domain: big}'), 'spec.domain: FieldValueInvalid: '],
  ])('refuses a VMI with %s by its field', async (name, text, expected) => {
    const filename = fileOf(`${name}.yaml`, text);
    const options = { filename, config: DEFAULT_CONFIG, emulation: true, output: 'domain' as const };
    const refusal = await render(options).then(
      () => undefined,
      (error: unknown) => error as Exit,
    );
    expect(refusal).toMatchObject({ code: 1 });
    expect(refusal?.message).toContain(expected);
    expect(refusal?.message.split('\n')).toHaveLength(1);
  });

  it.each([
    ['a file that is not there', ['render', '-f', 'nowhere.yaml'], 'nowhere.yaml: ENOENT'],
    ['an output of no kind', ['render', '-f', EXAMPLE, '-o', 'image'], 'Allowed choices are domain, pod, plan'],
    ['an unknown option', ['render', '-f', EXAMPLE, '--fast'], "unknown option '--fast'"],
    ['an unknown verb', ['melt'], "unknown command 'melt'"],
    ['a port that is none', ['up', '--port', '70000'], 'a port between 0 and 65535 is needed'],
    ['a grace period that is none', ['stop', 'a', '--grace-period', 'soon'], 'a whole number of seconds is needed'],
  ])('ends with 2 for %s', async (_, args, expected) => {
    const { code, stdout, stderr } = await virtloom(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(expected);
  });

  it.each([
    ['broken YAML', 'a: [', 'Flow sequence'],
    ['text', 'hello', 'a document is no Kubernetes object'],
    ['a list', '- 1\n- 2\n', 'a document is no Kubernetes object'],
    ['no metadata', 'kind: VirtualMachineInstance\n', 'kind and metadata are needed'],
    ['metadata of null', 'kind: VirtualMachineInstance\nmetadata:\n', 'kind and metadata are needed'],
    ['nothing', '---\n---\n', 'holds no object'],
    ['a list of null', 'kind: List\nitems: [null]\n', 'a document is no Kubernetes object'],
    [
      'aliases of aliases',
      `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefgh'.replace(/./g, (name) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${String.fromCharCode(name.charCodeAt(0) - 1)}`).join(', ')}]\n`)}`,
      'alias',
    ],
  ])('ends with 2 for a file that holds %s', (name, text, expected) => {
    const file = fileOf(`${name}.yaml`, text);
    const read = (): unknown => readManifests(file);
    expect(read).toThrow(expect.objectContaining({ code: 2, message: expect.stringContaining(`${file}: `) as string }));
    expect(read).toThrow(expected);
  });

  it('ends with 2 for a file that holds other kinds only', async () => {
    const filename = fileOf('pod.yaml', 'kind: Pod\nmetadata: {name: a}\n');
    const options = { filename, config: DEFAULT_CONFIG, emulation: true, output: 'domain' as const };
    const message = `${filename}: no VirtualMachine or VirtualMachineInstance`;
    await expect(render(options)).rejects.toMatchObject({ code: 2, message });
  });
});

describe('virtloom explain', () => {
  it('names the plugin behind each part', async () => {
    const { code, stdout, stderr } = await virtloom(['explain', '-f', EXAMPLE]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const title of ['domain', 'pod', 'defaults', 'node steps', 'memory besides the guest']) {
      expect(stdout).toMatch(new RegExp(`^# .*${title}$`, 'm'));
    }
    const domain = stdout.slice(stdout.indexOf('# domain'), stdout.indexOf('# pod')).trimEnd().split('\n').slice(1);
    // Every line of the domain ends with its maker.
    for (const line of domain) expect(line).toMatch(/ = .* {2}[a-z-]+ \S+/);
    expect(stdout).toMatch(/^devices\/interface\[default\]\/@type = ethernet +interfaces prepareDomain\.main$/m);
    expect(stdout).toMatch(/^memory\/text\(\) = \d+ +compute prepareDomain\.first, spec\.domain\.memory\.guest$/m);
    expect(stdout).toMatch(/^spec\.domain\.cpu\.model = host-model +compute defaultPreset, the default CPU model$/m);
    expect(stdout).toMatch(/^\d+ MiB in all$/m);
  });

  interface Explained {
    readonly plugins: Readonly<Record<string, string>>;
    readonly lines: readonly { section: string; path: string; value: string; by: { plugin: string } }[];
  }
  const asJson = async (...args: string[]): Promise<Explained[]> =>
    JSON.parse((await virtloom(['explain', '-f', EXAMPLE, '-o', 'json', ...args])).stdout) as Explained[];

  it('is for programs too, and says the same as YAML', async () => {
    const [whole] = await asJson();
    expect(whole).toMatchObject({ kind: 'VirtualMachineInstance', namespace: 'default', name: 'vmi-tiny' });
    expect(whole?.plugins).toMatchObject({ compute: '1.0.0' });
    const sections = [...new Set(whole?.lines.map(({ section }) => section))];
    expect(sections).toEqual(['domain', 'pod', 'defaults', 'steps', 'memory']);
    const yaml = await virtloom(['explain', '-f', EXAMPLE, '-o', 'yaml']);
    expect(parseAllDocuments(yaml.stdout)[0]?.toJS()).toEqual([whole]);
  });

  it.each([
    ['devices/disk*', /^devices\/disk\[/],
    ['devices/disk[rootdisk]', /^devices\/disk\[rootdisk\]/],
    ['memory', /^memory\//],
    ['spec.containers[name=compute].image', /^spec\.containers\[name=compute\]\.image$/],
    ['*/@type', /\/@type$/],
  ])('keeps to the path %s', async (path, expected) => {
    const [found] = await asJson('--path', path);
    expect(found?.lines.length).toBeGreaterThan(0);
    for (const line of found?.lines ?? []) expect(line.path).toMatch(expected);
  });

  it('keeps to a plugin', async () => {
    const [found] = await asJson('--plugin', 'disks');
    expect(new Set(found?.lines.map(({ by }) => by.plugin))).toEqual(new Set(['disks']));
  });

  it.each([
    [['--path', 'devices/dysk*'], 1, 'nothing in it has the path devices/dysk*'],
    [['--path', '('], 1, 'nothing in it has the path ('],
    [['--plugin', 'nobody'], 1, 'plugin "nobody" has no part in it; these have: cloud-init, compute'],
    [['--plugin', 'disks', '--path', 'memory'], 1, 'nothing in it has the path memory by disks'],
    [['-o', 'xml'], 2, 'Allowed choices are table, json, yaml'],
    [['vm/tiny'], 2, 'either vm/NAME or vmi/NAME, or a manifest with -f'],
  ])('says what is wrong with %j', async (args, code, expected) => {
    const ended = await virtloom(['explain', '-f', EXAMPLE, ...args]);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toContain(expected);
  });
});

describe('virtloom plugins', () => {
  it('lists them in their order', async () => {
    const { code, stdout } = await virtloom(['plugins']);
    expect(code).toBe(0);
    const [head = '', ...rows] = stdout.trimEnd().split('\n');
    expect(head).toMatch(/^ORDER +NAME +VERSION +FIELDS +HANDLES +SUMMARY$/);
    expect(rows.map((row) => row.split(/ +/)[0])).toEqual(rows.map((_, index) => String(index + 1)));
    expect(stdout).toMatch(/network-masquerade +\S+ +\d+ +masquerade +/);
  });

  it('says what is wrong with a configuration', async () => {
    const file = fileOf('config.yaml', 'plugins: [{name: Bad_Name, module: ./nowhere}]\nnodes: 2\n');
    const bad = await virtloom(['plugins', '--config', file]);
    expect(bad).toMatchObject({ code: 1, stdout: '' });
    expect(bad.stderr).toContain('"nodes"');
    expect(bad.stderr).toContain('plugins.0.name');
    const gone = fileOf('gone.yaml', 'plugins: [{name: nowhere, module: ./nowhere}]\n');
    expect((await virtloom(['plugins', '--config', gone])).stderr).toContain('plugin "nowhere" could not be loaded');
  });
});
