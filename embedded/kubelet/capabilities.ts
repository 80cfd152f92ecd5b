// Which Linux capabilities a container gets from its securityContext.
import type { SecurityContext } from './pod-types.ts';

const DEFAULT = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
];

/** Every capability up to Linux 5.9, in the kernel's numbering. */
const ALL = [
  ...['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP'],
  ...['LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER'],
  ...['SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE'],
  ...['SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP'],
  ...['MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF'],
  'CHECKPOINT_RESTORE',
];

/**
 * Names with the CAP_ prefix, as the runtime specification wants them.
 * `have` is this process's own bounding set as a bit mask: what we lack cannot be given.
 */
export function capabilitiesOf(context: SecurityContext = {}, have: bigint): string[] {
  const add = (context.capabilities?.add ?? []).map(short);
  const drop = (context.capabilities?.drop ?? []).map(short);
  const wanted = new Set(context.privileged || add.includes('ALL') ? ALL : DEFAULT);
  if (drop.includes('ALL')) wanted.clear();
  for (const name of drop) wanted.delete(name);
  for (const name of add) if (name !== 'ALL') wanted.add(name);
  return [...wanted]
    .filter((name) => (have >> BigInt(Math.max(ALL.indexOf(name), 0))) & 1n)
    .map((name) => `CAP_${name}`)
    .sort();
}

function short(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '');
}
