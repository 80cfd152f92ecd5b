// Guests' networks with real traffic: masquerade and bridge, from the host, from guest to guest, and what must stay shut.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inNetns, ok, run, waitFor } from '../support/command.ts';
import { Platform, ROOT } from '../support/platform.ts';
import { RUNC } from '../support/census.ts';

type Guest = Awaited<ReturnType<Platform['waitForGuest']>>;

/** A web server in each guest beside the one on port 80, and one on a port that live migration comes in by. */
const OTHER = 8081;
const PAGE = 'hello from tiny\n';
const MIGRATION = 49152;

const vmi = (name: string, binding: object, pod: object = {}): string =>
  `${JSON.stringify({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      domain: {
        devices: {
          disks: ['root', 'data'].map((disk) => ({ name: disk, disk: { bus: 'virtio' } })),
          interfaces: [{ name: 'default', ...binding }],
        },
        memory: { guest: '96Mi' },
      },
      networks: [{ name: 'default', pod }],
      volumes: [
        { name: 'root', containerDisk: { image: 'localhost/virtloom/tiny:1' } },
        {
          name: 'data',
          cloudInitNoCloud: {
            userData: `#!/bin/sh\ntiny-http-shell\nfor port in ${OTHER} ${MIGRATION}; do httpd -p $port -h /www; done\n`,
          },
        },
      ],
    },
  })}\n`;

/** Tells each client the address it comes from. */
const ECHO = `
  const server = require('node:http').createServer((request, response) => response.end(request.socket.remoteAddress));
  server.listen(0, '0.0.0.0', () => console.log(server.address().port));
`;

let platform: Platform;
let echo: ChildProcess;
let echoPort = '';
let all: Guest;
let ports: Guest;
let bridge: Guest;

beforeAll(async () => {
  platform = await Platform.start();
  const [program = '', ...args] = inNetns([join(ROOT, 'node_modules/.bin/node'), '-e', ECHO], platform.netns);
  const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  server.stdout.setEncoding('utf8').on('data', (text: string) => (echoPort += text.trim()));
  echo = server;
  await platform.apply(vmi('all', { masquerade: {} }));
  await platform.apply(
    vmi('ports', { masquerade: {}, ports: [{ name: 'http', port: 80 }] }, { vmNetworkCIDR: '10.123.4.0/24' }),
  );
  await platform.apply(vmi('bridge', { bridge: {} }));
  [all, ports, bridge] = await Promise.all([
    platform.waitForGuest('all', 120_000),
    platform.waitForGuest('ports', 120_000),
    platform.waitForGuest('bridge', 120_000),
  ]);
  await waitFor('the server on the host listens', () => echoPort !== '');
});
afterAll(async () => {
  echo?.kill('SIGKILL');
  await platform?.dispose();
});

/** Runs a script in the guest, as root; gives what it says. */
const inGuest = (guest: Guest, script: string): Promise<string> =>
  platform.exec(['curl', '-sS', '--noproxy', '*', '--max-time', '30', '--data-binary', '@-', shellOf(guest)], {
    input: script,
  });
const shellOf = (guest: Guest): string => `http://${guest.ip}/cgi-bin/sh`;

/** Whether a web server answers at this port of the guest, seen from the host. */
async function isOpen(guest: Guest, port: number): Promise<boolean> {
  const url = `http://${guest.ip}:${port}/`;
  const { code } = await run(['curl', '-sS', '-o', '/dev/null', '--noproxy', '*', '--max-time', '3', url], {
    netns: platform.netns,
  });
  return code === 0;
}

/** Which of the ports can be connected to from inside of the guest. */
async function openFrom(guest: Guest, address: string, of: readonly number[]): Promise<number[]> {
  const tries = of.map(
    (port) => `(printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${address} ${port} >/dev/null 2>&1 && echo ${port}) &`,
  );
  const open = await inGuest(guest, [...tries, 'wait'].join('\n'));
  return open
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}

interface LauncherPod {
  status: { podIP: string; containerStatuses: { name: string; containerID: string }[] };
}

async function podOf(name: string): Promise<LauncherPod> {
  const list = await platform.kubectl(['get', 'pods', '-l', `vm.kubevirt.io/name=${name}`, '-o', 'json']);
  const [pod] = (JSON.parse(list) as { items: LauncherPod[] }).items;
  if (!pod) throw new Error(`${name} has no pod`);
  return pod;
}

/** Runs a program in the network namespace of a VMI's pod. */
async function inPod(name: string, argv: string[]): Promise<string> {
  const { status } = await podOf(name);
  const compute = status.containerStatuses.find((each) => each.name === 'compute')?.containerID ?? '';
  const id = compute.replace('runc://', '');
  const state = JSON.parse(await ok(['runc', '--root', join(platform.stateDir, RUNC), 'state', id])) as { pid: number };
  return ok(['nsenter', '-t', String(state.pid), '-n', ...argv]);
}

const GATEWAY = '10.88.0.1';

describe('masquerade', () => {
  it('gives the guest a private address and the pod its own', async () => {
    expect(all.eth0).toMatch(/^10\.0\.2\.2\/24 /);
    expect(all.ip).toBe((await podOf('all')).status.podIP);
  });

  it("takes the guest's network from the manifest", async () => {
    expect(ports.eth0).toMatch(/^10\.123\.4\.2\/24 /);
    expect(await inGuest(ports, 'ip route show default')).toMatch(/^default via 10\.123\.4\.1 dev eth0/);
  });

  it('lets the host in on every port', async () => {
    expect(await isOpen(all, 80)).toBe(true);
    expect(await isOpen(all, OTHER)).toBe(true);
  });

  it('lets the host in on declared ports alone, where there are any', async () => {
    expect(await isOpen(ports, 80)).toBe(true);
    expect(await isOpen(ports, OTHER)).toBe(false);
    // It is not for want of a server.
    expect(await inGuest(ports, `wget -q -O - http://127.0.0.1:${OTHER}/`)).toBe(PAGE);
  });

  it("keeps live migration's ports from the guest", async () => {
    expect(await isOpen(all, MIGRATION)).toBe(false);
    expect(await inGuest(all, `wget -q -O - http://127.0.0.1:${MIGRATION}/`)).toBe(PAGE);
  });

  it("lets guests out, under their pod's address", async () => {
    for (const guest of [all, ports]) {
      expect(await inGuest(guest, `wget -q -O - http://${GATEWAY}:${echoPort}/`)).toBe(guest.ip);
    }
  });

  it('lets guests reach each other', async () => {
    expect(await inGuest(all, `wget -q -O - http://${ports.ip}/cgi-bin/info`)).toContain(`client=[::ffff:${all.ip}]`);
    expect(await inGuest(ports, `wget -q -O - http://${all.ip}:${OTHER}/`)).toBe(PAGE);
    expect(await openFrom(all, ports.ip, [80, OTHER])).toEqual([80]);
  });
});

describe('bridge', () => {
  it("gives the guest the pod's address and MAC", async () => {
    expect(bridge.ip).toBe((await podOf('bridge')).status.podIP);
    const [address, mac] = (bridge.eth0 ?? '').split(' ');
    expect(address).toBe(`${bridge.ip}/16`);
    // What the CNI plugin gave the pod waits on a link of its name.
    const links = JSON.parse(await inPod('bridge', ['ip', '-j', 'link', 'show', 'eth0'])) as { address: string }[];
    expect(mac).toBe(links[0]?.address);
    const status = (await platform.get<{ status: { interfaces: object[] } }>('vmi', 'bridge'))?.status;
    expect(status?.interfaces).toEqual([expect.objectContaining({ name: 'default', ipAddress: bridge.ip, mac })]);
  });

  it('lets traffic pass both ways, unchanged', async () => {
    expect(await isOpen(bridge, OTHER)).toBe(true);
    expect(await inGuest(bridge, `wget -q -O - http://${GATEWAY}:${echoPort}/`)).toBe(bridge.ip);
    expect(await inGuest(bridge, `wget -q -O - http://${all.ip}/cgi-bin/info`)).toContain(
      `client=[::ffff:${bridge.ip}]`,
    );
  });
});

describe('a guest', () => {
  it("finds nothing of its launcher's to talk to", async () => {
    for (const [name, guest] of Object.entries({ all, ports, bridge })) {
      // libvirt, the console, the screen: sockets in the file system, none of which listens on a network.
      const listening = await inPod(name, ['ss', '-Hlntu']);
      expect(listening.split('\n').filter((line) => line !== '' && !/:67\s/.test(line))).toEqual([]);
      const gateway = /via ([\d.]+)/.exec(await inGuest(guest, 'ip route show default'))?.[1] ?? '';
      if (gateway === GATEWAY) continue;
      expect(await openFrom(guest, gateway, [16509, 16514, 5900, 22])).toEqual([]);
    }
  });

  it("reaches none of the platform's own servers", async () => {
    const listening = (await platform.exec(['ss', '-Hlnt'])).split('\n').map((line) => line.split(/\s+/)[3] ?? '');
    const own = listening.filter((address) => address !== '' && !address.endsWith(`:${echoPort}`));
    expect(own.length).toBeGreaterThanOrEqual(5);
    for (const address of own) expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
    const shut = own.map((address) => Number(address.split(':')[1]));
    for (const guest of [all, bridge])
      expect(await openFrom(guest, GATEWAY, [Number(echoPort), ...shut])).toEqual([Number(echoPort)]);
  });
});
