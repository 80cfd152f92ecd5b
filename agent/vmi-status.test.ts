import { describe, expect, it } from 'vitest';
import type { Condition, InterfaceStatus, VmiStatus } from '../core/index.ts';
import { isAgentConnected, parseGuestInfo } from './guest-agent.ts';
import { el } from '../core/index.ts';
import { agentStatus, finalStatus, outcomeOf, pausedStatus, troubledStatus } from './vmi-status.ts';

const NOW = new Date('2026-01-02T03:04:05.678Z');
const LATER = new Date('2026-01-02T03:05:00Z');
const ready: Condition = {
  type: 'Ready',
  status: 'True',
  lastProbeTime: null,
  lastTransitionTime: '2026-01-01T00:00:00Z',
};
const running: VmiStatus = { phase: 'Running', conditions: [ready] };
const types = (status: VmiStatus) => status.conditions?.map((each) => [each.type, each.status, each.reason]);

describe('a pause', () => {
  it('shows as a condition, takes readiness, and goes without a trace', () => {
    const paused = pausedStatus(running, { is: 'paused', by: 'user' }, NOW);
    expect(types(paused)).toEqual([
      ['Ready', 'False', 'GuestNotRunning'],
      ['Paused', 'True', 'PausedByUser'],
    ]);
    expect(pausedStatus(paused, { is: 'paused', by: 'user' }, LATER)).toEqual(paused);
    expect(types(pausedStatus(paused, { is: 'running' }, LATER))).toEqual([['Ready', 'True', undefined]]);
  });

  it('of libvirt itself says nothing', () => {
    expect(pausedStatus(running, { is: 'paused', by: 'libvirt' }, NOW)).toBe(running);
    expect(pausedStatus(running, { is: 'running' }, NOW)).toBe(running);
    expect(types(pausedStatus(running, { is: 'paused', by: 'ioError' }, NOW))?.[1]?.[2]).toBe('PausedIOError');
  });
});

describe('an end', () => {
  it('sets the phase once, and leaves no condition of a living guest', () => {
    const alive = { ...running, conditions: [ready, { type: 'AgentConnected', status: 'True' } as const] };
    const over = finalStatus(troubledStatus(alive, 'X', 'y', NOW), outcomeOf('shutdown'), NOW);
    expect(over.phase).toBe('Succeeded');
    expect(over.phaseTransitionTimestamps).toEqual([
      { phase: 'Succeeded', phaseTransitionTimestamp: '2026-01-02T03:04:05Z' },
    ]);
    expect(types(over)).toEqual([['Ready', 'False', 'GuestNotRunning']]);
    expect(finalStatus(over, outcomeOf('crashed'), LATER)).toBe(over);
  });

  it('is a success only where the guest powered off', () => {
    const phases = (['shutdown', 'migrated', 'crashed', 'destroyed', 'unknown'] as const).map(
      (how) => outcomeOf(how).phase,
    );
    expect(phases).toEqual(['Succeeded', 'Succeeded', 'Failed', 'Failed', 'Failed']);
  });
});

describe("the guest's agent", () => {
  const os = { id: 'debian', prettyName: 'Debian' };
  const nic: InterfaceStatus = {
    name: 'default',
    mac: '52:54:00:AA:BB:01',
    ipAddress: '10.0.0.7',
    ipAddresses: ['10.0.0.7'],
    infoSource: 'domain',
  };
  const told = [
    { name: 'eth0', mac: '52:54:00:aa:bb:01', addresses: [{ type: 0, address: '10.0.2.2', prefix: 24 }] },
    { name: 'docker0', mac: '02:42:00:00:00:01', addresses: [{ type: 0, address: '172.17.0.1', prefix: 16 }] },
    { name: 'lo', mac: '00:00:00:00:00:00', addresses: [{ type: 0, address: '127.0.0.1', prefix: 8 }] },
  ];

  it('adds names and interfaces, and takes no address from the pod', () => {
    const status = agentStatus({ ...running, interfaces: [nic] }, { os, interfaces: told }, NOW);
    expect(status.guestOSInfo).toEqual(os);
    expect(status.interfaces).toEqual([
      { ...nic, interfaceName: 'eth0', infoSource: 'domain, guest-agent' },
      {
        mac: '02:42:00:00:00:01',
        interfaceName: 'docker0',
        ipAddress: '172.17.0.1',
        ipAddresses: ['172.17.0.1'],
        infoSource: 'guest-agent',
      },
    ]);
    expect(agentStatus(status, { os, interfaces: told }, LATER)).toEqual(status);
    expect(types(agentStatus(status, undefined, LATER))).toEqual([['Ready', 'True', undefined]]);
    expect(agentStatus(running, undefined, NOW)).toBe(running);
  });

  it('gives the addresses where the pod has none for the NIC', () => {
    const bare = { name: 'second', mac: '52:54:00:aa:bb:01', infoSource: 'domain' };
    const status = agentStatus({ ...running, interfaces: [bare] }, { os, interfaces: told }, NOW);
    expect(status.interfaces?.[0]).toMatchObject({ ipAddress: '10.0.2.2', interfaceName: 'eth0' });
  });

  it('is known by the state of its channel', () => {
    const channel = (name: string, state: string) => el('channel', { type: 'unix' }, el('target', { name, state }));
    expect(isAgentConnected([channel('org.qemu.guest_agent.0', 'connected')])).toBe(true);
    expect(isAgentConnected([channel('org.qemu.guest_agent.0', 'disconnected')])).toBe(false);
    expect(isAgentConnected([channel('com.redhat.spice.0', 'connected')])).toBe(false);
  });

  it('is read from what libvirt passes on, however much that is', () => {
    const text = (field: string, value: string) => ({ field, type: 'string' as const, value });
    const data = parseGuestInfo([
      text('os.id', 'debian'),
      text('os.pretty-name', 'x'.repeat(5000)),
      text('hostname', 'tiny'),
      text('timezone.name', 'CET'),
      { field: 'timezone.offset', type: 'int', value: 3600 },
      { field: 'user.count', type: 'uint', value: 4_000_000_000 },
      text('user.0.name', 'root'),
      { field: 'user.0.login-time', type: 'ullong', value: 1_700_000_000_500n },
      { field: 'fs.count', type: 'uint', value: 1 },
      text('fs.0.name', 'vda1'),
      text('fs.0.mountpoint', '/'),
      text('fs.0.fstype', 'ext4'),
      { field: 'fs.0.total-bytes', type: 'ullong', value: 1024n },
      { field: 'fs.0.used-bytes', type: 'ullong', value: 512n },
    ]);
    expect(data.os.prettyName).toHaveLength(1024);
    expect(data).toMatchObject({ hostname: 'tiny', timezone: 'CET, 3600' });
    expect(data.users).toHaveLength(256);
    expect(data.users[0]).toEqual({ userName: 'root', loginTime: 1_700_000_000.5 });
    expect(data.fileSystems).toEqual([
      { diskName: 'vda1', mountPoint: '/', fileSystemType: 'ext4', usedBytes: 512, totalBytes: 1024 },
    ]);
  });
});
