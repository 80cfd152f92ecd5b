// From `kubectl apply` to phase Running, against `virsh define` and `virsh start` of the very same XML in a sandbox that is there.
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { PODS } from '../core/kube/objects.ts';
import type { Pod } from '../core/launcher-pod.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { ROOT } from '../cli/paths.ts';
import { childPlatform } from './child-platform.ts';
import { median, print } from './report.ts';
import { VmiWatch } from './watch.ts';

const RUNS = 10;
const run = promisify(execFile);

/** Runs a program with this on its standard input; resolves at its end. */
function feed(argv: readonly [string, ...string[]], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { stdio: ['pipe', 'ignore', 'inherit'] });
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`${argv.join(' ')}: exit ${code}`))));
    child.stdin.end(input);
  });
}

const vm = parse(readFileSync(`${ROOT}/examples/vm-tiny.yaml`, 'utf8')) as { spec: { template: { spec: object } } };
const manifest = (name: string): string =>
  stringify({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name },
    spec: { ...vm.spec.template.spec, terminationGracePeriodSeconds: 0 },
  });

const platform = await childPlatform();
const watch = await VmiWatch.start(platform.client);
const kubectl: [string, string, string] = ['kubectl', '--kubeconfig', platform.kubeconfig];
try {
  const whole: number[] = [];
  const accepted: number[] = [];
  for (let index = -1; index < RUNS; index++) {
    const name = `bench-${index + 1}`;
    const begin = performance.now();
    const stored = watch.until(name, 'Pending').catch(() => NaN);
    const running = watch.until(name, 'Running');
    await feed([...kubectl, 'apply', '-f', '-'], manifest(name));
    const end = await running;
    // The first one warms caches on both sides.
    if (index >= 0) {
      whole.push(end - begin);
      accepted.push(end - (await stored));
    }
    if (index < RUNS - 1) {
      await platform.client.delete(VMIS, 'default', name);
      await watch.until(name, 'gone');
    }
  }

  // The floor: the last VMI's sandbox, with the platform held still so that it does not mind what we do there.
  const name = `bench-${RUNS}`;
  const pods = await platform.client.list<Pod>(PODS, 'default', { labelSelector: 'kubevirt.io=virt-launcher' });
  const pod = pods.items.find((one) => one.metadata.ownerReferences?.[0]?.name === name);
  const id = pod?.status?.containerStatuses?.[0]?.containerID?.replace(/^.*:\/\//, '') ?? '';
  const pid = await platform.pidOf(id);
  platform.hold();
  const floor: number[] = [];
  const inside = ['nsenter', '-t', String(pid), '-m', '-p', '-n', '-S', '107', '-G', '107', 'env'];
  const uri = 'LIBVIRT_DEFAULT_URI=qemu+unix:///session?socket=/var/run/libvirt/libvirt-sock';
  const virsh = async (...args: string[]): Promise<string> => {
    const [program = '', ...rest] = [...inside, 'HOME=/tmp', uri, 'virsh', '-q', ...args];
    return (await run(program, rest)).stdout;
  };
  const domain = `default_${name}`;
  const [program = '', ...rest] = [...inside, 'tee', '/tmp/floor.xml'];
  await feed([program, ...rest], await virsh('dumpxml', '--inactive', domain));
  for (let index = -1; index < RUNS; index++) {
    await virsh('destroy', domain);
    await virsh('undefine', domain);
    const begin = performance.now();
    await virsh('define', '/tmp/floor.xml');
    await virsh('start', domain);
    if (index >= 0) floor.push(performance.now() - begin);
  }
  platform.release();
  const ms = (value: number): string => `${Math.round(value)} ms`;
  print(`start latency, median of ${RUNS}`, [
    ['kubectl apply to Running', ms(median(whole))],
    ['virsh define and start of the same XML, sandbox already there', ms(median(floor))],
    ['our own', ms(median(whole) - median(floor))],
    [
      'of which kubectl until the API server has the VMI',
      ms(median(whole.map((all, i) => all - (accepted[i] ?? NaN)))),
    ],
    ['ratio', (median(whole) / median(floor)).toFixed(2)],
  ]);
} finally {
  await watch.stop();
  await platform.dispose();
}
