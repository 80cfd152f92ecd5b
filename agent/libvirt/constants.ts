// libvirt's public numbers (include/libvirt/libvirt-domain.h) that this client uses.

export const DomainState = {
  noState: 0,
  running: 1,
  blocked: 2,
  paused: 3,
  shutdown: 4,
  shutoff: 5,
  crashed: 6,
  pmSuspended: 7,
} as const;

/** Reasons that go with DomainState.shutoff. */
export const ShutoffReason = {
  unknown: 0,
  shutdown: 1,
  destroyed: 2,
  crashed: 3,
  migrated: 4,
  saved: 5,
  failed: 6,
  fromSnapshot: 7,
  daemon: 8,
} as const;

/** Reasons that go with DomainState.paused. */
export const PausedReason = {
  unknown: 0,
  user: 1,
  migration: 2,
  save: 3,
  dump: 4,
  ioError: 5,
  watchdog: 6,
  fromSnapshot: 7,
  shuttingDown: 8,
  snapshot: 9,
  crashed: 10,
  startingUp: 11,
  postcopy: 12,
  postcopyFailed: 13,
} as const;

/** What happened, in a lifecycle event. */
export const Lifecycle = {
  defined: 0,
  undefined: 1,
  started: 2,
  suspended: 3,
  resumed: 4,
  stopped: 5,
  shutdown: 6,
  pmSuspended: 7,
  crashed: 8,
} as const;

/** Details that go with Lifecycle.stopped. */
export const StoppedDetail = {
  shutdown: 0,
  destroyed: 1,
  crashed: 2,
  migrated: 3,
  saved: 4,
  failed: 5,
  fromSnapshot: 6,
} as const;

export const AgentState = { connected: 1, disconnected: 2 } as const;

export const CreateFlag = { none: 0, paused: 1 } as const;
export const DefineFlag = { none: 0, validate: 1 } as const;
export const ShutdownFlag = { default: 0, acpi: 1, guestAgent: 2 } as const;
export const DestroyFlag = { default: 0, graceful: 1 } as const;
export const UndefineFlag = {
  none: 0,
  managedSave: 1,
  snapshotsMetadata: 2,
  nvram: 4,
  keepNvram: 8,
  checkpointsMetadata: 16,
  tpm: 32,
} as const;
export const XmlFlag = { none: 0, secure: 1, inactive: 2, updateCpu: 4, migratable: 8 } as const;
export const ListFlag = {
  all: 0,
  active: 1,
  inactive: 2,
  persistent: 4,
  transient: 8,
  running: 16,
  paused: 32,
  shutoff: 64,
} as const;
export const ModifyFlag = { current: 0, live: 1, config: 2, force: 4 } as const;
export const VcpuFlag = { current: 0, live: 1, config: 2, maximum: 4, guest: 8, hotpluggable: 16 } as const;
export const MemoryFlag = { current: 0, live: 1, config: 2, maximum: 4 } as const;
export const AddressSource = { lease: 0, agent: 1, arp: 2 } as const;
export const GuestInfo = {
  users: 1,
  os: 2,
  timezone: 4,
  hostname: 8,
  filesystem: 16,
  disks: 32,
  interfaces: 64,
} as const;
export const Stats = { state: 1, cpuTotal: 2, balloon: 4, vcpu: 8, interface: 16, block: 32 } as const;
/** `nowait`: leave out what a busy domain cannot tell at once, instead of waiting for it. */
export const StatsFlag = { none: 0, active: 1, nowait: 0x2000_0000 } as const;

export const MigrateFlag = {
  live: 1,
  peer2peer: 2,
  tunnelled: 4,
  persistDest: 8,
  undefineSource: 16,
  paused: 32,
  nonSharedDisk: 64,
  nonSharedInc: 128,
  unsafe: 512,
  compressed: 2048,
  abortOnError: 4096,
  autoConverge: 8192,
  postcopy: 32768,
} as const;
