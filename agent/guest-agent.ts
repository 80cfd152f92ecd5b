// What the guest's own agent tells: its system, users, file systems and addresses, in KubeVirt's shapes.
import { childOf } from '../core/index.ts';
import type { Element } from '../core/index.ts';
import { AddressSource, ErrorCode, GuestInfo, LibvirtError, paramValues, procedures as p } from './libvirt/index.ts';
import type { Connection, Domain, GuestInterface, TypedParam } from './libvirt/index.ts';

/** VirtualMachineInstanceGuestOSInfo. */
export interface GuestOsInfo {
  id?: string;
  name?: string;
  prettyName?: string;
  version?: string;
  versionId?: string;
  kernelRelease?: string;
  kernelVersion?: string;
  machine?: string;
}
export interface GuestUser {
  userName: string;
  domain?: string;
  /** Seconds since 1970. */
  loginTime?: number;
}
export interface GuestFileSystem {
  diskName: string;
  mountPoint: string;
  fileSystemType: string;
  usedBytes: number;
  totalBytes: number;
}
export interface GuestData {
  os: GuestOsInfo;
  hostname?: string;
  timezone?: string;
  users: GuestUser[];
  fileSystems: GuestFileSystem[];
}

const OS_FIELDS: readonly [keyof GuestOsInfo, string][] = [
  ['id', 'os.id'],
  ['name', 'os.name'],
  ['prettyName', 'os.pretty-name'],
  ['version', 'os.version'],
  ['versionId', 'os.version-id'],
  ['kernelRelease', 'os.kernel-release'],
  ['kernelVersion', 'os.kernel-version'],
  ['machine', 'os.machine'],
];
const AGENT_CHANNEL = 'org.qemu.guest_agent.0';
/** Of what a guest tells no more than this is taken: it is not to be trusted. */
const LIST_MAX = 256;
const TEXT_MAX = 1024;

/** Whether the guest's agent has its channel open. */
export function isAgentConnected(devices: readonly Element[]): boolean {
  return devices.some((device) => {
    const target = device.tag === 'channel' ? childOf(device, 'target') : undefined;
    return target?.attrs['name'] === AGENT_CHANNEL && target.attrs['state'] === 'connected';
  });
}

/** Undefined where no agent answers. Parts that the agent does not know are left out. */
export async function guestData(connection: Connection, domain: Domain): Promise<GuestData | undefined> {
  const types = GuestInfo.os | GuestInfo.hostname | GuestInfo.timezone | GuestInfo.users | GuestInfo.filesystem;
  const answer = await whereAnswered(() =>
    // Without flags libvirt gives what the agent knows; asking for named types fails on the first it does not.
    connection.call(p.domainGetGuestInfo, { domain, types: 0, flags: 0 }).then(
      (all) => all,
      () => connection.call(p.domainGetGuestInfo, { domain, types, flags: 0 }),
    ),
  );
  return answer && parseGuestInfo(answer.params);
}

/** Empty where no agent answers. */
export async function guestInterfaces(connection: Connection, domain: Domain): Promise<GuestInterface[]> {
  const args = { domain, source: AddressSource.agent, flags: 0 };
  return (await whereAnswered(() => connection.call(p.domainInterfaceAddresses, args)))?.interfaces ?? [];
}

export function parseGuestInfo(params: readonly TypedParam[]): GuestData {
  const values = paramValues(params);
  const text = (field: string): string | undefined => {
    const value = values.get(field);
    return typeof value === 'string' && value !== '' ? value.slice(0, TEXT_MAX) : undefined;
  };
  const number = (field: string): number => Number(values.get(field) ?? 0);
  const list = <T>(prefix: string, read: (at: string) => T): T[] =>
    Array.from({ length: Math.min(number(`${prefix}.count`), LIST_MAX) }, (_, index) => read(`${prefix}.${index}`));
  const os: GuestOsInfo = {};
  for (const [key, field] of OS_FIELDS) {
    const value = text(field);
    if (value !== undefined) os[key] = value;
  }
  const hostname = text('hostname');
  const timezone = timezoneOf(text('timezone.name'), values.get('timezone.offset'));
  return {
    os,
    ...(hostname === undefined ? {} : { hostname }),
    ...(timezone === undefined ? {} : { timezone }),
    users: list('user', (at) => {
      const domain = text(`${at}.domain`);
      return {
        userName: text(`${at}.name`) ?? '',
        ...(domain === undefined ? {} : { domain }),
        loginTime: number(`${at}.login-time`) / 1000,
      };
    }),
    fileSystems: list('fs', (at) => ({
      diskName: text(`${at}.name`) ?? '',
      mountPoint: text(`${at}.mountpoint`) ?? '',
      fileSystemType: text(`${at}.fstype`) ?? '',
      usedBytes: number(`${at}.used-bytes`),
      totalBytes: number(`${at}.total-bytes`),
    })),
  };
}

/** KubeVirt writes the name and the offset in seconds: `UTC, 0`. */
function timezoneOf(name: string | undefined, offset: unknown): string | undefined {
  return name === undefined ? undefined : `${name}, ${Number(offset ?? 0)}`;
}

async function whereAnswered<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    const silent: number[] = [ErrorCode.agentUnresponsive, ErrorCode.operationUnsupported, ErrorCode.operationInvalid];
    if (error instanceof LibvirtError && silent.includes(error.code)) return undefined;
    throw error;
  }
}
