// For tests: a copy of the rooms that plans are made in, so that a plugin's folder can really be missing.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { readFileSync } from 'node:fs';
import { DEFAULT_CONFIG, ROOT } from '../../cli/paths.ts';

const ROOMS = ['core', 'plugins', 'cli', 'webhooks', 'package.json'];

/** Names of the folders in plugins/. */
export function pluginFolders(root: string = ROOT): string[] {
  return readdirSync(join(root, 'plugins'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

interface Entry {
  readonly name: string;
}

/** The configuration that the project ships, without the lines of some plugins. */
export function configWithout(names: readonly string[]): string {
  const config = parse(readFileSync(DEFAULT_CONFIG, 'utf8')) as { plugins: Entry[] };
  return stringify({ ...config, plugins: config.plugins.filter(({ name }) => !names.includes(name)) });
}

export class Tree {
  readonly root = mkdtempSync(join(tmpdir(), 'vl-tree-'));
  readonly #aside = mkdtempSync(join(tmpdir(), 'vl-aside-'));

  constructor() {
    const filter = (path: string): boolean => !path.endsWith('.test.ts');
    for (const room of ROOMS) cpSync(join(ROOT, room), join(this.root, room), { recursive: true, filter });
    symlinkSync(join(ROOT, 'node_modules'), join(this.root, 'node_modules'));
  }

  /** Runs a program of this tree while the folders of some plugins are away; its output. */
  async without(names: readonly string[], config: string, program: string, args: readonly string[]): Promise<Output> {
    for (const name of names) renameSync(join(this.root, 'plugins', name), join(this.#aside, name));
    writeFileSync(join(this.root, 'virtloom.yaml'), config);
    try {
      return await run(process.execPath, [program, ...args]);
    } finally {
      for (const name of names) renameSync(join(this.#aside, name), join(this.root, 'plugins', name));
    }
  }

  remove(): void {
    rmSync(this.root, { recursive: true });
    rmSync(this.#aside, { recursive: true });
  }
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[]): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}
