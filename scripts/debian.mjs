// Debian's side of the set-up: which packages are missing, and installing them without starting a daemon.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { SetupError, run, tail } from './steps.mjs';

const LISTS = '/var/lib/apt/lists';
const POLICY = '/usr/sbin/policy-rc.d';
const POLICY_MARK = '# made by the Virtloom set-up';
const LOCK_WAIT_SECONDS = 300;

/** Where a command is on PATH, with the system directories that an ordinary user's PATH leaves out. */
export function which(command) {
  const path = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return path
    .filter(Boolean)
    .map((dir) => join(dir, command))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** What goes before a command that needs root. */
export function asRoot() {
  if (process.getuid?.() === 0) return [];
  if (which('sudo')) return ['sudo'];
  throw new SetupError('This needs root, and there is no sudo. Run it as root.');
}

/** Of these packages, those not installed. */
export function missingPackages(packages) {
  if (!which('dpkg-query')) return packages;
  let known = '';
  try {
    known = execFileSync('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\\n', ...packages], {
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
    });
  } catch (error) {
    // Exit status 1 says that some are unknown to dpkg; those that are known have been printed.
    known = String(error.stdout ?? '');
  }
  const installed = new Set(
    known
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  return packages.filter((name) => !installed.has(name));
}

/** A policy that lets no package start or stop a service, for as long as `work` takes. One that is there already stays. */
async function withoutServices(log, work) {
  const present = existsSync(POLICY);
  // Ours from a run that was killed counts as absent.
  if (present && !readFileSync(POLICY, 'utf8').includes(POLICY_MARK)) return work();
  const root = asRoot();
  const script = `set -eu; printf '%s\\n' '#!/bin/sh' '${POLICY_MARK}' 'exit 101' >${POLICY}; chmod 755 ${POLICY}`;
  await run(log, [...root, 'sh', '-c', script]);
  // An interrupt from the terminal reaches apt as well; the policy must still be taken away.
  const ignore = () => {};
  process.on('SIGINT', ignore);
  process.on('SIGTERM', ignore);
  try {
    return await work();
  } finally {
    await run(log, [...root, 'rm', '-f', POLICY]);
    process.off('SIGINT', ignore);
    process.off('SIGTERM', ignore);
  }
}

const listsMissing = () =>
  !existsSync(LISTS) || !readdirSync(LISTS).some((file) => /_Packages(\.[a-z0-9]+)?$/.test(file));

function aptGet(log, ...args) {
  const options = ['-q', '-y', '-o', `DPkg::Lock::Timeout=${LOCK_WAIT_SECONDS}`, '-o', 'APT::Install-Recommends=false'];
  const env = ['env', 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C.UTF-8'];
  return run(log, [...asRoot(), ...env, 'apt-get', ...options, ...args]);
}

/** apt-get update; apt itself does not wait for the lock of the lists. */
export async function updateLists(log) {
  for (const deadline = Date.now() + LOCK_WAIT_SECONDS * 1000; ;) {
    if ((await aptGet(log, 'update')) === 0) return;
    if (!/Could not get lock/.test(tail(log, 6)) || Date.now() > deadline)
      throw new SetupError(`apt-get update failed:\n${tail(log)}\nThe whole log: ${log}`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Refuses, with what to do instead, where there is no apt. */
export function requireApt(packages) {
  if (which('apt-get')) return;
  throw new SetupError(
    `This is not a Debian or Ubuntu system (there is no apt-get), so nothing can be installed by itself.\n` +
      `Install by hand what these Debian packages hold, then run this again with VIRTLOOM_SKIP_PACKAGES=1:\n  ${packages.join(' ')}`,
  );
}

/** Installs packages, and nothing that they only recommend. Starts no service. */
export async function installPackages(log, packages) {
  requireApt(packages);
  if (listsMissing()) await updateLists(log);
  const status = await withoutServices(log, async () => {
    const first = await aptGet(log, 'install', ...packages);
    if (first === 0) return 0;
    // The lists may be older than the archive.
    await updateLists(log);
    return aptGet(log, 'install', ...packages);
  });
  if (status !== 0) throw new SetupError(`apt-get install failed:\n${tail(log)}\nThe whole log: ${log}`);
}

/** Puts packages' files under a directory without installing them. */
export async function unpackPackages(log, packages, into) {
  requireApt(packages);
  if (listsMissing()) await updateLists(log);
  if ((await run(log, ['apt-get', '-q', 'download', ...packages], { cwd: into })) !== 0) {
    await updateLists(log);
    if ((await run(log, ['apt-get', '-q', 'download', ...packages], { cwd: into })) !== 0)
      throw new SetupError(`apt-get download failed:\n${tail(log)}\nThe whole log: ${log}`);
  }
  for (const file of readdirSync(into).filter((name) => name.endsWith('.deb')))
    if ((await run(log, ['dpkg', '-x', join(into, file), into])) !== 0)
      throw new SetupError(`dpkg -x ${file} failed:\n${tail(log)}\nThe whole log: ${log}`);
}
