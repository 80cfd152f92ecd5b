// virtloom diff between files and between configurations, as a command.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../test/support/command.ts';
import { DEFAULT_CONFIG, ROOT } from './paths.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const EXAMPLE = join(ROOT, 'examples/vmi-tiny.yaml');
const diff = (...args: string[]) => run([process.execPath, MAIN, 'diff', ...args]);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vl-diff-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('virtloom diff', () => {
  it('tells each difference with the plugin behind it, and ends as diff does', async () => {
    const text = readFileSync(EXAMPLE, 'utf8');
    const larger = file(
      'larger.yaml',
      text.replace(/guest: \S+/, 'guest: 160Mi').replace('masquerade: {}', 'bridge: {}'),
    );
    const { code, stdout, stderr } = await diff('-f', EXAMPLE, '-f', larger);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toContain(`# default/vmi-tiny: domain\n`);
    expect(stdout).toContain(
      `+ memory/text() = ${160 * 2 ** 20}  (compute prepareDomain.first, spec.domain.memory.guest)\n`,
    );
    expect(stdout).toMatch(/^- spec\.containers\[name=compute\]\.resources\.requests\.memory = \d+Mi {2}\(compute /m);
    expect(stdout).toMatch(/^- network\/network-masquerade\/nic\/default\/nat = nat {2}\(network-masquerade step\)/m);
    expect(stdout).toMatch(/^\+ network\/network-bridge\/nic\/default\//m);
    expect(stdout).toMatch(/^restart needed: yes, where it runs \(\d+ changes\)\n$/m);
  });

  it('is silent about what stays', async () => {
    expect(await diff('-f', EXAMPLE, '-f', EXAMPLE)).toMatchObject({ code: 0, stdout: 'no changes\n', stderr: '' });
  });

  it('tells what another configuration changes', async () => {
    const plugins = readFileSync(DEFAULT_CONFIG, 'utf8').replaceAll('./plugins/', join(ROOT, 'plugins/'));
    const launcher = file('launcher.yaml', `launcherImage: example.org/launcher:2\n${plugins}`);
    const { code, stdout } = await diff('-f', EXAMPLE, '--to-config', launcher);
    expect(code).toBe(1);
    expect(stdout).toContain(
      '+ spec.containers[name=compute].image = example.org/launcher:2  (compute prepareDomain.first)',
    );
    const without = file('without.yaml', plugins.replace(/.*network-masquerade.*/, ''));
    const refused = await diff('-f', EXAMPLE, '--to-config', without);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain('belongs to plugin "network-masquerade", which is not enabled');
  });

  it.each([
    [['-f', EXAMPLE, 'vm/a'], 'either a manifest with -f, or the name of a VM'],
    [['--to-config', DEFAULT_CONFIG], '--to-config is for manifests'],
    [['-A', 'vm/a'], '-A is for all VMs that run'],
    [['-f', EXAMPLE, '-f', EXAMPLE, '-f', EXAMPLE], 'at most two files'],
    [['-f', EXAMPLE, '-f', EXAMPLE, '--to-config', DEFAULT_CONFIG], 'two files or --to-config'],
  ])('is used wrongly with %j', async (args, message) => {
    const { code, stderr } = await diff(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it('says so when there is no such file, and when nothing runs to compare with', async () => {
    expect(await diff('-f', join(folder, 'none.yaml'), '-f', EXAMPLE)).toMatchObject({ code: 2 });
    const nowhere = await diff('-f', EXAMPLE, '--kubeconfig', join(folder, 'none'));
    expect(nowhere.code).toBe(3);
    expect(nowhere.stderr).toContain('none');
  });
});
