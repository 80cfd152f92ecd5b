// Counts all that a platform has on the machine, so that a test can compare before and after.
import { existsSync, lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.ts';

/** Each list is sorted and says enough to find the thing. */
export interface Census {
  /** Command lines (their first 100 characters), the platform's own processes left out. */
  processes: string[];
  /** Network namespaces these processes are in or that are mounted below the state directory, by inode. */
  namespaces: string[];
  /** Links in the platform's own namespace, other than lo. */
  links: string[];
  nftRules: string[];
  /** Mount points below the state directory. */
  mounts: string[];
  containers: string[];
  cgroups: string[];
  /** Files below the state directory, relative to it, but for the ones named in `ignore`. */
  files: string[];
}

export interface CensusOptions {
  stateDir: string;
  netns: string;
  /** Processes that are the platform itself. */
  own: ReadonlySet<number>;
  /** The cgroup that all its pods are below, in every hierarchy. */
  cgroup: string;
  /** Paths below the state directory that come and go by themselves (databases, logs, images). */
  ignore: RegExp;
}

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};
const link = (file: string): string => {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
};
const list = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};

const isDirectory = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

interface Mount {
  /** What of its file system is mounted; a namespace's name for a namespace. */
  root: string;
  path: string;
}

function mounts(): Mount[] {
  return read('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' '))
    .map(([, , , root = '', path = '']) => ({ root, path }));
}

const isNetns = (name: string): boolean => name.startsWith('net:[');

/** Processes by any sign: command line, network namespace, or in a mount namespace of their own a mount from the state directory. */
function processesOf(stateDir: string, netns: string): number[] {
  const ourMounts = link('/proc/self/ns/mnt');
  const below = mounts().filter(({ path }) => path.startsWith(`${stateDir}/`));
  const namespaces = new Set([netnsInode(netns), ...below.map(({ root }) => root)].filter(isNetns));
  return list('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== '1' && Number(name) !== process.pid)
    .filter((pid) => {
      const dir = `/proc/${pid}`;
      const theirMounts = link(`${dir}/ns/mnt`);
      // Where this cannot be read the process has ended, or is none of ours.
      if (theirMounts === '') return false;
      if (read(`${dir}/cmdline`).includes(stateDir) || namespaces.has(link(`${dir}/ns/net`))) return true;
      return theirMounts !== ourMounts && read(`${dir}/mountinfo`).includes(stateDir);
    })
    .map(Number);
}

function netnsInode(netns: string): string {
  return mounts().find(({ path }) => path === `/run/netns/${netns}`)?.root ?? '';
}

/** The platform's processes that run now, the harness' own left out. */
export function platformProcesses(stateDir: string, netns: string): number[] {
  return processesOf(stateDir, netns);
}

export async function takeCensus(options: CensusOptions): Promise<Census> {
  const { stateDir, netns } = options;
  const own = netnsInode(netns);
  const pids = processesOf(stateDir, netns).filter((pid) => !options.own.has(pid));
  const below = mounts().filter(({ path }) => path.startsWith(`${stateDir}/`));
  const namespaces = [...pids.map((pid) => link(`/proc/${pid}/ns/net`)), ...below.map(({ root }) => root)];
  const [links, rules] = await Promise.all([
    run(['ip', '-o', 'link'], { netns }),
    run(['nft', 'list', 'ruleset'], { netns }),
  ]);
  return {
    processes: pids
      .map((pid) => read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim().slice(0, 100))
      .filter(Boolean)
      .sort(),
    namespaces: [...new Set(namespaces)].filter((name) => isNetns(name) && name !== own).sort(),
    links: links.stdout
      .split('\n')
      .map((line) => line.split(': ')[1]?.split('@')[0] ?? '')
      .filter((name) => name !== '' && name !== 'lo')
      .sort(),
    nftRules: rules.stdout
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && line !== '}')
      .map((line) => line.replace(/ counter packets \d+ bytes \d+/, ''))
      .sort(),
    mounts: below.map(({ path }) => path.slice(stateDir.length + 1)).sort(),
    containers: list(join(stateDir, RUNC)).sort(),
    cgroups: podCgroups(options.cgroup),
    files: filesBelow(stateDir)
      .filter((file) => !options.ignore.test(file))
      .sort(),
  };
}

/** A platform's cgroup in each hierarchy. */
export function cgroupDirectories(cgroup: string): string[] {
  const root = '/sys/fs/cgroup';
  const hierarchies = existsSync(join(root, 'cgroup.controllers')) ? [''] : list(root);
  return hierarchies.map((hierarchy) => join(root, hierarchy, cgroup)).filter((path) => existsSync(path));
}

function podCgroups(cgroup: string): string[] {
  return cgroupDirectories(cgroup)
    .flatMap((directory) =>
      list(directory)
        .filter((name) => name.startsWith('pod'))
        .map((name) => join(directory, name)),
    )
    .sort();
}

/** Unpacked images have thousands of files, which are a cache and no leak. */
const IMAGES = 'kubelet/images';
/** Where the kubelet has runc keep its state, a directory a container. */
export const RUNC = 'kubelet/runc';

/** Files and directories, relative to the directory. */
function filesBelow(directory: string, prefix = ''): string[] {
  const entries = list(join(directory, prefix)).map((name) => join(prefix, name));
  return entries.flatMap((path) =>
    path !== IMAGES && isDirectory(join(directory, path)) ? [path, ...filesBelow(directory, path)] : [path],
  );
}
