// start, stop, restart: what virtctl asks for, turned into a change of the VM's spec or a request in its status.
import {
  KubeError,
  VMIS,
  getPath,
  isConflict,
  isFinal,
  isNotFound,
  type Verb,
  type VerbAnswer,
  type VerbContext,
  type Vmi,
} from '../../core/index.ts';
import { VMS, runStrategyOf, type StateChangeRequest, type VirtualMachine } from './kind.ts';

const ACCEPTED: VerbAnswer = { status: 202 };

function conflict(name: string, why: string): KubeError {
  const message = `Operation cannot be fulfilled on virtualmachine.kubevirt.io "${name}": ${why}`;
  return new KubeError(409, 'Conflict', message, { name, group: 'kubevirt.io', kind: 'virtualmachine' });
}

function badRequest(message: string): KubeError {
  return new KubeError(400, 'BadRequest', message);
}

async function look(context: VerbContext): Promise<{ vm: VirtualMachine; vmi: Vmi | undefined }> {
  const { client, namespace, name } = context;
  const vm = await client.get<VirtualMachine>(VMS, namespace, name).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
    const details = { name, group: 'kubevirt.io', kind: 'virtualmachine' };
    throw new KubeError(404, 'NotFound', `virtualmachine.kubevirt.io "${name}" not found`, details);
  });
  const vmi = await client.get<Vmi>(VMIS, namespace, name).catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  return { vm, vmi };
}

function isDryRun(body: unknown): boolean {
  const dryRun = getPath(body, ['dryRun']);
  return Array.isArray(dryRun) && dryRun.includes('All');
}

/** Refused with 409 if somebody else has changed the strategy since it was looked at; a change of status does not matter. */
async function setRunning(context: VerbContext, vm: VirtualMachine, running: boolean): Promise<void> {
  if (isDryRun(context.body)) return;
  const [field, value] =
    vm.spec.runStrategy === undefined ? ['running', running] : ['runStrategy', running ? 'Always' : 'Halted'];
  const path = `/spec/${String(field)}`;
  const patch = [
    { op: 'test', path, value: vm.spec.runStrategy ?? vm.spec.running },
    { op: 'replace', path, value },
  ];
  await context.client.patch(VMS, context.namespace, context.name, patch, { type: 'json' }).catch((error: unknown) => {
    // What a failed test of a JSON patch is to Kubernetes.
    if (!(error instanceof KubeError) || error.code !== 422) throw error;
    throw conflict(context.name, error.message);
  });
}

const TRIES = 5;

/** Leaves the request in the VM's status; tried again when the controller wrote there meanwhile. */
async function request(context: VerbContext, found: VirtualMachine, requests: StateChangeRequest[]): Promise<void> {
  for (let vm = found, tries = 1; ; tries++) {
    if (vm.status?.stateChangeRequests?.length) {
      throw conflict(context.name, 'unable to complete request: stop/start already underway');
    }
    if (isDryRun(context.body)) return;
    const { resourceVersion } = vm.metadata;
    const patch = { metadata: { resourceVersion }, status: { stateChangeRequests: requests } };
    try {
      await context.client.patch(VMS, context.namespace, context.name, patch, { type: 'merge', subresource: 'status' });
      return;
    } catch (error) {
      if (!isConflict(error) || tries === TRIES) throw error;
      vm = (await look(context)).vm;
    }
  }
}

/** The grace period the guest gets, put into the VMI before it is stopped. */
async function setGracePeriod(context: VerbContext, seconds: number): Promise<void> {
  if (isDryRun(context.body)) return;
  const patch = { spec: { terminationGracePeriodSeconds: seconds } };
  await context.client.patch(VMIS, context.namespace, context.name, patch, { type: 'merge' });
}

async function start(context: VerbContext): Promise<VerbAnswer> {
  const { vm, vmi } = await look(context);
  const phase = vmi?.status?.phase ?? '';
  if (vmi && !isFinal(phase) && phase !== 'Unknown' && phase !== '') {
    throw conflict(context.name, 'VM is already running');
  }
  if (getPath(context.body, ['paused']) === true) {
    throw badRequest('paused: starting a VM paused belongs to a feature that is not part of this version');
  }
  const strategy = runStrategyOf(vm);
  switch (strategy) {
    case 'Halted':
      await setRunning(context, vm, true);
      return ACCEPTED;
    case 'Always':
    case 'Once':
      throw conflict(context.name, `${strategy} does not support manual start requests`);
    case 'Manual':
    case 'RerunOnFailure': {
      if (strategy === 'RerunOnFailure' && phase === 'Failed') {
        throw conflict(context.name, 'RerunOnFailure does not support starting VM from failed state');
      }
      const again = vmi && isFinal(phase);
      const stop: StateChangeRequest[] = again ? [{ action: 'Stop', uid: vmi.metadata.uid ?? '' }] : [];
      await request(context, vm, [...stop, { action: 'Start' }]);
      return ACCEPTED;
    }
  }
}

async function stop(context: VerbContext): Promise<VerbAnswer> {
  const { vm, vmi } = await look(context);
  const grace = getPath(context.body, ['gracePeriod']);
  if (grace !== undefined && grace !== null && (typeof grace !== 'number' || !Number.isInteger(grace) || grace < 0)) {
    throw badRequest('gracePeriod has to be greater or equal to 0');
  }
  const alive = vmi !== undefined && !isFinal(vmi.status?.phase);
  const strategy = runStrategyOf(vm);
  if (strategy === 'Halted' || strategy === 'Manual' || strategy === 'RerunOnFailure') {
    if (!alive) throw conflict(context.name, 'VM is not running');
    if (strategy === 'Halted' && typeof grace !== 'number') {
      throw conflict(context.name, 'Halted only supports manual stop requests with a shorter graceperiod');
    }
  }
  if (alive && typeof grace === 'number') await setGracePeriod(context, grace);
  if (strategy === 'Always' || strategy === 'Once') await setRunning(context, vm, false);
  else if (strategy !== 'Halted') await request(context, vm, [{ action: 'Stop', uid: vmi?.metadata.uid ?? '' }]);
  return ACCEPTED;
}

async function restart(context: VerbContext): Promise<VerbAnswer> {
  const { vm, vmi } = await look(context);
  const grace = getPath(context.body, ['gracePeriodSeconds']);
  if (typeof grace === 'number' && grace > 0) {
    throw badRequest('For force restart, only gracePeriod=0 is supported for now');
  }
  if (typeof grace === 'number' && grace < 0) throw badRequest('gracePeriod has to be greater or equal to 0');
  const strategy = runStrategyOf(vm);
  if (strategy === 'Halted' || strategy === 'Once') {
    throw conflict(context.name, `RunStategy ${strategy} does not support manual restart requests`);
  }
  if (!vmi) throw conflict(context.name, 'VM is not running: Halted');
  if (grace === 0) await setGracePeriod(context, 0);
  await request(context, vm, [{ action: 'Stop', uid: vmi.metadata.uid ?? '' }, { action: 'Start' }]);
  return ACCEPTED;
}

export const verbs: readonly Verb[] = [
  { resource: VMS.plural, name: 'start', method: 'PUT', handle: start },
  { resource: VMS.plural, name: 'stop', method: 'PUT', handle: stop },
  { resource: VMS.plural, name: 'restart', method: 'PUT', handle: restart },
];
