// The client against a real libvirtd and a real, tiny QEMU guest.
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Connection } from './connection.ts';
import {
  CreateFlag,
  DefineFlag,
  DestroyFlag,
  DomainState,
  GuestInfo,
  Lifecycle,
  ListFlag,
  ShutdownFlag,
  Stats,
  StatsFlag,
  StoppedDetail,
  UndefineFlag,
  XmlFlag,
} from './constants.ts';
import { ErrorCode, isNoDomain } from './errors.ts';
import { DomainEvents } from './events.ts';
import { procedures as p } from './procedures.ts';
import { ReconnectingConnection } from './reconnect.ts';
import { startLibvirtd, testGuest, until } from './testing.ts';
import type { TestDaemon } from './testing.ts';
import { paramValues } from './types.ts';
import type { Domain } from './types.ts';

// Guests boot slowly on a machine with other things to do.
vi.setConfig({ testTimeout: 60_000 });
let daemon: TestDaemon;
let connection: Connection;

beforeAll(async () => {
  daemon = await startLibvirtd();
  connection = await Connection.open({ path: daemon.socket, uri: daemon.uri });
});
afterAll(async () => {
  connection.close();
  await daemon.stop();
});

const define = async (name: string): Promise<Domain> => {
  const xml = await testGuest(daemon.dir, name);
  return (await connection.call(p.domainDefineXmlFlags, { xml, flags: DefineFlag.none })).domain;
};
const state = (domain: Domain) => connection.call(p.domainGetState, { domain, flags: 0 });

describe('libvirt', () => {
  it('tells about itself', async () => {
    const [version, library, { xml }] = await Promise.all([
      connection.call(p.connectGetVersion, undefined),
      connection.call(p.connectGetLibVersion, undefined),
      connection.call(p.connectGetDomainCapabilities, { virtType: 'qemu', machine: 'q35', flags: 0 }),
    ]);
    expect(version.version).toBeGreaterThan(7_000_000n);
    expect(library.version).toBeGreaterThan(9_000_000n - 1n);
    expect(xml).toContain('<domainCapabilities>');
    expect((await connection.call(p.connectGetCapabilities, undefined)).xml).toContain('<capabilities>');
  });

  it('answers with typed errors', async () => {
    const error: unknown = await connection
      .call(p.domainLookupByName, { name: 'nobody' })
      .catch((each: unknown) => each);
    expect(isNoDomain(error)).toBe(true);
    await expect(connection.call(p.domainDefineXmlFlags, { xml: '<domain', flags: 0 })).rejects.toMatchObject({
      name: 'LibvirtError',
      code: ErrorCode.xmlSyntax,
    });
  });

  it('keeps the answers of a thousand pipelined calls apart', async () => {
    const names = await Promise.all(
      Array.from({ length: 1000 }, (_, index) =>
        index % 2 === 0
          ? connection.call(p.connectGetHostname, undefined).then((each) => each.hostname.length > 0)
          : connection.call(p.connectListAllDomains, { flags: ListFlag.all }).then((each) => each.domains.length === 0),
      ),
    );
    expect(names.every(Boolean)).toBe(true);
  });

  it('runs a guest from definition to its end, and tells each step', async () => {
    const events = new DomainEvents(['lifecycle', 'reboot', 'agentLifecycle', 'deviceRemoved', 'jobCompleted']);
    const told: [number, number][] = [];
    events.on('lifecycle', (each) => told.push([each.event, each.detail]));
    await events.attach(connection);
    const domain = await define('life');
    expect(await connection.call(p.domainLookupByUuid, { uuid: domain.uuid })).toEqual({ domain });

    const { domain: running } = await connection.call(p.domainCreateWithFlags, { domain, flags: CreateFlag.paused });
    expect(running.id).toBeGreaterThan(0);
    expect((await state(domain)).state).toBe(DomainState.paused);
    await connection.call(p.domainResume, { domain });
    expect((await state(domain)).state).toBe(DomainState.running);
    await connection.call(p.domainSuspend, { domain });
    await connection.call(p.domainResume, { domain });

    expect(await connection.call(p.domainGetInfo, { domain })).toMatchObject({ vcpus: 1, maxMemory: 32n * 1024n });
    expect((await connection.call(p.domainGetXmlDesc, { domain, flags: XmlFlag.none })).xml).toContain("id='");
    expect((await connection.call(p.domainGetBlockInfo, { domain, path: 'sda', flags: 0 })).capacity).toBe(1_048_576n);
    expect((await connection.call(p.domainMemoryStats, { domain, flags: 0 })).stats.length).toBeGreaterThan(0);
    const { records } = await connection.call(p.connectGetAllDomainStats, {
      domains: [domain],
      stats: Stats.state | Stats.cpuTotal | Stats.block,
      flags: StatsFlag.none,
    });
    expect(paramValues(records[0]?.params ?? []).get('block.count')).toBe(1);
    await connection.call(p.domainSendKey, { domain, codeset: 0, holdTime: 10, keycodes: [29, 56, 111], flags: 0 });
    await expect(
      connection.call(p.domainGetGuestInfo, { domain, types: GuestInfo.os, flags: 0 }),
    ).rejects.toMatchObject({ code: ErrorCode.agentUnresponsive });
    await expect(
      connection.call(p.qemuDomainAgentCommand, { domain, command: '{"execute":"guest-ping"}', timeout: 1, flags: 0 }),
    ).rejects.toMatchObject({ code: ErrorCode.agentUnresponsive });

    await connection.call(p.domainReset, { domain, flags: 0 });
    await connection.call(p.domainDestroyFlags, { domain, flags: DestroyFlag.default });
    await connection.call(p.domainUndefineFlags, { domain, flags: UndefineFlag.nvram });
    await until('the last event', () => told.some(([event]) => event === Lifecycle.undefined));
    // Whether a destroyed guest's QEMU still says "shutdown" is a matter of luck.
    expect(told.filter(([event]) => event !== Lifecycle.shutdown)).toEqual([
      [Lifecycle.defined, 0],
      [Lifecycle.started, 0],
      [Lifecycle.suspended, 0],
      [Lifecycle.resumed, 0],
      [Lifecycle.suspended, 0],
      [Lifecycle.resumed, 0],
      [Lifecycle.stopped, StoppedDetail.destroyed],
      [Lifecycle.undefined, 0],
    ]);
    expect((await connection.call(p.connectListAllDomains, { flags: ListFlag.all })).domains).toEqual([]);
  });

  it('speaks with the guest over a console stream, and powers it off by ACPI', async () => {
    const events = new DomainEvents(['lifecycle']);
    const ended = new Promise<number>((resolve) =>
      events.on('lifecycle', (each) => each.event === Lifecycle.stopped && resolve(each.detail)),
    );
    const watcher = await Connection.open({ path: daemon.socket, uri: daemon.uri });
    await events.attach(watcher);
    const domain = await define('talk');
    await connection.call(p.domainCreateWithFlags, { domain, flags: CreateFlag.none });
    const { stream } = await connection.openStream(p.domainOpenConsole, { domain, flags: 0 });
    let heard = '';
    const closed = once(stream, 'close');
    stream.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
    // QEMU drops what goes to a pty that nobody had open yet, so ask until the guest answers.
    await until('the guest to answer', () => stream.write('?') && heard.includes('?'));
    stream.write('hello from the other side');
    await until('the echo', () => heard.includes('hello from the other side'));

    await connection.call(p.domainShutdownFlags, { domain, flags: ShutdownFlag.acpi });
    expect(await ended).toBe(StoppedDetail.shutdown);
    await closed;
    await connection.call(p.domainUndefineFlags, { domain, flags: UndefineFlag.nvram });
    watcher.close();
  });

  it('reads a screenshot through a slow reader while another connection works on', async () => {
    const domain = await define('shot');
    await connection.call(p.domainCreateWithFlags, { domain, flags: CreateFlag.none });
    const own = await Connection.open({ path: daemon.socket, uri: daemon.uri });
    const { stream, result } = await own.openStream(p.domainScreenshot, { domain, screen: 0, flags: 0 });
    expect(result.mime).toMatch(/^image\//);
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      await new Promise(setImmediate);
      chunks.push(chunk);
    }
    // How large it is depends on how far the firmware has come; a PNG's header says that it is whole at its start.
    expect(Buffer.concat(chunks).subarray(1, 4).toString()).toBe('PNG');
    // The same connection is still good after a stream that was read to its end, and after one that was aborted.
    const aborted = await own.openStream(p.domainScreenshot, { domain, screen: 0, flags: 0 });
    aborted.stream.destroy();
    expect((await own.call(p.connectGetHostname, undefined)).hostname).not.toBe('');
    own.close();
    await connection.call(p.domainDestroyFlags, { domain, flags: DestroyFlag.default });
    await connection.call(p.domainUndefineFlags, { domain, flags: UndefineFlag.nvram });
  });

  it('finds its guest again after the daemon was killed', async () => {
    const ups: number[] = [];
    const again = new ReconnectingConnection({
      path: daemon.socket,
      uri: daemon.uri,
      events: ['lifecycle'],
      onUp: () => ups.push(Date.now()),
    });
    const first = await again.connection();
    const domain = await define('stays');
    await connection.call(p.domainCreateWithFlags, { domain, flags: CreateFlag.none });
    await daemon.restart();
    await first.closed;
    const second = await again.connection();
    expect((await second.call(p.domainGetState, { domain, flags: 0 })).state).toBe(DomainState.running);
    const stopped = new Promise<void>((resolve) =>
      again.events.on('lifecycle', (each) => each.event === Lifecycle.stopped && resolve()),
    );
    // A guest that is destroyed while the daemon is still finding it again ends without an event; a pause waits for that.
    await second.call(p.domainSuspend, { domain });
    await second.call(p.domainDestroyFlags, { domain, flags: DestroyFlag.default });
    await stopped;
    expect(ups.length).toBe(2);
    await second.call(p.domainUndefineFlags, { domain, flags: UndefineFlag.nvram });
    await again.close();
  });
});
