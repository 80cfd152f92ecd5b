// Starts a VMI's guest: node steps and libvirt's own start side by side, then define and start. Safe to begin again anywhere.
import { arch } from 'node:os';
import type { Logger } from 'pino';
import type { Element, EventRecorder, Facts, KubeObject, Vmi } from '../core/index.ts';
import { toXml } from '../core/domain/xml.ts';
import type { Host } from '../core/host.ts';
import type { Pod } from '../core/launcher-pod.ts';
import { plan } from '../core/plan.ts';
import { readObjects, type ObjectSource } from '../core/reads.ts';
import type { Plan } from '../core/plan.ts';
import type { Chain } from '../core/steps.ts';
import { Guest } from './guest.ts';
import type { Instance } from './instance.ts';
import type { StepRunner } from './steps.ts';

/** Steps may come of other steps' results; a plan that still asks for new ones after so many rounds never ends. */
const ROUNDS_MAX = 8;
const ARCHITECTURES: Record<string, string> = { x64: 'amd64', arm64: 'arm64', s390x: 's390x' };

export interface StartContext {
  readonly host: Host;
  readonly steps: StepRunner;
  readonly events: EventRecorder;
  readonly nodeName: string;
  readonly cluster: Facts['cluster'];
  /** Where what plugins read is looked up. */
  readonly objects: ObjectSource;
  readonly log: Logger;
}

/** The VMI's plan with all that the node knows. */
function nodePlan(
  context: StartContext,
  vmi: Vmi,
  pod: Pod,
  steps: Facts['steps'],
  objects: readonly KubeObject[],
): Promise<Plan> {
  const { podIP: ip = '', podIPs } = pod.status ?? {};
  return plan(context.host, vmi, {
    cluster: context.cluster,
    node: { name: context.nodeName, arch: ARCHITECTURES[arch()] ?? arch() },
    pod: {
      name: pod.metadata.name ?? '',
      uid: pod.metadata.uid ?? '',
      ip,
      ips: podIPs?.map((each) => each.ip) ?? (ip === '' ? [] : [ip]),
    },
    steps,
    objects,
  });
}

/** Does the plan's steps, then defines and starts the guest unless it was started before. Gives the plan that holds. */
export async function startGuest(
  context: StartContext,
  vmi: Vmi,
  pod: Pod,
  instance: Instance,
  signal: AbortSignal,
): Promise<Plan> {
  const { journal } = instance;
  // libvirtd may still be starting: wait for it beside the steps, not before them.
  const connecting = instance.connection(signal);
  connecting.catch(() => undefined);
  const planned = await applySteps(context, vmi, pod, instance, signal);
  const connection = await connecting;

  let guest = await Guest.find(connection);
  const state = guest ? await guest.state() : { is: 'absent' as const };
  if (state.is === 'running' || state.is === 'paused' || state.is === 'ended') return planned;
  if (journal.guest === 'started') return planned;
  // Left by a start that did not come to its end; its plan need not be today's.
  await guest?.undefine();
  guest = await Guest.define(connection, toXml(await rewriteDomain(context, vmi, planned, instance, signal)));
  // Whoever ends the guest may have another configuration, or no VMI to plan from.
  await journal.keepForLater(planned.chains.filter(isLater));
  if (journal.guest === 'none') {
    context.events.event(vmi, 'Normal', 'Created', 'VirtualMachineInstance defined.');
    await journal.guestIs('starting');
  }
  const begin = performance.now();
  await guest.start();
  context.host.onStep({ plugin: 'core', action: 'libvirt start', way: 'apply' }, performance.now() - begin, false);
  context.log.info({ vmi: journal.owner, ms: Math.round(performance.now() - begin) }, 'guest started');
  await journal.guestIs('started');
  context.events.event(vmi, 'Normal', 'Started', 'VirtualMachineInstance started.');
  return planned;
}

async function applySteps(
  context: StartContext,
  vmi: Vmi,
  pod: Pod,
  { journal, container }: Instance,
  signal: AbortSignal,
): Promise<Plan> {
  const objects = await readObjects(context.host, vmi, context.objects);
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const planned = await nodePlan(context, vmi, pod, journal.results, objects);
    const waiting = planned.chains.filter(
      (chain) => !isLater(chain) && chain.steps.some((step) => !journal.isApplied(step.id)),
    );
    if (waiting.length === 0) return planned;
    const attaching = waiting.filter((chain: Chain) => chain.phase !== 'domain');
    await context.steps.apply(
      journal,
      attaching.length > 0 ? attaching : waiting,
      container,
      signal,
      vmi,
      planned.rewrites,
    );
  }
  throw new Error(`the plan still asks for new steps after ${ROUNDS_MAX} rounds`);
}

const isLater = ({ phase }: Chain): boolean => phase === 'started' || phase === 'stopping';

/** The domain after all rewrites, each change signed and told. */
async function rewriteDomain(
  { steps, events, log }: StartContext,
  vmi: Vmi,
  planned: Plan,
  { journal, container }: Instance,
  signal: AbortSignal,
): Promise<Element> {
  let domain = planned.domain;
  for (const rewrite of planned.rewrites.filter(({ of }) => of === 'domain')) {
    const outcome = await steps.rewrite(journal, rewrite, domain, container, signal, vmi);
    if ('error' in outcome) {
      log.warn({ vmi: journal.owner, err: outcome.error }, 'rewrite failed; that is ignored');
      events.event(vmi, 'Warning', 'RewriteIgnored', outcome.error.message);
      continue;
    }
    domain = outcome.domain;
    if (outcome.changes.length === 0) continue;
    const { plugin, field } = rewrite.by;
    log.info({ vmi: journal.owner, plugin, rewrite: rewrite.id, field, changes: outcome.changes }, 'domain rewritten');
    const who = field === undefined ? plugin : `${plugin} (${field})`;
    events.event(vmi, 'Normal', 'DomainRewritten', `${who}: ${summary(outcome.changes)}`);
  }
  return domain;
}

/** Kubernetes cuts an event's message at 1024 bytes. */
function summary(changes: readonly string[]): string {
  const text = changes.join('; ');
  return text.length <= 800 ? text : `${text.slice(0, 800)}… (${changes.length} changes)`;
}
