// The one guest of a launcher's libvirt daemon: what it is doing, and the few things that are done to it.
import { childOf } from '../core/index.ts';
import type { Element } from '../core/index.ts';
import { parseXml } from '../core/domain/xml.ts';
import {
  CreateFlag,
  DefineFlag,
  DestroyFlag,
  DomainState,
  ErrorCode,
  LibvirtError,
  PausedReason,
  ShutdownFlag,
  ShutoffReason,
  UndefineFlag,
  isNoDomain,
  procedures as p,
} from './libvirt/index.ts';
import type { Connection, Domain } from './libvirt/index.ts';

/** How a guest came to its end. */
export type Ending = 'shutdown' | 'destroyed' | 'crashed' | 'migrated' | 'unknown';

export type GuestState =
  | { readonly is: 'absent' }
  /** Defined, and not running: never started, or its start failed. */
  | { readonly is: 'defined' }
  | { readonly is: 'running' }
  | { readonly is: 'paused'; readonly by: 'user' | 'ioError' | 'libvirt' }
  | { readonly is: 'ended'; readonly how: Ending };

const ENDINGS = new Map<number, Ending>([
  [ShutoffReason.shutdown, 'shutdown'],
  [ShutoffReason.destroyed, 'destroyed'],
  [ShutoffReason.crashed, 'crashed'],
  [ShutoffReason.migrated, 'migrated'],
  [ShutoffReason.saved, 'shutdown'],
]);

export class Guest {
  readonly #connection: Connection;
  readonly #domain: Domain;

  private constructor(connection: Connection, domain: Domain) {
    this.#connection = connection;
    this.#domain = domain;
  }

  /** The daemon's guest; a launcher's daemon has one at most. */
  static async find(connection: Connection): Promise<Guest | undefined> {
    const { domains } = await connection.call(p.connectListAllDomains, { flags: 0 });
    return domains[0] ? new Guest(connection, domains[0]) : undefined;
  }

  /** Defines the guest, or defines it anew while it does not run. */
  static async define(connection: Connection, xml: string): Promise<Guest> {
    const { domain } = await connection.call(p.domainDefineXmlFlags, { xml, flags: DefineFlag.none });
    return new Guest(connection, domain);
  }

  get domain(): Domain {
    return this.#domain;
  }

  async state(): Promise<GuestState> {
    let found: { state: number; reason: number };
    try {
      found = await this.#connection.call(p.domainGetState, { domain: this.#domain, flags: 0 });
    } catch (error) {
      if (isNoDomain(error)) return { is: 'absent' };
      throw error;
    }
    const { state, reason } = found;
    if (state === DomainState.shutoff) {
      const how = ENDINGS.get(reason);
      return how ? { is: 'ended', how } : { is: 'defined' };
    }
    if (state === DomainState.crashed) return { is: 'ended', how: 'crashed' };
    if (state !== DomainState.paused) return { is: 'running' };
    if (reason === PausedReason.user) return { is: 'paused', by: 'user' };
    if (reason === PausedReason.crashed) return { is: 'ended', how: 'crashed' };
    return { is: 'paused', by: reason === PausedReason.ioError ? 'ioError' : 'libvirt' };
  }

  /** Forgets a guest that does not run; what it wrote into its firmware's variables stays. */
  async undefine(): Promise<void> {
    await this.#connection.call(p.domainUndefineFlags, { domain: this.#domain, flags: UndefineFlag.keepNvram });
  }

  async start(): Promise<void> {
    // QEMU's start can take long on a loaded node, and must not be given up half-way.
    const options = { timeoutMs: 120_000 };
    await this.#connection.call(p.domainCreateWithFlags, { domain: this.#domain, flags: CreateFlag.none }, options);
  }

  /** Presses the ACPI power button; a guest that does not listen goes on. */
  async pressPowerButton(): Promise<void> {
    await this.#unlessOver(p.domainShutdownFlags, ShutdownFlag.acpi);
  }

  async destroy(): Promise<void> {
    await this.#unlessOver(p.domainDestroyFlags, DestroyFlag.default);
  }

  async pause(): Promise<void> {
    await this.#connection.call(p.domainSuspend, { domain: this.#domain });
  }

  async unpause(): Promise<void> {
    await this.#connection.call(p.domainResume, { domain: this.#domain });
  }

  async reset(): Promise<void> {
    await this.#connection.call(p.domainReset, { domain: this.#domain, flags: 0 });
  }

  /** Asks the guest to restart itself: by its agent, or by the ACPI power button where there is none. */
  async reboot(): Promise<void> {
    await this.#connection.call(p.domainReboot, { domain: this.#domain, flags: 0 });
  }

  /** The devices of the live domain. */
  async devices(): Promise<Element[]> {
    const { xml } = await this.#connection.call(p.domainGetXmlDesc, { domain: this.#domain, flags: 0 });
    return childOf(parseXml(xml), 'devices')?.children ?? [];
  }

  /** A guest that ends meanwhile is as good as one that did what it was told. */
  async #unlessOver(procedure: typeof p.domainDestroyFlags, flags: number): Promise<void> {
    try {
      await this.#connection.call(procedure, { domain: this.#domain, flags });
    } catch (error) {
      const over = error instanceof LibvirtError && error.code === ErrorCode.operationInvalid;
      if (!over && !isNoDomain(error)) throw error;
    }
  }
}
