#!/usr/bin/env node
// The `virtloom` command: finds the Node 24 that comes with the project where the running one is older, then the CLI.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const OLDEST = 24;
/** As it is published, or the source. */
const MAIN = ['./main.js', './main.ts'].map((file) => new URL(file, import.meta.url)).find((file) => existsSync(file));

/** The Node of the npm package `node`, wherever npm has put it. */
function bundledNode() {
  try {
    const node = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin/node');
    return existsSync(node) ? node : undefined;
  } catch {
    return undefined;
  }
}

if (Number(process.versions.node.split('.')[0]) >= OLDEST) {
  process.argv[1] = fileURLToPath(MAIN);
  await import(MAIN.href);
} else {
  const node = bundledNode();
  if (!node) {
    console.error(
      `virtloom needs Node ${OLDEST} or newer; this is ${process.version}. Run "npm ci" in its directory, or "npm install node@${OLDEST}" beside it.`,
    );
    process.exit(1);
  }
  const child = spawn(node, [fileURLToPath(MAIN), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']) process.on(signal, () => child.kill(signal));
  // A terminal sends these to the child as well: here we only must not end before it.
  for (const signal of ['SIGINT', 'SIGQUIT']) process.on(signal, () => process.stdin.isTTY || child.kill(signal));
  child.once('error', (error) => {
    console.error(`virtloom: cannot run ${node}: ${error.message}`);
    process.exitCode = 1;
  });
  child.once('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
    process.removeAllListeners();
  });
}
