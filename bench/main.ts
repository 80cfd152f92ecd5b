// `npm run bench [case...]`: every benchmark, each in a process of its own, in a network namespace made for it.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';

const CASES = ['plans', 'start-latency', 'requests', 'memory'];
const given = process.argv.slice(2);
const unknown = given.filter((name) => !CASES.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}: there are ${CASES.join(', ')}`);
  process.exit(2);
}

const netns = `vl-bench-${randomBytes(4).toString('hex')}`;
const ip = (...args: string[]): void => {
  const done = spawnSync('ip', args, { stdio: 'inherit' });
  if (done.status !== 0) throw new Error(`ip ${args.join(' ')} failed; the benchmarks need root`);
};
ip('netns', 'add', netns);
try {
  ip('-n', netns, 'link', 'set', 'lo', 'up');
  for (const name of given.length > 0 ? given : CASES) {
    const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
    const done = spawnSync('nsenter', [`--net=/run/netns/${netns}`, process.execPath, file], { stdio: 'inherit' });
    if (done.status !== 0) process.exitCode = 1;
  }
} finally {
  ip('netns', 'delete', netns);
}
