// The VirtualMachine controller: keeps the VMI that the run strategy asks for, and tells of it in the VM's status.
import {
  CachedWriter,
  Controller,
  RESTART_REQUIRED,
  VMIS,
  isFinal,
  isNotFound,
  setCondition,
  conditionOf,
  messageOf,
  type Condition,
  type ControllerContext,
  type Informer,
  type Request,
  type Result,
  type Vmi,
} from '../../core/index.ts';
import {
  VIRTUAL_MACHINE,
  VMS,
  VM_FINALIZER,
  runStrategyOf,
  type StateChangeRequest,
  type VirtualMachine,
  type VirtualMachineStatus,
} from './kind.ts';
import { printableStatus } from './printable-status.ts';
import { restartRequired, templateAnnotation } from './restart-required.ts';
import { decide, remaining, startFailure } from './run-strategy.ts';

export function virtualMachineController(context: ControllerContext): Controller {
  const vms = context.informer<VirtualMachine>(VMS);
  const vmis = context.informer<Vmi>(VMIS);
  const reconciler = new VirtualMachineReconciler(context, vms, vmis);
  return new Controller({
    name: 'virtualmachine',
    log: context.log,
    reconcile: (request) => reconciler.reconcile(request),
  })
    .watch(vms)
    .watch(vmis);
}

class VirtualMachineReconciler {
  readonly #context: ControllerContext;
  readonly #vms: Informer<VirtualMachine>;
  readonly #vmis: Informer<Vmi>;
  /** VMIs we made that the cache does not show yet: VM's uid to VMI's uid. */
  readonly #made = new Map<string, string>();
  readonly #writer: CachedWriter<VirtualMachine>;

  constructor(context: ControllerContext, vms: Informer<VirtualMachine>, vmis: Informer<Vmi>) {
    this.#context = context;
    this.#vms = vms;
    this.#vmis = vmis;
    this.#writer = new CachedWriter(context.client, vms);
  }

  async reconcile({ namespace, name }: Request): Promise<Result> {
    const vm = this.#vms.get(namespace, name);
    if (!vm) return;
    const uid = vm.metadata.uid ?? '';
    if (this.#writer.isBehind(vm)) return;
    const found = this.#vmis.get(namespace, name);
    const mine = found?.metadata.ownerReferences?.some((owner) => owner.uid === uid) ? found : undefined;
    if (mine && this.#made.get(uid) === mine.metadata.uid) this.#made.delete(uid);
    if (vm.metadata.deletionTimestamp !== undefined) return this.#delete(vm, mine);
    if (found && !mine) {
      const message = `a VirtualMachineInstance "${name}" is there that this VirtualMachine does not own`;
      await this.#report(vm, undefined, false, message);
      return { afterMs: 30_000, why: message };
    }

    const starting = this.#made.has(uid);
    if (starting) return;
    const now = new Date();
    const requests = remaining(vm.status?.stateChangeRequests ?? [], mine);
    const current: VirtualMachine = { ...vm, status: { ...vm.status, stateChangeRequests: requests } };
    const decision = decide(current, mine, now);
    let failure: string | undefined;
    let started = false;
    if (decision.do === 'start') {
      try {
        started = await this.#start(vm);
      } catch (error) {
        failure = messageOf(error);
        this.#context.events.event(
          vm,
          'Warning',
          'FailedCreate',
          `Error creating virtual machine instance: ${failure}`,
        );
      }
    }
    let waiting = started ? remaining(requests, { metadata: {} } as Vmi) : requests;
    if (decision.do === 'stop' && mine) {
      if (decision.again) {
        // As a restart by hand: the Stop holds the Start back until this very VMI is gone.
        waiting = [{ action: 'Stop', uid: mine.metadata.uid ?? '' }, { action: 'Start' }];
        // Recorded before the VMI goes: neither a crash nor a stale cache in between may lose the restart.
        if (!(await this.#report(current, mine, false, undefined, waiting))) return;
      }
      await this.#stop(vm, mine);
      if (decision.again) return;
    }
    await this.#report(vm, mine, started, failure, waiting);
    if (failure !== undefined) throw new Error(failure);
    if (decision.do === 'wait')
      return { afterMs: decision.afterMs, why: 'start failures: waiting before the next start' };
  }

  async #start(vm: VirtualMachine): Promise<boolean> {
    const { namespace, name = '', uid = '' } = vm.metadata;
    const { template } = vm.spec;
    const vmi: Vmi = {
      apiVersion: 'kubevirt.io/v1',
      kind: VMIS.kind,
      metadata: {
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(template.metadata?.labels ? { labels: template.metadata.labels } : {}),
        annotations: {
          ...template.metadata?.annotations,
          ...templateAnnotation(vm),
          'kubevirt.io/vm-generation': String(vm.metadata.generation ?? 1),
        },
        ownerReferences: [
          {
            apiVersion: vm.apiVersion,
            kind: VIRTUAL_MACHINE.resource.kind,
            name,
            uid,
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
      },
      spec: template.spec,
    };
    const made = await this.#context.client.create<Vmi>(VMIS, namespace, vmi);
    if (!this.#vmis.get(namespace ?? '', name)) this.#made.set(uid, made.metadata.uid ?? '');
    this.#context.events.event(
      vm,
      'Normal',
      'SuccessfulCreate',
      `Started the virtual machine by creating the new virtual machine instance ${name}`,
    );
    return true;
  }

  async #stop(vm: VirtualMachine, vmi: Vmi): Promise<void> {
    const { namespace, name = '', uid = '' } = vmi.metadata;
    if (vmi.metadata.deletionTimestamp !== undefined) return;
    try {
      await this.#context.client.delete(VMIS, namespace, name, { preconditions: { uid } });
    } catch (error) {
      if (isNotFound(error)) return;
      this.#context.events.event(
        vm,
        'Warning',
        'FailedDelete',
        `Error deleting virtual machine instance ${name}: ${messageOf(error)}`,
      );
      throw error;
    }
    this.#context.events.event(
      vm,
      'Normal',
      'SuccessfulDelete',
      `Stopped the virtual machine by deleting the virtual machine instance ${uid}`,
    );
  }

  async #delete(vm: VirtualMachine, vmi: Vmi | undefined): Promise<Result> {
    const finalizers = vm.metadata.finalizers ?? [];
    if (!finalizers.includes(VM_FINALIZER)) return;
    const orphan = finalizers.includes('orphan');
    if (vmi && !orphan) {
      await this.#stop(vm, vmi);
      await this.#report(vm, vmi, false);
      return;
    }
    if (!orphan && this.#made.has(vm.metadata.uid ?? '')) return { afterMs: 200, why: 'its VMI was only just made' };
    await this.#writer.write(vm, { metadata: { finalizers: finalizers.filter((one) => one !== VM_FINALIZER) } });
  }

  /** Brings the status up to date in at most one write; false where the cache was too old for it. */
  async #report(
    vm: VirtualMachine,
    vmi: Vmi | undefined,
    started: boolean,
    failure?: string,
    waiting: readonly StateChangeRequest[] = vm.status?.stateChangeRequests ?? [],
  ): Promise<boolean> {
    const now = new Date();
    const old = vm.status ?? {};
    const failed = startFailure(vm, vmi, now, Math.random);
    const ready = conditionOf(vmi?.status?.conditions, 'Ready');
    let conditions = setCondition(old.conditions, readiness(vmi, ready), now);
    conditions =
      failure === undefined
        ? conditions.filter((one) => one.type !== 'Failure')
        : setCondition(conditions, { type: 'Failure', status: 'True', reason: 'FailedCreate', message: failure }, now);
    const restart = vmi && !isFinal(vmi.status?.phase) ? restartRequired(vm, vmi) : undefined;
    conditions = restart
      ? setCondition(conditions, restart, now)
      : conditions.filter((one) => one.type !== RESTART_REQUIRED);
    const next: VirtualMachineStatus = {
      ...old,
      conditions: mirrored(conditions, vmi),
      created: vmi !== undefined,
      ready: ready?.status === 'True',
      // A strategy counts as taken up only when its first start did not fail.
      ...(failure === undefined ? { runStrategy: runStrategyOf(vm) } : {}),
      printableStatus: printableStatus(
        { ...vm, status: { ...old, ...(failed ? { startFailure: failed } : {}) } },
        vmi,
        started,
      ),
    };
    delete next.startFailure;
    delete next.stateChangeRequests;
    if (failed) next.startFailure = failed;
    if (waiting.length > 0) next.stateChangeRequests = [...waiting];
    // A VMI that ended without its controller's word is not ready, whatever its condition says.
    if (isFinal(vmi?.status?.phase)) next.ready = false;
    if (JSON.stringify(sorted(next)) === JSON.stringify(sorted(old))) return true;
    const patch: Record<string, unknown> = { ...next };
    for (const key of Object.keys(old)) if (!(key in next)) patch[key] = null;
    return this.#writer.write(vm, { status: patch }, 'status');
  }
}

/** The VM's Ready: the VMI's own, where it has one. */
function readiness(vmi: Vmi | undefined, ready: Condition | undefined): Condition {
  if (!vmi) return { type: 'Ready', status: 'False', reason: 'VMINotExists', message: 'VMI does not exist' };
  if (ready) return ready;
  const message = 'VMI is missing the Ready condition';
  return { type: 'Ready', status: 'False', reason: 'VMIConditionMissing', message };
}

/** Conditions of the VMI that people look for on the VM. */
const MIRRORED = ['LiveMigratable', 'AgentConnected', 'Paused', 'StorageLiveMigratable'];

function mirrored(
  conditions: NonNullable<VirtualMachineStatus['conditions']>,
  vmi: Vmi | undefined,
): NonNullable<VirtualMachineStatus['conditions']> {
  const own = conditions.filter((one) => !MIRRORED.includes(one.type));
  return [...own, ...(vmi?.status?.conditions ?? []).filter((one) => MIRRORED.includes(one.type))];
}

function sorted(status: VirtualMachineStatus): unknown[] {
  return Object.entries(status).sort(([a], [b]) => (a < b ? -1 : 1));
}
