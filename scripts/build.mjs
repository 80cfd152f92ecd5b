// `npm run build`: the package as it is published, in dist/. JavaScript, because Node strips no types below node_modules.
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');
/** What the published package holds besides JavaScript made of TypeScript. */
const ASSETS = [
  ...['core', 'plugins', 'webhooks', 'subresources', 'agent', 'telemetry', 'conformance', 'launcher', 'embedded', 'cli', 'docs'],
  ...['examples', 'virtloom.yaml', 'README.md', 'LICENSE'],
];
const isAsset = (file) => !/\.tsx?$|\/(testdata|node_modules|plugins\/[^/]+\/dist)(\/|$)/.test(file);

/** Plugins in examples/ are packages of their own. */
const isOther = (file) => relative(ROOT, file).startsWith('examples/plugins');

function compile() {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json')], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** What TypeScript leaves as `./x.ts`: module names in declarations, and imports within `export default`. */
function mendImports(directory) {
  for (const entry of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(d\.ts|js)$/.test(entry)) continue;
    const file = join(directory, entry);
    const text = readFileSync(file, 'utf8');
    const mended = text.replace(/((?:from|import|module|import\()\s*['"]\.{1,2}\/[^'"]*)\.ts(['"])/g, '$1.js$2');
    if (mended !== text) writeFileSync(file, mended);
  }
}

function manifest() {
  const rest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const key of ['devDependencies', 'scripts', 'allowScripts']) delete rest[key];
  const built = (file) => ({ types: file.replace(/\.ts$/, '.d.ts'), default: file.replace(/\.ts$/, '.js') });
  const exported = Object.entries(rest.exports).map(([name, file]) => [
    name,
    file.endsWith('.ts') ? built(file) : file,
  ]);
  return { ...rest, engines: { node: '>=24' }, exports: Object.fromEntries(exported) };
}

rmSync(DIST, { recursive: true, force: true });
compile();
mendImports(DIST);
for (const name of ASSETS) {
  cpSync(join(ROOT, name), join(DIST, name), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (file) => isAsset(file) && !isOther(file),
  });
}
writeFileSync(join(DIST, 'package.json'), `${JSON.stringify(manifest(), null, 2)}\n`);
console.log(`built: ${relative(process.cwd(), DIST)}`);
