// What the agent says of a VMI: pure changes of its status.
import { conditionOf, dropCondition, enterPhase, isFinal, setCondition } from '../core/status.ts';
import type { Condition, InterfaceStatus, VmiPhase, VmiStatus } from '../core/index.ts';
import type { Plan } from '../core/plan.ts';
import type { GuestOsInfo } from './guest-agent.ts';
import type { Ending, GuestState } from './guest.ts';
import type { GuestInterface } from './libvirt/index.ts';

type NewCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

const PAUSED: Record<'user' | 'ioError' | 'libvirt', NewCondition | undefined> = {
  user: { type: 'Paused', status: 'True', reason: 'PausedByUser', message: 'VMI was paused by user' },
  ioError: {
    type: 'Paused',
    status: 'True',
    reason: 'PausedIOError',
    message: 'VMI was paused, low-level IO error detected',
  },
  // Starting, saving, migrating: a pause of libvirt's own that passes.
  libvirt: undefined,
};

/** Running: the phase, readiness, what may migrate, the NICs. */
export function runningStatus(status: VmiStatus, plan: Plan, runtimeUser: number, now: Date): VmiStatus {
  let conditions = dropCondition(status.conditions, 'Synchronized');
  for (const condition of [{ type: 'Ready', status: 'True' } as const, liveMigratable(plan)])
    conditions = setCondition(conditions, condition, now);
  return { ...enterPhase(status, 'Running', now), conditions, interfaces: interfacesOf(plan), runtimeUser };
}

function liveMigratable(plan: Plan): NewCondition {
  const [blocker] = plan.blockers;
  if (!blocker) return { type: 'LiveMigratable', status: 'True' };
  return { type: 'LiveMigratable', status: 'False', reason: blocker.reason, message: blocker.message };
}

function interfacesOf(plan: Plan): InterfaceStatus[] {
  return plan.nics.map((nic) => ({
    name: nic.name,
    ...(nic.mac === undefined ? {} : { mac: nic.mac }),
    ...(nic.ips?.[0] === undefined ? {} : { ipAddress: nic.ips[0], ipAddresses: [...nic.ips] }),
    podInterfaceName: nic.source.podInterface,
    infoSource: 'domain',
    queueCount: 1,
  }));
}

/** The status while the guest runs or is paused. */
export function pausedStatus(status: VmiStatus, state: GuestState, now: Date): VmiStatus {
  const paused = state.is === 'paused' ? PAUSED[state.by] : undefined;
  if (state.is === 'paused' && !paused) return status;
  const conditions = paused ? setCondition(status.conditions, paused, now) : dropCondition(status.conditions, 'Paused');
  const was = conditionOf(status.conditions, 'Paused') !== undefined;
  if (!paused && !was) return status;
  const ready: NewCondition = paused
    ? { type: 'Ready', status: 'False', reason: 'GuestNotRunning', message: 'Guest VM is not reported as running' }
    : { type: 'Ready', status: 'True' };
  return { ...status, conditions: setCondition(conditions, ready, now) };
}

/** What the guest's agent told; `undefined`: there is no agent any more. */
export function agentStatus(
  status: VmiStatus,
  agent: { os: GuestOsInfo; interfaces: readonly GuestInterface[] } | undefined,
  now: Date,
): VmiStatus {
  const was = conditionOf(status.conditions, 'AgentConnected') !== undefined;
  if (!agent) return was ? { ...status, conditions: dropCondition(status.conditions, 'AgentConnected') } : status;
  return {
    ...status,
    conditions: setCondition(status.conditions, { type: 'AgentConnected', status: 'True' }, now),
    guestOSInfo: { ...agent.os },
    interfaces: mergeInterfaces(status.interfaces ?? [], agent.interfaces),
  };
}

/** The domain's NICs with what the guest says of them (matched by MAC), then NICs that only the guest knows. */
function mergeInterfaces(known: readonly InterfaceStatus[], told: readonly GuestInterface[]): InterfaceStatus[] {
  const byMac = new Map(told.filter((nic) => nic.mac !== undefined).map((nic) => [nic.mac?.toLowerCase(), nic]));
  const merged = known
    .filter((nic) => nic.infoSource !== 'guest-agent')
    .map((nic) => {
      const found = nic.mac === undefined ? undefined : byMac.get(nic.mac.toLowerCase());
      if (!found) return nic;
      byMac.delete(nic.mac?.toLowerCase());
      // Behind a translation of addresses the pod's are the ones to reach the guest by, so they stay.
      const ips = nic.ipAddresses ?? found.addresses.map((each) => each.address);
      return {
        ...nic,
        ...(ips[0] === undefined ? {} : { ipAddress: ips[0], ipAddresses: ips }),
        interfaceName: found.name,
        infoSource: 'domain, guest-agent',
      };
    });
  const others = [...byMac.values()].map((nic) => ({
    ...(nic.mac === undefined ? {} : { mac: nic.mac }),
    interfaceName: nic.name,
    ...(nic.addresses[0] === undefined
      ? {}
      : { ipAddress: nic.addresses[0].address, ipAddresses: nic.addresses.map((each) => each.address) }),
    infoSource: 'guest-agent',
  }));
  return [...merged, ...others.filter((nic) => nic.interfaceName !== 'lo')];
}

/** How a guest ended, for its phase and for people. */
export interface Outcome {
  readonly phase: 'Succeeded' | 'Failed';
  readonly message: string;
}

export function outcomeOf(how: Ending): Outcome {
  switch (how) {
    case 'shutdown':
    case 'migrated':
      return { phase: 'Succeeded', message: 'The VirtualMachineInstance was shut down.' };
    case 'crashed':
      return { phase: 'Failed', message: 'The VirtualMachineInstance crashed.' };
    case 'destroyed':
      return { phase: 'Failed', message: 'The VirtualMachineInstance was destroyed.' };
    case 'unknown':
      return { phase: 'Failed', message: 'The VirtualMachineInstance ended while nobody watched.' };
  }
}

export function finalStatus(status: VmiStatus, outcome: Outcome, now: Date): VmiStatus {
  if (isFinal(status.phase)) return status;
  const phase: VmiPhase = outcome.phase;
  let conditions = dropCondition(dropCondition(status.conditions, 'Paused'), 'AgentConnected');
  conditions = dropCondition(conditions, 'Synchronized');
  const ready: NewCondition = {
    type: 'Ready',
    status: 'False',
    reason: 'GuestNotRunning',
    message: 'Guest VM is not reported as running',
  };
  return { ...enterPhase(status, phase, now), conditions: setCondition(conditions, ready, now) };
}

/** A soft error: the VMI stays as it is and says what holds it up. */
export function troubledStatus(status: VmiStatus, reason: string, message: string, now: Date): VmiStatus {
  const condition: NewCondition = { type: 'Synchronized', status: 'False', reason, message };
  return { ...status, conditions: setCondition(status.conditions, condition, now) };
}
