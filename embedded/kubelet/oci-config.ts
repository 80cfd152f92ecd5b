// Turns one container of a pod into runc's configuration. Pure: everything looked up is handed in.
import { capabilitiesOf } from './capabilities.ts';
import type { Container, Pod } from './pod-types.ts';
import { milli, units } from './quantity.ts';
import type { ContainerUser } from './users.ts';

export interface BindMount {
  source: string;
  destination: string;
  readOnly: boolean;
}

export interface DeviceNode {
  path: string;
  major: number;
  minor: number;
}

export interface ContainerInputs {
  pod: Pod;
  container: Container;
  id: string;
  /** Read-only lower directory of the image, and the image's defaults. */
  rootfs: string;
  image: { entrypoint: string[]; cmd: string[]; workingDir: string; mounts: BindMount[] };
  user: ContainerUser;
  /** Complete environment, in order. */
  env: [string, string][];
  namespaces: { net: string; ipc: string; uts: string };
  /** Writable layer and overlay work directory. */
  upper: string;
  work: string;
  mounts: BindMount[];
  devices: DeviceNode[];
  /** `cgroup` is the parent of all our cgroups. */
  host: { capabilities: bigint; cgroup2: boolean; cgroup: string };
}

type Mount = { destination: string; type: string; source: string; options: string[] };

export class ConfigError extends Error {
  override name = 'ConfigError';
}

export function ociConfig(inputs: ContainerInputs): Record<string, unknown> {
  const { pod, container, user } = inputs;
  const security = container.securityContext ?? {};
  const privileged = security.privileged === true;
  const capabilities = capabilitiesOf(security, inputs.host.capabilities);
  // A process that is not root keeps no capability over exec; runc would only fail to raise them.
  const effective = user.uid === 0 ? capabilities : [];
  return {
    ociVersion: '1.0.2',
    root: { path: 'rootfs', readonly: security.readOnlyRootFilesystem === true },
    process: {
      terminal: container.tty === true,
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
      args: processArgs(inputs),
      env: inputs.env.map(([name, value]) => `${name}=${value}`),
      cwd: container.workingDir || inputs.image.workingDir || '/',
      capabilities: { bounding: capabilities, effective, permitted: effective },
      noNewPrivileges: security.allowPrivilegeEscalation === false,
    },
    mounts: [...baseMounts(inputs, privileged), ...[...inputs.image.mounts, ...inputs.mounts].map(bind)],
    linux: {
      cgroupsPath: `/${inputs.host.cgroup}/pod${pod.metadata.uid ?? ''}/${inputs.id}`,
      namespaces: [
        { type: 'pid' },
        { type: 'mount' },
        { type: 'network', path: inputs.namespaces.net },
        { type: 'ipc', path: inputs.namespaces.ipc },
        { type: 'uts', path: inputs.namespaces.uts },
        ...(inputs.host.cgroup2 ? [{ type: 'cgroup' }] : []),
      ],
      devices: inputs.devices.map((device) => ({ ...device, type: 'c', fileMode: 0o666, uid: 0, gid: 0 })),
      resources: resources(inputs, privileged),
      ...(privileged ? {} : HIDDEN),
    },
  };
}

const HIDDEN = {
  maskedPaths: [
    ...['/proc/acpi', '/proc/asound', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list'],
    ...['/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap'],
  ],
  readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
};

function processArgs({ container, image, env }: ContainerInputs): string[] {
  const variables = new Map(env);
  const given = (list: string[] | undefined) => list?.map((text) => expand(text, variables));
  const command = given(container.command);
  const args = given(container.args);
  // As Kubernetes has it: command replaces both entrypoint and cmd, args replaces cmd alone.
  const argv = command?.length ? [...command, ...(args ?? [])] : [...image.entrypoint, ...(args ?? image.cmd)];
  if (argv.length === 0) throw new ConfigError('no command specified');
  return argv;
}

/** Replaces $(NAME) by variables that exist; $$ is a literal dollar; unknown names stay as they are. */
export function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : (variables.get(name) ?? whole),
  );
}

function baseMounts(inputs: ContainerInputs, privileged: boolean): Mount[] {
  const writable = privileged ? 'rw' : 'ro';
  const none = ['nosuid', 'noexec', 'nodev'];
  return [
    {
      // Mounted by runc in the container's own mount namespace, so that it goes with the container: nothing to unmount.
      destination: '/',
      type: 'overlay',
      source: 'overlay',
      options: [`lowerdir=${inputs.rootfs}`, `upperdir=${inputs.upper}`, `workdir=${inputs.work}`],
    },
    { destination: '/proc', type: 'proc', source: 'proc', options: none },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...none, 'mode=1777', 'size=65536k'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: none },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...none, writable] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...none, 'relatime', writable] },
  ];
}

function bind(mount: BindMount): Mount {
  return {
    destination: mount.destination,
    type: 'bind',
    source: mount.source,
    options: ['rbind', 'rprivate', mount.readOnly ? 'ro' : 'rw'],
  };
}

const CONSOLE_DEVICES: [major: number, minor?: number][] = [
  [1, 3],
  [1, 5],
  [1, 7],
  [1, 8],
  [1, 9],
  [5, 0],
  [5, 2],
  [136],
];

function resources({ container, devices }: ContainerInputs, privileged: boolean): Record<string, unknown> {
  const limits = container.resources?.limits ?? {};
  const requests = container.resources?.requests ?? limits;
  const memory = limits['memory'] === undefined ? undefined : { limit: units(limits['memory']) };
  const shares = Math.max(2, Math.floor((milli(requests['cpu']) * 1024) / 1000));
  const quota = milli(limits['cpu']) * 100;
  const allowed = [...CONSOLE_DEVICES, ...devices.map(({ major, minor }): [number, number] => [major, minor])];
  return {
    ...(memory && { memory }),
    cpu: { shares, ...(quota > 0 && { quota: Math.max(1000, quota), period: 100_000 }) },
    devices: privileged
      ? [{ allow: true, access: 'rwm' }]
      : [
          { allow: false, access: 'rwm' },
          // mknod of anything is harmless without the right to open it, and ordinary images do it.
          { allow: true, type: 'c', access: 'm' },
          { allow: true, type: 'b', access: 'm' },
          ...allowed.map(([major, minor]) => ({
            allow: true,
            type: 'c',
            major,
            ...(minor !== undefined && { minor }),
            access: 'rwm',
          })),
        ],
  };
}
