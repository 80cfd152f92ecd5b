// The calls this client can make: each with its number, how its arguments are written and its answer is read.
import { PROGRAM_QEMU, PROGRAM_REMOTE } from './frame.ts';
import {
  readDomain,
  readOptionalString,
  readString,
  readTypedParams,
  writeDomain,
  writeOptionalString,
  writeTypedParam,
  writeUuid,
} from './types.ts';
import type { Domain, TypedParam } from './types.ts';
import type { XdrReader, XdrWriter } from './xdr.ts';

export interface Procedure<Args, Result> {
  program: number;
  number: number;
  encode: (writer: XdrWriter, args: Args) => void;
  decode: (reader: XdrReader) => Result;
}

const DOMAINS_MAX = 16_384;
const LIST_MAX = 4096;
const COOKIE_MAX = 4_194_304;

function define<Args, Result>(
  number: number,
  encode: (writer: XdrWriter, args: Args) => void,
  decode: (reader: XdrReader) => Result,
  program: number = PROGRAM_REMOTE,
): Procedure<Args, Result> {
  return { program, number, encode, decode };
}

const nothing = (): undefined => undefined;

interface OnDomain {
  domain: Domain;
}
interface WithFlags extends OnDomain {
  flags: number;
}
interface DeviceArgs extends WithFlags {
  xml: string;
}

const onDomain = (w: XdrWriter, a: OnDomain): void => writeDomain(w, a.domain);
const withFlags = (w: XdrWriter, a: WithFlags): void => {
  writeDomain(w, a.domain);
  w.uint(a.flags);
};
const withXml = (w: XdrWriter, a: DeviceArgs): void => {
  writeDomain(w, a.domain);
  w.string(a.xml).uint(a.flags);
};
const domainResult = (r: XdrReader) => ({ domain: readDomain(r) });

/** An address of a guest's interface. `type` 0 is IPv4, 1 is IPv6; `prefix` in bits. */
export interface GuestAddress {
  type: number;
  address: string;
  prefix: number;
}
export interface GuestInterface {
  name: string;
  mac: string | undefined;
  addresses: GuestAddress[];
}

function readGuestInterface(r: XdrReader): GuestInterface {
  return {
    name: readString(r),
    mac: readOptionalString(r),
    addresses: r.array(LIST_MAX, (each) => ({
      type: each.int(),
      address: readString(each),
      prefix: each.uint(),
    })),
  };
}

export const procedures = {
  // the connection
  authList: define<undefined, { types: number[] }>(66, nothing, (r) => ({ types: r.array(20, (each) => each.int()) })),
  connectOpen: define<{ uri: string; flags: number }, undefined>(
    1,
    (w, a) => {
      writeOptionalString(w, a.uri);
      w.uint(a.flags);
    },
    nothing,
  ),
  connectClose: define<undefined, undefined>(2, nothing, nothing),
  connectSupportsFeature: define<{ feature: number }, { supported: number }>(
    60,
    (w, a) => w.int(a.feature),
    (r) => ({ supported: r.int() }),
  ),
  /** Versions are major * 1,000,000 + minor * 1,000 + release: of the hypervisor here, of libvirt below. */
  connectGetVersion: define<undefined, { version: bigint }>(4, nothing, (r) => ({ version: r.uhyper() })),
  connectGetLibVersion: define<undefined, { version: bigint }>(157, nothing, (r) => ({ version: r.uhyper() })),
  connectGetHostname: define<undefined, { hostname: string }>(59, nothing, (r) => ({ hostname: readString(r) })),
  connectGetCapabilities: define<undefined, { xml: string }>(7, nothing, (r) => ({ xml: readString(r) })),
  connectGetDomainCapabilities: define<
    { emulator?: string; arch?: string; machine?: string; virtType?: string; flags: number },
    { xml: string }
  >(
    342,
    (w, a) => {
      writeOptionalString(w, a.emulator);
      writeOptionalString(w, a.arch);
      writeOptionalString(w, a.machine);
      writeOptionalString(w, a.virtType);
      w.uint(a.flags);
    },
    (r) => ({ xml: readString(r) }),
  ),
  connectListAllDomains: define<{ flags: number }, { domains: Domain[] }>(
    273,
    (w, a) => w.int(1).uint(a.flags),
    (r) => {
      const domains = r.array(DOMAINS_MAX, readDomain);
      r.uint();
      return { domains };
    },
  ),
  connectGetAllDomainStats: define<
    { domains: Domain[]; stats: number; flags: number },
    { records: { domain: Domain; params: TypedParam[] }[] }
  >(
    344,
    (w, a) => w.array(a.domains, writeDomain).uint(a.stats).uint(a.flags),
    (r) => ({
      records: r.array(DOMAINS_MAX, (each) => ({ domain: readDomain(each), params: readTypedParams(each) })),
    }),
  ),
  connectDomainEventCallbackRegisterAny: define<{ eventId: number; domain?: Domain }, { callbackId: number }>(
    316,
    (w, a) => w.int(a.eventId).optional(a.domain, writeDomain),
    (r) => ({ callbackId: r.int() }),
  ),
  connectDomainEventCallbackDeregisterAny: define<{ callbackId: number }, undefined>(
    317,
    (w, a) => w.int(a.callbackId),
    nothing,
  ),

  // finding and defining
  domainLookupByName: define<{ name: string }, { domain: Domain }>(23, (w, a) => w.string(a.name), domainResult),
  domainLookupByUuid: define<{ uuid: string }, { domain: Domain }>(24, (w, a) => writeUuid(w, a.uuid), domainResult),
  domainDefineXmlFlags: define<{ xml: string; flags: number }, { domain: Domain }>(
    350,
    (w, a) => w.string(a.xml).uint(a.flags),
    domainResult,
  ),
  domainUndefineFlags: define<WithFlags, undefined>(231, withFlags, nothing),
  domainGetXmlDesc: define<WithFlags, { xml: string }>(14, withFlags, (r) => ({ xml: readString(r) })),

  // lifecycle
  domainCreateWithFlags: define<WithFlags, { domain: Domain }>(196, withFlags, domainResult),
  domainSuspend: define<OnDomain, undefined>(34, onDomain, nothing),
  domainResume: define<OnDomain, undefined>(28, onDomain, nothing),
  domainReset: define<WithFlags, undefined>(245, withFlags, nothing),
  domainReboot: define<WithFlags, undefined>(27, withFlags, nothing),
  domainShutdownFlags: define<WithFlags, undefined>(258, withFlags, nothing),
  domainDestroyFlags: define<WithFlags, undefined>(234, withFlags, nothing),

  // reading
  domainGetState: define<WithFlags, { state: number; reason: number }>(212, withFlags, (r) => ({
    state: r.int(),
    reason: r.int(),
  })),
  /** Memory in KiB, CPU time in ns. */
  domainGetInfo: define<OnDomain, { state: number; maxMemory: bigint; memory: bigint; vcpus: number; cpuTime: bigint }>(
    16,
    onDomain,
    (r) => ({
      state: r.uint(),
      maxMemory: r.uhyper(),
      memory: r.uhyper(),
      vcpus: r.uint(),
      cpuTime: r.uhyper(),
    }),
  ),
  /** `tag` is libvirt's virDomainMemoryStatTags; values in KiB or counts. */
  domainMemoryStats: define<WithFlags, { stats: { tag: number; value: bigint }[] }>(
    159,
    (w, a) => {
      writeDomain(w, a.domain);
      w.uint(64).uint(a.flags);
    },
    (r) => ({ stats: r.array(1024, (each) => ({ tag: each.int(), value: each.uhyper() })) }),
  ),
  /** All three in bytes. `path` is a disk's target (vda) or source. */
  domainGetBlockInfo: define<WithFlags & { path: string }, { allocation: bigint; capacity: bigint; physical: bigint }>(
    194,
    (w, a) => {
      writeDomain(w, a.domain);
      w.string(a.path).uint(a.flags);
    },
    (r) => ({ allocation: r.uhyper(), capacity: r.uhyper(), physical: r.uhyper() }),
  ),
  domainInterfaceAddresses: define<WithFlags & { source: number }, { interfaces: GuestInterface[] }>(
    353,
    (w, a) => {
      writeDomain(w, a.domain);
      w.uint(a.source).uint(a.flags);
    },
    (r) => ({ interfaces: r.array(LIST_MAX, readGuestInterface) }),
  ),
  domainGetGuestInfo: define<WithFlags & { types: number }, { params: TypedParam[] }>(
    418,
    (w, a) => {
      writeDomain(w, a.domain);
      w.uint(a.types).uint(a.flags);
    },
    (r) => ({ params: readTypedParams(r) }),
  ),

  // changing a running domain
  domainAttachDeviceFlags: define<DeviceArgs, undefined>(160, withXml, nothing),
  domainDetachDeviceFlags: define<DeviceArgs, undefined>(161, withXml, nothing),
  domainUpdateDeviceFlags: define<DeviceArgs, undefined>(174, withXml, nothing),
  domainSetVcpusFlags: define<WithFlags & { vcpus: number }, undefined>(
    199,
    (w, a) => {
      writeDomain(w, a.domain);
      w.uint(a.vcpus).uint(a.flags);
    },
    nothing,
  ),
  /** `memory` in KiB. */
  domainSetMemoryFlags: define<WithFlags & { memory: bigint }, undefined>(
    204,
    (w, a) => {
      writeDomain(w, a.domain);
      w.uhyper(a.memory).uint(a.flags);
    },
    nothing,
  ),
  /** `codeset` 0 is Linux key codes; `holdTime` in ms. */
  domainSendKey: define<WithFlags & { codeset: number; holdTime: number; keycodes: number[] }, undefined>(
    226,
    (w, a) => {
      writeDomain(w, a.domain);
      w.uint(a.codeset).uint(a.holdTime);
      w.array(a.keycodes, (each, code) => each.uint(code)).uint(a.flags);
    },
    nothing,
  ),
  domainFsFreeze: define<WithFlags & { mountpoints: string[] }, { filesystems: number }>(
    335,
    (w, a) => {
      writeDomain(w, a.domain);
      w.array(a.mountpoints, (each, path) => each.string(path)).uint(a.flags);
    },
    (r) => ({ filesystems: r.int() }),
  ),
  domainFsThaw: define<WithFlags & { mountpoints: string[] }, { filesystems: number }>(
    336,
    (w, a) => {
      writeDomain(w, a.domain);
      w.array(a.mountpoints, (each, path) => each.string(path)).uint(a.flags);
    },
    (r) => ({ filesystems: r.int() }),
  ),
  /** `timeout` in seconds; -2 waits for ever, -1 is the daemon's default (5 s). */
  qemuDomainAgentCommand: define<WithFlags & { command: string; timeout: number }, { result: string | undefined }>(
    3,
    (w, a) => {
      writeDomain(w, a.domain);
      w.string(a.command).int(a.timeout).uint(a.flags);
    },
    (r) => ({ result: readOptionalString(r) }),
    PROGRAM_QEMU,
  ),

  // streams: open these with Connection.openStream
  domainOpenConsole: define<WithFlags & { device?: string }, undefined>(
    201,
    (w, a) => {
      writeDomain(w, a.domain);
      writeOptionalString(w, a.device);
      w.uint(a.flags);
    },
    nothing,
  ),
  domainScreenshot: define<WithFlags & { screen: number }, { mime: string | undefined }>(
    211,
    (w, a) => {
      writeDomain(w, a.domain);
      w.uint(a.screen).uint(a.flags);
    },
    (r) => ({ mime: readOptionalString(r) }),
  ),

  // migration
  /** Peer to peer: the daemon at hand drives the whole migration to `destination` (a connection URI) and answers when it is over. */
  domainMigratePerform3Params: define<WithFlags & { destination: string; params: TypedParam[] }, { cookie: Buffer }>(
    305,
    (w, a) => {
      writeDomain(w, a.domain);
      writeOptionalString(w, a.destination);
      w.array(a.params, writeTypedParam).opaque(Buffer.alloc(0)).uint(a.flags);
    },
    (r) => ({ cookie: Buffer.from(r.opaque(COOKIE_MAX)) }),
  ),
  domainMigrateSetMaxDowntime: define<WithFlags & { downtimeMs: bigint }, undefined>(
    166,
    (w, a) => {
      writeDomain(w, a.domain);
      w.uhyper(a.downtimeMs).uint(a.flags);
    },
    nothing,
  ),
  domainMigrateStartPostCopy: define<WithFlags, undefined>(364, withFlags, nothing),
  domainGetJobStats: define<WithFlags, { type: number; params: TypedParam[] }>(298, withFlags, (r) => ({
    type: r.int(),
    params: readTypedParams(r),
  })),
  domainAbortJob: define<OnDomain, undefined>(164, onDomain, nothing),
} as const;
