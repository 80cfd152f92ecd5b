// `npm start` and `npm test` on a machine that has Node and npm: installs what is missing, then does the work.
// Plain JavaScript for Node 18 without node_modules: it runs before either is there.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asRoot, installPackages, missingPackages, requireApt, which } from './debian.mjs';
import { SetupError, foreground, newLog, run, step, tail } from './steps.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LOG = join(ROOT, '.cache/setup.log');
const NODE = join(ROOT, 'node_modules/.bin/node');
const LOCK = join(ROOT, 'package-lock.json');
const EXAMPLE_IMAGE = 'localhost/virtloom/tiny:1';
const INSTALLED = join(ROOT, 'node_modules/.package-lock.json');

const LISTS = JSON.parse(readFileSync(join(ROOT, 'scripts/packages.json'), 'utf8'));
const needed = (purpose) => [...LISTS.run, ...LISTS.image, ...(purpose === 'test' ? LISTS.test : [])];
/** Packages that stand for a command which may have come by another way; not every release of Ubuntu has them. */
const wanted = () => Object.keys(LISTS.unlessCommand).filter((name) => !which(LISTS.unlessCommand[name]));

const modulesAreOld = () =>
  !existsSync(NODE) || !existsSync(INSTALLED) || statSync(INSTALLED).mtimeMs < statSync(LOCK).mtimeMs;

async function installWhatIsMissing(purpose) {
  await install(purpose);
  // npm takes the link away when somebody adds a package.
  await import('./link-self.mjs');
}

async function install(purpose) {
  const packages = process.env.VIRTLOOM_SKIP_PACKAGES ? [] : missingPackages(needed(purpose));
  const extra = process.env.VIRTLOOM_SKIP_PACKAGES ? [] : wanted();
  const modules = modulesAreOld();
  if (packages.length + extra.length === 0 && !modules) return;
  if (packages.length > 0) requireApt([...packages, ...extra]);

  const how = asRoot().length > 0 ? 'by sudo, which may ask for your password' : 'as root';
  console.log('Virtloom installs what it needs and this machine does not have:');
  if (packages.length + extra.length > 0)
    console.log(`  Debian packages (${how}; no service is started): ${[...packages, ...extra].join(' ')}`);
  if (modules) console.log(`  npm packages, into node_modules/: npm ci`);
  console.log(`The output goes to ${LOG}`);
  newLog(LOG);
  if (packages.length > 0)
    await step(`installing ${packages.length} Debian packages`, () => installPackages(LOG, packages));
  for (const name of extra)
    await step(`installing ${name}`, () => installPackages(LOG, [name])).catch(() =>
      console.warn(
        `  ${LISTS.unlessCommand[name]} is not here and could not be installed; you will want it: see ${LOG}`,
      ),
    );
  if (modules)
    await step('npm ci', async () => {
      if ((await run(LOG, ['npm', 'ci', '--no-audit', '--no-fund'], { cwd: ROOT })) === 0 && existsSync(NODE)) return;
      throw new SetupError(`npm ci failed:\n${tail(LOG)}\nThe whole log: ${LOG}`);
    });
}

/** Ends with the first command that fails. */
async function all(commands) {
  for (const { title, argv } of commands) {
    console.log(`\n== ${title}`);
    const status = await foreground(argv, { cwd: ROOT });
    if (status !== 0) return status;
  }
  return 0;
}

/** The examples' guest image, as arguments of `up`. The platform is worth having without it. */
async function exampleImage() {
  const argv = [NODE, join(ROOT, 'examples/images/tiny/build.ts')];
  const build = spawnSync(argv[0], [...argv.slice(1), '--if-built'], { encoding: 'utf8' });
  let layout = build.stdout.trim();
  if (!layout) {
    await step('building the guest image of the examples', () => run(newLog(LOG), argv));
    layout = spawnSync(argv[0], [...argv.slice(1), '--if-built'], { encoding: 'utf8' }).stdout.trim();
  }
  if (layout) return ['--load-image', `${EXAMPLE_IMAGE}=${layout}`];
  console.warn(`The examples' image could not be built, so the examples will not run:\n${tail(LOG, 4)}`);
  return [];
}

async function start(args) {
  return foreground([...asRoot(), NODE, join(ROOT, 'cli/main.ts'), 'up', ...(await exampleImage()), ...args]);
}

function test(args) {
  const bin = (name) => [NODE, join(ROOT, 'node_modules', name)];
  const vitest = [...asRoot(), ...bin('vitest/vitest.mjs'), 'run'];
  const e2e = [...vitest, '--config', 'vitest.e2e.config.ts'];
  // Somebody who names files wants those and nothing else.
  if (args.length > 0)
    return foreground([...(args.some((arg) => arg.includes('test/e2e')) ? e2e : vitest), ...args], { cwd: ROOT });
  return all([
    { title: 'type check', argv: [...bin('typescript/bin/tsc'), '--noEmit', '-p', '.'] },
    { title: 'lint', argv: [...bin('eslint/bin/eslint.js'), '.'] },
    { title: 'unit tests', argv: vitest },
    { title: 'end-to-end tests', argv: e2e },
  ]);
}

const [purpose, ...args] = process.argv.slice(2);
try {
  if (purpose !== 'start' && purpose !== 'test') {
    console.error('usage: node scripts/setup.mjs start|test [arguments]');
    process.exit(2);
  }
  await installWhatIsMissing(purpose);
  process.exitCode = await (purpose === 'start' ? start(args) : test(args));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
