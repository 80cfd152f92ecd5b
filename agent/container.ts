// Finds a container's first process from its id in the pod's status, and tells whether it is still that process.
import { readFile, readdir } from 'node:fs/promises';

/** A container's PID 1. `startTime` (clock ticks since boot) tells it from a later process of the same number. */
export interface ContainerProcess {
  readonly pid: number;
  readonly startTime: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * `containerId` as in pod.status.containerStatuses[], such as `containerd://<id>`. Asks /proc alone, so that any runtime will
 * do that names its cgroups by container id. Undefined where no such process runs.
 */
export async function findContainer(containerId: string): Promise<ContainerProcess | undefined> {
  const id = containerId.slice(containerId.indexOf('://') + 3);
  if (id.length < 8) return undefined;
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const cgroup = await readFile(`/proc/${name}/cgroup`, 'utf8').catch(() => '');
    if (!isInCgroup(cgroup, id)) continue;
    const found = await processOf(Number(name));
    if (found?.first) return found.process;
  }
  return undefined;
}

/** True while the process that was found still is there. */
export async function isAlive(process: ContainerProcess): Promise<boolean> {
  const now = await processOf(process.pid);
  return now?.process.startTime === process.startTime;
}

/** Runtimes put the id at the end of a path, bare or as systemd's scope `<runtime>-<id>.scope`. */
function isInCgroup(cgroup: string, id: string): boolean {
  return cgroup.split('\n').some((line) => {
    const segments = line.slice(line.indexOf('/')).split('/');
    return segments.some((segment) => segment === id || segment.endsWith(`-${id}.scope`));
  });
}

async function processOf(pid: number): Promise<{ process: ContainerProcess; first: boolean } | undefined> {
  let status: string;
  let stat: string;
  try {
    [status, stat] = await Promise.all([
      readFile(`/proc/${pid}/status`, 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
  } catch {
    return undefined;
  }
  const field = (name: string): string[] => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/) ?? [];
  // The name in parentheses may hold anything, blanks and parentheses too.
  const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTime = rest[18] ?? '';
  if (state === 'Z' || state === 'X' || startTime === '') return undefined;
  const pids = field('NSpid');
  const process = { pid, startTime, uid: Number(field('Uid')[1]), gid: Number(field('Gid')[1]) };
  return { process, first: pids.length > 1 && pids.at(-1) === '1' };
}
