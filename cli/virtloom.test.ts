// The command's first step: whatever Node is first on PATH, the CLI runs on one that is new enough, and is heard.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const VIRTLOOM = fileURLToPath(new URL('./virtloom.mjs', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'vl-bin-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Any Node that is older than the project's; the newest one will do where there is none, as it takes the other way. */
const nodes = ['/usr/bin/node', process.execPath];

describe.each(nodes.filter((node) => spawnSync(node, ['--version']).status === 0))('%s', (node) => {
  it('passes output and exit status', () => {
    const help = spawnSync(node, [VIRTLOOM, '--help'], { encoding: 'utf8' });
    expect(help.status).toBe(0);
    expect(help.stdout).toContain('virtloom');
    expect(spawnSync(node, [VIRTLOOM, 'no-such-verb']).status).toBe(2);
  });

  it('ends quietly when nobody reads on', () => {
    const script = '"$0" "$1" plugins | head -n 1; exit "${PIPESTATUS[0]}"';
    const piped = spawnSync('bash', ['-c', script, node, VIRTLOOM], { encoding: 'utf8' });
    expect(piped.stderr).toBe('');
    expect(piped.status).toBe(0);
    expect(piped.stdout).toMatch(/^ORDER/);
  });

  it('passes signals', async () => {
    // `virtloom render` waits for its standard input.
    writeFileSync(join(directory, 'empty'), '');
    const child = spawn(node, [VIRTLOOM, 'render', '-f', '-'], { stdio: ['pipe', 'ignore', 'ignore'] });
    const exit = once(child, 'exit');
    setTimeout(() => child.kill('SIGTERM'), 1000); // Node gives no sign of having installed its handlers
    const [code, signal] = (await exit) as [number | null, string | null];
    expect(signal ?? code).toSatisfy((end: unknown) => end === 'SIGTERM' || end === 143);
  });
});
