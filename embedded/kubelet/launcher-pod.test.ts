// The pod that the platform is there for: libvirtd and QEMU from the host's /usr, as an ordinary user without capabilities.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { prepareLauncherImage } from '../../launcher/prepare.ts';
import { TestRegistry } from '../images/fixture-registry.ts';
import { podOf, TestMachine } from './fixture-machine.ts';
import { run } from './process.ts';

let machine: TestMachine;
let registry: TestRegistry;
let image: string;

beforeAll(async () => {
  machine = await TestMachine.create('10.97.0.0/24');
  registry = await TestRegistry.start({ netns: machine.netns });
  const dir = path.join(machine.dir, 'launcher');
  await mkdir(dir);
  const { name, files, config } = await prepareLauncherImage(dir, { kvm: false });
  image = name;
  await machine.start([], { [name]: { files, config } });
});
afterAll(async () => {
  await machine.destroy();
  await registry.stop();
});

test('libvirtd answers in it, the disk of an image volume is there, /dev/net/tun is open to it', async () => {
  const disk = await registry.push('disks/tiny:1', { '/disk/tiny.img': 'a disk' });
  const mounts = [
    '/var/run/libvirt',
    '/var/run/kubevirt-private',
    '/var/run/kubevirt',
    '/var/run/kubevirt-ephemeral-disks',
    '/tmp',
  ];
  const pod = podOf({
    securityContext: { runAsUser: 107, runAsGroup: 107, fsGroup: 107, runAsNonRoot: true },
    volumes: [
      ...mounts.map((_, index) => ({ name: `v${index}`, emptyDir: {} })),
      { name: 'disk', image: { reference: disk } },
    ],
    containers: [
      {
        name: 'compute',
        image,
        env: [{ name: 'VMI_UID', value: 'a-b-c' }],
        resources: { limits: { 'devices.kubevirt.io/tun': '1' } },
        securityContext: {
          capabilities: { drop: ['ALL'] },
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
        },
        readinessProbe: { exec: { command: ['virsh', 'version'] }, periodSeconds: 1, timeoutSeconds: 5 },
        volumeMounts: [
          ...mounts.map((mountPath, index) => ({ name: `v${index}`, mountPath })),
          { name: 'disk', mountPath: '/var/run/disk' },
        ],
      },
    ],
  });
  machine.send({ op: 'apply', pod });
  const status = await machine.running(pod);
  const id = status.containerStatuses?.[0]?.containerID?.replace('runc://', '') ?? '';
  const script =
    'cat /var/run/disk/disk/tiny.img; echo; id -u; true 3<>/dev/net/tun && echo open; touch /var/run/disk/x 2>&1; ls /work';
  const command = ['runc', '--root', path.join(machine.stateDir, 'runc'), 'exec', id, 'sh', '-c', `${script}; true`];
  const { stdout } = await run(command);
  expect(stdout).toMatch(/^a disk\n107\nopen\ntouch: .*Read-only file system\n/);
  expect(
    machine
      .events(pod)
      .filter((event) => /^Pull(ing|ed): /.test(event))
      .map((event) => event.split(':')[0])
      .sort(),
  ).toEqual(['Pulled', 'Pulled', 'Pulling']);
  await machine.remove(pod);
  expect(await machine.remains()).toEqual([]);
});
