// For tests: a node and a pod with a real CNI bridge between them, in network namespaces of their own, and a guest.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { ExecOptions, Sandbox, StepContext } from '../steps.ts';
import { bridgeName } from './names.ts';

const CNI = '/usr/lib/cni';
export const NODE_IP = '10.77.0.1';
export const SUBNET = '10.77.0.0/24';
export const RESOLV_CONF =
  'search vms.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\nnameserver 127.0.0.53\n';

/** Runs a program; rejects on exit != 0 with its stderr. */
export function sh(
  argv: readonly string[],
  stdin?: string | Uint8Array,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const [file = '', ...args] = argv;
    const child = execFile(file, args, { env, timeout: 30_000 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${argv.join(' ')}: ${stderr.trim() || error.message}`));
      else resolve(stdout);
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
  });
}

export async function until(what: string, test: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await test())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within 10 s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A Sandbox without a container: only the namespaces are real. */
export class LocalSandbox implements Sandbox {
  readonly pid: number;
  readonly user = { uid: 107, gid: 107 };
  /** The programs that were run, for counting them. */
  readonly ran: string[] = [];
  /** Fails the run of a program, as a kill of the agent at that point would. */
  failAt: ((argv: readonly string[], stdin: string) => string | undefined) | undefined;
  readonly files = new Map<string, string>([['/etc/resolv.conf', RESOLV_CONF]]);

  constructor(pid: number) {
    this.pid = pid;
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<{ stdout: Buffer; stderr: string }> {
    this.ran.push(argv[0] ?? '');
    const stdin = String(options.stdin ?? '');
    // The rest of a batch that was cut off.
    const cut = this.failAt?.(argv, stdin);
    const spaces = [`--net=/proc/${this.pid}/ns/net`];
    if (options.in === 'daemon') spaces.push(`--pid=/proc/${this.pid}/ns/pid`);
    const stdout = await sh(['nsenter', ...spaces, '--', ...argv], cut ?? stdin);
    if (cut !== undefined) throw new Error('cut off');
    return { stdout: Buffer.from(stdout), stderr: '' };
  }

  readFile(path: string): Promise<Buffer> {
    const file = this.files.get(path);
    return file === undefined ? Promise.reject(new Error(`no file ${path}`)) : Promise.resolve(Buffer.from(file));
  }

  writeFile(): Promise<void> {
    return Promise.reject(new Error('not in this sandbox'));
  }

  remove(): Promise<void> {
    return Promise.reject(new Error('not in this sandbox'));
  }

  scratch(): Promise<string> {
    return Promise.reject(new Error('not in this sandbox'));
  }

  socket(): Promise<string> {
    return Promise.reject(new Error('not in this sandbox'));
  }

  get context(): StepContext {
    return {
      vmi: { namespace: 'default', name: 'testvm', uid: 'c0ffee' },
      sandbox: this,
      rewrite: async (_, text) => text,
      signal: new AbortController().signal,
      log: pino({ level: 'silent' }),
    };
  }
}

export interface TestGuest {
  readonly namespace: string;
  readonly mac: string;
  /** Asks for a lease and applies it; gives udhcpc's variables, undefined where nobody answers. */
  lease(options?: { tries?: number }): Promise<Record<string, string> | undefined>;
}

export interface TestNet {
  readonly node: string;
  readonly pod: string;
  readonly podIp: string;
  readonly podMac: string;
  readonly sandbox: LocalSandbox;
  /** Links, addresses, routes, rules and programs of the pod, to compare before and after. */
  snapshot(): Promise<string>;
  /** A guest whose NIC is a port of the pod's in-pod bridge, as QEMU's would be by the tap. */
  guest(mac: string, podInterface?: string): Promise<TestGuest>;
  /** Adds a second interface, without addresses, on another bridge of the node; gives its MAC. */
  addInterface(name: string, bridge: string): Promise<string>;
  /** Boots a guest from this raw disk, with its NIC on the pod's tap, as the user who may open it. */
  boot(disk: string, tap: string, mac: string, mtu: number): void;
  /** Listens on these ports, TCP and UDP, in a namespace; each answers with the address that it sees. */
  serve(namespace: string, ports: readonly number[]): Promise<void>;
  /** What a server answers; the error's code where there is no answer. */
  ask(namespace: string, host: string, port: number, protocol?: 'tcp' | 'udp'): Promise<string>;
  /** What the node gets from this URL, as soon as it gets something. */
  page(url: string): Promise<string>;
  remove(): Promise<void>;
}

export function inNet(namespace: string, ...argv: string[]): Promise<string> {
  return sh(['nsenter', `--net=/run/netns/${namespace}`, '--', ...argv]);
}

/** Makes node and pod. Needs root and the CNI plugins. */
export async function startNet(mtu = 1450): Promise<TestNet> {
  const id = randomBytes(4).toString('hex');
  const base = mkdtempSync(join(tmpdir(), `vl-test-${id}-`));
  const node = `vl-test-node-${id}`;
  const pod = `vl-test-pod-${id}`;
  const namespaces = [node, pod];
  const children: ChildProcess[] = [];
  for (const namespace of namespaces) {
    await sh(['ip', 'netns', 'add', namespace]);
    await inNet(namespace, 'ip', 'link', 'set', 'lo', 'up');
  }
  const cni = await addInterface(base, node, pod, mtu, 'eth0');
  const init = spawn(
    'nsenter',
    [
      `--net=/run/netns/${pod}`,
      'unshare',
      '--pid',
      '--fork',
      '--kill-child',
      'busybox',
      'sh',
      '-c',
      // As PID 1 it reaps what is left to it.
      'while :; do sleep 60 & wait; done',
    ],
    { stdio: 'ignore' },
  );
  children.push(init);
  const sandbox = new LocalSandbox(await childOf(init.pid ?? 0));

  return {
    node,
    pod,
    podIp: cni.ip,
    podMac: cni.mac,
    sandbox,
    snapshot: async () => {
      const text = await inNet(pod, 'sh', '-c', SNAPSHOT);
      return text
        .split('\n')
        .filter((line) => !/^(local |multicast |anycast |broadcast |fe80:|ff00:|\s*$)/.test(line))
        .map((line) =>
          line
            .replace(/^\d+: /, '')
            .replace(/ linkdown\b| state [A-Z]+|(?<=<)NO-CARRIER,|,LOWER_UP/g, '')
            .trimEnd(),
        )
        .join('\n');
    },
    addInterface: async (name, bridge) => (await addInterface(base, node, pod, mtu, name, bridge)).mac,
    guest: async (mac, podInterface = 'eth0') => {
      const namespace = `vl-test-guest-${randomBytes(4).toString('hex')}`;
      await sh(['ip', 'netns', 'add', namespace]);
      namespaces.push(namespace);
      const port = `g${randomBytes(3).toString('hex')}`;
      await inNet(pod, 'ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
      await inNet(pod, 'ip', 'link', 'set', port, 'master', bridgeName(podInterface), 'up');
      await inNet(namespace, 'ip', 'link', 'set', 'lo', 'up');
      await inNet(namespace, 'ip', 'link', 'set', 'eth0', 'address', mac, 'up');
      return { namespace, mac, lease: ({ tries = 5 } = {}) => lease(base, namespace, tries) };
    },
    boot: (disk, tap, mac, mtu) => {
      const tun = join(base, 'tun');
      children.push(
        spawn(
          'nsenter',
          [`--net=/run/netns/${pod}`, 'unshare', '--mount', 'sh', '-c', QEMU, 'sh', tun, disk, tap, mac, String(mtu)],
          { stdio: 'ignore' },
        ),
      );
    },
    serve: async (namespace, ports) => {
      const child = spawn(
        'nsenter',
        [`--net=/run/netns/${namespace}`, process.execPath, '-e', SERVER, JSON.stringify(ports)],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      children.push(child);
      await new Promise((resolve) => child.stdout.once('data', resolve));
    },
    ask: async (namespace, host, port, protocol = 'tcp') => {
      const client = protocol === 'tcp' ? CLIENT : UDP_CLIENT;
      return (await inNet(namespace, process.execPath, '-e', client, host, String(port))).trim();
    },
    page: (url) => inNet(node, process.execPath, '-e', GET, url),
    remove: async () => {
      for (const child of children) {
        child.kill('SIGKILL');
        await new Promise((resolve) =>
          child.exitCode === null && !child.signalCode ? child.once('exit', resolve) : resolve(0),
        );
      }
      for (const namespace of namespaces) await sh(['ip', 'netns', 'del', namespace]);
      rmSync(base, { recursive: true, force: true });
    },
  };
}

// The device is open to all in a launcher, and in this mount namespace; the tap is open to its owner alone.
const QEMU = `mknod -m 666 "$1" c 10 200 && mount --bind "$1" /dev/net/tun &&
exec setpriv --reuid=107 --regid=107 --clear-groups --bounding-set=-all qemu-system-x86_64 -machine q35,accel=tcg,hpet=off \\
  -m 112 -display none -serial none -monitor none -nodefaults -snapshot -drive "file=$2,format=raw,if=virtio" \\
  -netdev "tap,id=n,ifname=$3,script=no,downscript=no" -device "virtio-net-pci-non-transitional,netdev=n,mac=$4,host_mtu=$5,romfile="`;

const SNAPSHOT = `ip -o link show; ip -o -4 addr show; ip route show; ip route show table all; nft list ruleset
ss -Htulnp; sysctl net.ipv4.conf.eth0.forwarding`;

const GET = `
const end = Date.now() + 25_000;
const get = () => fetch(process.argv[1], { signal: AbortSignal.timeout(1000) }).then((answer) => answer.text())
  .then(console.log, () => { if (Date.now() < end) setTimeout(get, 100); });
get();`;

const SERVER = `
const ports = JSON.parse(process.argv[1]); let left = ports.length;
for (const port of ports) {
  const udp = require('node:dgram').createSocket('udp4', (_, from) => udp.send(from.address, from.port, from.address));
  udp.bind(port);
  require('node:net').createServer((s) => { s.on('error', () => 0); s.end(s.remoteAddress); })
  .listen(port, '0.0.0.0', () => { if (--left === 0) console.log('ready'); });
}`;
const UDP_CLIENT = `
const socket = require('node:dgram').createSocket('udp4', (data) => { console.log(String(data)); process.exit(); });
socket.send('?', Number(process.argv[2]), process.argv[1]);
socket.on('error', (error) => { console.log(error.code); process.exit(); });
setTimeout(() => { console.log('ETIMEDOUT'); process.exit(); }, 700);`;
const CLIENT = `
const socket = require('node:net').connect({ host: process.argv[1], port: Number(process.argv[2]) });
socket.setTimeout(700, () => { console.log('ETIMEDOUT'); process.exit(); });
socket.on('error', (error) => { console.log(error.code); process.exit(); });
socket.on('data', (data) => console.log(String(data)));`;

/** Runs the CNI plugin for one interface of the pod; without IPAM, as a second network often is, unless it is eth0. */
async function addInterface(
  base: string,
  node: string,
  pod: string,
  mtu: number,
  name: string,
  bridge = 'cni0',
): Promise<{ ip: string; mac: string }> {
  const isFirst = name === 'eth0';
  const ipam = {
    type: 'host-local',
    dataDir: join(base, 'ipam'),
    ranges: [[{ subnet: SUBNET }]],
    routes: [{ dst: '0.0.0.0/0' }],
  };
  const conf = {
    cniVersion: '0.4.0',
    name: `vl-test-${name}`,
    type: 'bridge',
    bridge,
    mtu,
    ...(isFirst ? { isGateway: true } : {}),
    ipam: isFirst ? ipam : {},
  };
  const env = {
    PATH: process.env['PATH'],
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: pod,
    CNI_NETNS: `/run/netns/${pod}`,
    CNI_IFNAME: name,
    CNI_PATH: CNI,
  };
  const answer = await sh(['nsenter', `--net=/run/netns/${node}`, '--', `${CNI}/bridge`], JSON.stringify(conf), env);
  const result = JSON.parse(answer) as {
    ips?: { address: string }[];
    interfaces: { name: string; mac: string; sandbox?: string }[];
  };
  const nic = result.interfaces.find((one) => one.name === name && one.sandbox);
  return { ip: result.ips?.[0]?.address.split('/')[0] ?? '', mac: nic?.mac ?? '' };
}

async function childOf(pid: number): Promise<number> {
  let child = 0;
  await until('the pod', () => {
    child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
    // Before the fork's exec it is still nsenter's or unshare's own namespace.
    return child > 0 && readFileSync(`/proc/${child}/cmdline`, 'utf8').startsWith('busybox');
  });
  return child;
}

const UDHCPC = `#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr replace "$ip/$mask" dev "$interface"
[ -n "$mtu" ] && ip link set dev "$interface" mtu "$mtu"
if [ -n "$staticroutes" ]; then
  set -- $staticroutes
  while [ $# -gt 1 ]; do
    if [ "$2" = 0.0.0.0 ]; then ip route replace "$1" dev "$interface"; else ip route replace "$1" via "$2"; fi
    shift 2
  done
elif [ -n "$router" ]; then ip route replace default via "$router"; fi
env > "$OUT"
`;

async function lease(base: string, namespace: string, tries: number): Promise<Record<string, string> | undefined> {
  const script = join(base, 'udhcpc.sh');
  const out = join(base, `${namespace}.lease`);
  writeFileSync(script, UDHCPC, { mode: 0o700 });
  rmSync(out, { force: true });
  const options = ['-f', '-q', '-n', '-i', 'eth0', '-t', String(tries), '-T', '1', '-s', script];
  const asked = ['mtu', 'search', 'staticroutes', 'ntpsrv', '66', '67', '224', '225'].flatMap((name) => ['-O', name]);
  try {
    await sh(['nsenter', `--net=/run/netns/${namespace}`, '--', 'busybox', 'udhcpc', ...options, ...asked], undefined, {
      PATH: process.env['PATH'],
      OUT: out,
    });
  } catch {
    return undefined;
  }
  const lines = readFileSync(out, 'utf8').split('\n');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}
