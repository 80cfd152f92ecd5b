// The plan: what one VMI becomes. A pure function of (vmi, facts) and the enabled plugins.
import { copyTree, DomainDraft, signed } from './domain/draft.ts';
import type { Element } from './domain/element.ts';
import { fail } from './errors.ts';
import { freeze } from './freeze.ts';
import type { DraftSource } from './hooks.ts';
import type { Host } from './host.ts';
import type { KubeObject } from './kube/objects.ts';
import type {
  AttachedDisk,
  AttachedNic,
  Attachment,
  Migratable,
  Overhead,
  PlanDraft,
  PrepareInput,
  SourceAttachment,
} from './plugin.ts';
import { PodDraft, PodTree } from './pod.ts';
import { EVERYWHERE, type Scopes } from './scope.ts';
import type { Chain, Rewrite, RewriteDraft, Step, StepDraft } from './steps.ts';
import type { Tap } from './tap.ts';
import type { Trace } from './trace.ts';
import type { Disk, Facts, Interface, Json, Network, Owner, Vmi, Volume } from './types.ts';

export interface Plan {
  /** The launcher pod and the tap behind each of its fields. */
  readonly pod: PodTree;
  /** The libvirt domain, each element signed. */
  readonly domain: Element;
  /** Node steps, in chains. */
  readonly chains: readonly Chain[];
  /** What is done on the node to the domain, and to other documents, when they are complete: in order. */
  readonly rewrites: readonly Rewrite[];
  /** The memory ledger: what the pod needs besides the guest's own memory. */
  readonly overhead: readonly (Overhead & { readonly by: Owner })[];
  /** Everything that speaks against a live migration. */
  readonly blockers: readonly { readonly reason: string; readonly message: string; readonly by: Owner }[];
  readonly nics: readonly AttachedNic[];
}

const CORE: Owner = { plugin: 'core', tap: 'plan' };
type DomainPhase = Exclude<Chain['phase'], 'disk' | 'network'>;

/** The one key of `item`, besides its name, that `known` has a plugin for. */
function handledKey(
  item: object,
  known: ReadonlyMap<string, string>,
  what: string,
  field: string,
): { key: string; plugin: string } {
  let other = '(none)';
  for (const key in item) {
    const plugin = known.get(key);
    if (plugin !== undefined) return { key, plugin };
    if (key !== 'name') other = key;
  }
  throw fail('VL_SOURCE_UNKNOWN', { field, what, key: other, known: [...known.keys()].join(', ') || '(none)' });
}

/** Collects one plan while the hooks run. */
class Draft {
  pod = new PodTree();
  domain: Element = { tag: 'domain', attrs: {}, children: [], by: CORE };
  readonly chains: Chain[] = [];
  readonly rewrites: Rewrite[] = [];
  readonly overhead: (Overhead & { by: Owner })[] = [];
  readonly blockers: { reason: string; message: string; by: Owner }[] = [];
  readonly #domainSteps: { readonly [phase in DomainPhase]: Step[] } = { domain: [], started: [], stopping: [] };
  overheadTotal = 0;

  /** The function that it gives brings the plan back to what it is now. */
  checkpoint(): () => void {
    const pod = this.pod.copy();
    const domain = copyTree(this.domain);
    const total = this.overheadTotal;
    const steps = Object.values(this.#domainSteps);
    const lists: unknown[][] = [this.chains, this.rewrites, this.overhead, this.blockers, ...steps];
    const lengths = lists.map((list) => list.length);
    return () => {
      this.pod = pod;
      this.domain = domain;
      this.overheadTotal = total;
      lists.forEach((list, index) => (list.length = lengths[index] as number));
    };
  }

  ledger(entry: Overhead, by: Owner): void {
    this.overhead.push({ ...entry, by });
    this.overheadTotal += entry.mebibytes;
  }

  answer(answer: Migratable | undefined, by: Owner): void {
    if (answer !== undefined && answer !== true) this.blockers.push({ ...answer, by });
  }

  attach(attachment: Attachment, by: Owner, scopes: Scopes, subject: string): Step[] {
    if (attachment.pod || attachment.compute) {
      const pod = new PodDraft(this.pod, by, scopes.pod);
      if (attachment.pod) pod.merge(attachment.pod);
      if (attachment.compute) pod.compute(attachment.compute);
    }
    for (const entry of attachment.overhead ?? []) this.ledger(entry, by);
    this.answer(attachment.migratable, by);
    const now: Step[] = [];
    for (const step of attachment.steps ?? []) {
      const made = stepOf(step, by.plugin, subject);
      if (step.at) this.chain(step.at, subject, [made]);
      else now.push(made);
    }
    return now;
  }

  chain(phase: Chain['phase'], subject: string, steps: Step[]): void {
    if (steps.length > 0) this.chains.push({ phase, subject, steps });
  }

  domainStep(step: StepDraft, by: Owner): void {
    const phase = step.at ?? 'domain';
    const steps = this.#domainSteps[phase];
    if (steps.length === 0) this.chains.push({ phase, subject: 'domain', steps });
    steps.push(stepOf(step, by.plugin, 'domain'));
  }

  rewrite({ field, of = 'domain', ...rewrite }: RewriteDraft, by: Owner): void {
    const owner = field === undefined ? by : { ...by, field };
    this.rewrites.push({ ...stepOf(rewrite, by.plugin, 'rewrite'), of, by: owner });
  }
}

interface Attached {
  readonly vmi: Vmi;
  readonly facts: Facts;
  readonly draft: Draft;
  readonly disks: readonly AttachedDisk[];
  readonly nics: readonly AttachedNic[];
}

function diskToHand(attached: AttachedDisk): AttachedDisk {
  const { disk } = attached;
  if (!disk) return { ...attached };
  const copy = { ...disk, driver: { ...disk.driver }, source: copyTree(disk.source) };
  if (disk.backingStore) copy.backingStore = copyTree(disk.backingStore);
  return { ...attached, disk: copy };
}

function nicToHand(attached: AttachedNic): AttachedNic {
  const nic = { ...attached, source: { ...attached.source } };
  if (attached.interface) {
    const { type, children } = attached.interface;
    nic.interface = { type, children: children.map(copyTree) };
  }
  return nic;
}

/** What one prepareDomain tap sees, and what it writes with; every write is signed with its name. */
class Turn implements PrepareInput, PlanDraft {
  readonly #all: Attached;
  readonly #tap: Tap;
  #disks: AttachedDisk[] | undefined;
  #nics: AttachedNic[] | undefined;
  #domain: DomainDraft | undefined;
  #pod: PodDraft | undefined;

  constructor(all: Attached, tap: Tap) {
    this.#all = all;
    this.#tap = tap;
  }

  get vmi(): Vmi {
    return this.#all.vmi;
  }

  get facts(): Facts {
    return this.#all.facts;
  }

  // A copy for each tap that looks: quicker than freezing, and what a tap does to its own hurts nobody.
  get disks(): readonly AttachedDisk[] {
    return (this.#disks ??= this.#all.disks.map(diskToHand));
  }

  get nics(): readonly AttachedNic[] {
    return (this.#nics ??= this.#all.nics.map(nicToHand));
  }

  /** A function of its own, so that a tap may take it out of the input. */
  get result(): (id: string) => Json | undefined {
    return resultOf(this.#all.facts, this.#tap.owner.plugin, 'domain');
  }

  get domain(): DomainDraft {
    const { owner, policy } = this.#tap;
    return (this.#domain ??= new DomainDraft(this.#all.draft.domain, owner, policy.scopes.domain));
  }

  get pod(): PodDraft {
    const { owner, policy } = this.#tap;
    return (this.#pod ??= new PodDraft(this.#all.draft.pod, owner, policy.scopes.pod));
  }

  overhead(entry: Overhead): void {
    this.#all.draft.ledger(entry, this.#tap.owner);
  }

  overheadSoFar(): number {
    return this.#all.draft.overheadTotal;
  }

  step(step: StepDraft): void {
    this.#all.draft.domainStep(step, this.#tap.owner);
  }

  rewrite(rewrite: RewriteDraft): void {
    this.#all.draft.rewrite(rewrite, this.#tap.owner);
  }

  migratable(answer: Migratable): void {
    this.#all.draft.answer(answer, this.#tap.owner);
  }
}

function stepOf(step: StepDraft, plugin: string, subject: string): Step {
  const made: Step = { id: `${plugin}/${subject}/${step.id}`, plugin, action: step.action, args: step.args ?? {} };
  return step.failurePolicy === 'Ignore' ? { ...made, failurePolicy: 'Ignore' } : made;
}

/**
 * Derives pod, domain and node steps. Controller, agent and CLI call this with the facts that they have;
 * the same inputs give the same plan. A `trace` made of this VMI learns what taps read of it before they write.
 * Throws VirtloomError (VL_SOURCE_UNKNOWN, VL_TAP_*, VL_CONFLICT).
 */
export async function plan(host: Host, vmi: Vmi, facts: Facts, trace?: Trace): Promise<Plan> {
  freeze(vmi);
  freeze(facts);
  const draft = new Draft();
  const { name = '', namespace = '', uid = '' } = vmi.metadata;
  new PodDraft(draft.pod, CORE, EVERYWHERE).merge({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `virt-launcher-${name}-`,
      namespace,
      ownerReferences: [
        { apiVersion: vmi.apiVersion, kind: vmi.kind, name, uid, controller: true, blockOwnerDeletion: true },
      ],
    },
  });
  const disks = await attachDisks(host, draft, vmi, facts);
  const nics = await attachNics(host, draft, vmi, facts);

  const attached: Attached = { vmi, facts, draft, disks, nics };
  const source: DraftSource = {
    turn: (tap) => {
      const turn = new Turn(attached, tap);
      return trace ? trace.turn(turn, tap.owner) : turn;
    },
    checkpoint: () => draft.checkpoint(),
  };
  await host.hooks.prepareDomain.first.promise(source);
  await host.hooks.prepareDomain.main.promise(source);
  await host.hooks.prepareDomain.last.promise(source);
  if (!host.migrates) {
    draft.answer({ reason: 'NotMigratable', message: 'no enabled plugin provides live migration' }, CORE);
  }
  return {
    pod: draft.pod,
    domain: draft.domain,
    chains: draft.chains,
    rewrites: draft.rewrites,
    overhead: draft.overhead,
    blockers: draft.blockers,
    nics,
  };
}

function resultOf(facts: Facts, plugin: string, subject: string): (id: string) => Json | undefined {
  return (id) => facts.steps[`${plugin}/${subject}/${id}`];
}

async function attachDisks(host: Host, draft: Draft, vmi: Vmi, facts: Facts): Promise<AttachedDisk[]> {
  const disks = new Map<string, Disk>();
  for (const disk of vmi.spec.domain.devices?.disks ?? []) disks.set(disk.name, disk);
  const attached: AttachedDisk[] = [];
  const volumes = vmi.spec.volumes ?? [];
  for (let index = 0; index < volumes.length; index++) {
    const volume = volumes[index] as Volume;
    const field = `spec.volumes[${index}]`;
    const { key, plugin } = handledKey(volume, host.diskSources, 'volume source', field);
    const subject = `disk/${volume.name}`;
    const by: Owner = { plugin, tap: `attachDisk.${key}`, field };
    const disk = disks.get(volume.name);
    const attachment = await host.hooks.attachDisk.for(key).promise({
      vmi,
      facts,
      volume,
      volumeIndex: index,
      disk,
      result: resultOf(facts, plugin, subject),
    });
    // An ignored failure leaves nothing to attach.
    if (!attachment) continue;
    draft.chain('disk', subject, draft.attach(attachment, by, host.scopes.get(plugin) as Scopes, subject));
    const made: AttachedDisk = { ...attachment, name: volume.name, spec: disk, volume, volumeIndex: index };
    if (attachment.disk) {
      const { backingStore } = attachment.disk;
      made.disk = { ...attachment.disk, source: signed(attachment.disk.source, by) };
      if (backingStore) made.disk = { ...made.disk, backingStore: signed(backingStore, by) };
    }
    attached.push(made);
  }
  return attached;
}

async function attachNics(host: Host, draft: Draft, vmi: Vmi, facts: Facts): Promise<AttachedNic[]> {
  const networks = new Map<string, { network: Network; index: number }>();
  (vmi.spec.networks ?? []).forEach((network, index) => networks.set(network.name, { network, index }));
  const attached: AttachedNic[] = [];
  const interfaces = vmi.spec.domain.devices?.interfaces ?? [];
  for (let index = 0; index < interfaces.length; index++) {
    const nic = interfaces[index] as Interface;
    const field = `spec.domain.devices.interfaces[${index}]`;
    const found = networks.get(nic.name);
    if (!found) {
      throw fail('VL_SOURCE_UNKNOWN', {
        field,
        what: 'network',
        key: nic.name,
        known: [...networks.keys()].join(', '),
      });
    }
    const networkField = `spec.networks[${found.index}]`;
    const from = handledKey(found.network, host.networkSources, 'network source', networkField);
    const binding = handledKey(nic, host.bindings, 'interface binding', field);
    const subject = `nic/${nic.name}`;
    const sourceBy: Owner = { plugin: from.plugin, tap: `attachNetwork.source.${from.key}`, field: networkField };
    const bindingBy: Owner = { plugin: binding.plugin, tap: `attachNetwork.binding.${binding.key}`, field };
    const source: SourceAttachment | undefined = await host.hooks.attachNetwork.sources.for(from.key).promise({
      vmi,
      facts,
      network: found.network,
      networkIndex: found.index,
      interface: nic,
      result: resultOf(facts, from.plugin, subject),
    });
    if (!source) continue;
    const attachment = await host.hooks.attachNetwork.bindings.for(binding.key).promise({
      vmi,
      facts,
      network: found.network,
      interface: nic,
      interfaceIndex: index,
      source,
      result: resultOf(facts, binding.plugin, subject),
    });
    if (!attachment) continue;
    draft.chain('network', subject, [
      ...draft.attach(source, sourceBy, host.scopes.get(from.plugin) as Scopes, subject),
      ...draft.attach(attachment, bindingBy, host.scopes.get(binding.plugin) as Scopes, subject),
    ]);
    const made: AttachedNic = { ...attachment, name: nic.name, spec: nic, network: found.network, source };
    if (attachment.interface) {
      const { type, children } = attachment.interface;
      made.interface = { type, children: children.map((child) => signed(child, bindingBy)) };
    }
    attached.push(made);
  }
  return attached;
}

/** The launcher pod of a plan, ready for the API server. */
export function podOf(plan: Plan): KubeObject {
  return plan.pod.value as unknown as KubeObject;
}
