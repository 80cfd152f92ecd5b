// The fields of a VMI that this plugin owns, as the manifest has them.
import type { DomainSpec } from '../../core/index.ts';

/** A Kubernetes quantity: `64Mi`, `1500m`, 2. */
export type Quantity = string | number;

export interface Resources {
  requests?: Record<string, Quantity>;
  limits?: Record<string, Quantity>;
  overcommitGuestOverhead?: boolean;
}

export interface Cpu {
  cores?: number;
  sockets?: number;
  threads?: number;
  maxSockets?: number;
  model?: string;
  features?: { name: string; policy?: string }[];
}

export interface Memory {
  guest?: Quantity;
  maxGuest?: Quantity;
  reservedOverhead?: object;
}

export interface Firmware {
  uuid?: string;
  serial?: string;
  bootloader?: {
    bios?: { useSerial?: boolean };
    efi?: { secureBoot?: boolean };
  };
}

export interface ClockTimer {
  present?: boolean;
  tickPolicy?: string;
  track?: string;
}

export interface Clock {
  utc?: { offsetSeconds?: number };
  timezone?: string;
  timer?: { hpet?: ClockTimer; kvm?: ClockTimer; pit?: ClockTimer; rtc?: ClockTimer; hyperv?: ClockTimer };
}

export interface FeatureState {
  enabled?: boolean;
}

export interface Hyperv {
  relaxed?: FeatureState;
  vapic?: FeatureState;
  spinlocks?: FeatureState & { spinlocks?: number };
  vpindex?: FeatureState;
  runtime?: FeatureState;
  synic?: FeatureState;
  synictimer?: FeatureState & { direct?: FeatureState };
  reset?: FeatureState;
  vendorid?: FeatureState & { vendorid?: string };
  frequencies?: FeatureState;
  reenlightenment?: FeatureState;
  tlbflush?: FeatureState & { direct?: FeatureState; extended?: FeatureState };
  ipi?: FeatureState;
  evmcs?: FeatureState;
}

export interface Features {
  acpi?: FeatureState;
  apic?: FeatureState & { endOfInterrupt?: boolean };
  smm?: FeatureState;
  pvspinlock?: FeatureState;
  kvm?: { hidden?: boolean };
  hyperv?: Hyperv;
  hypervPassthrough?: FeatureState;
}

export interface Chassis {
  manufacturer?: string;
  version?: string;
  serial?: string;
  asset?: string;
  sku?: string;
}

export interface Input {
  name: string;
  type: string;
  bus?: string;
}

export interface Watchdog {
  name: string;
  i6300esb?: { action?: string };
  diag288?: { action?: string };
}

declare module '../../core/index.ts' {
  interface VmiSpec {
    architecture?: string;
  }
  interface DomainSpec {
    resources?: Resources;
    cpu?: Cpu;
    memory?: Memory;
    machine?: { type?: string };
    firmware?: Firmware;
    clock?: Clock;
    features?: Features;
    chassis?: Chassis;
  }
  interface Devices {
    autoattachGraphicsDevice?: boolean;
    autoattachInputDevice?: boolean;
    autoattachMemBalloon?: boolean;
    autoattachSerialConsole?: boolean;
    disableHotplug?: boolean;
    useVirtioTransitional?: boolean;
    inputs?: Input[];
    rng?: object;
    video?: { type?: string };
    watchdog?: Watchdog;
  }
}

/** True unless the field says false. */
export function isOn(state: FeatureState | undefined): boolean {
  return state !== undefined && state.enabled !== false;
}

/** Whether the guest boots by UEFI. */
export function isEfi(domain: DomainSpec): boolean {
  return domain.firmware?.bootloader?.efi !== undefined;
}

/** UEFI's secure boot, which is on unless the manifest turns it off. */
export function isSecureBoot(domain: DomainSpec): boolean {
  const efi = domain.firmware?.bootloader?.efi;
  return efi !== undefined && efi.secureBoot !== false;
}
