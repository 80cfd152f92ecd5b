// Applies a plan's node steps, chains side by side, and reverts them, each journalled before it is done.
import type { Logger } from 'pino';
import { fail, messageOf } from '../core/index.ts';
import type { Action, Element, Rewriter, Step, Vmi } from '../core/index.ts';
import { rewritten, type Rewritten } from '../core/domain/rewritten.ts';
import { toXml } from '../core/domain/xml.ts';
import type { Chain, Rewrite } from '../core/steps.ts';
import { findContainer, isAlive } from './container.ts';
import type { ContainerProcess } from './container.ts';
import type { Journal } from './journal.ts';
import { PodSandbox } from './sandbox.ts';

export interface StepRunnerOptions {
  /** The node side of a step; throws where there is none. */
  readonly action: (plugin: string, name: string) => Promise<Action>;
  readonly rewriter: (plugin: string, name: string) => Promise<Rewriter>;
  /** A folder of the agent's own for scratch space. */
  readonly scratchDir: string;
  readonly log: Logger;
}

/** What steps and rewrites of a VMI are done with. */
interface Around {
  readonly journal: Journal;
  readonly container: ContainerProcess;
  readonly signal: AbortSignal;
  readonly object: Vmi | undefined;
}

export class StepRunner {
  readonly #o: StepRunnerOptions;

  constructor(options: StepRunnerOptions) {
    this.#o = options;
  }

  /**
   * Applies what the journal does not say is applied. Chains run side by side, a chain's steps one after the other. Throws
   * VL_STEP_FAILED or VL_STEP_UNKNOWN of the first chain that failed, when all chains have come to rest.
   */
  async apply(
    journal: Journal,
    chains: readonly Chain[],
    container: ContainerProcess,
    signal: AbortSignal,
    object?: Vmi,
    rewrites: readonly Rewrite[] = [],
  ): Promise<void> {
    const around: Around = { journal, container, signal, object };
    const ends = await Promise.allSettled(
      chains.map(async (chain) => {
        for (const step of chain.steps) await this.#apply(around, step, rewrites);
      }),
    );
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /**
   * Has one rewrite change the domain; what changed is signed by it. The error where it failed and may. Throws
   * VL_REWRITE_FAILED, also for XML that cannot be read.
   */
  async rewrite(
    journal: Journal,
    rewrite: Rewrite,
    domain: Element,
    container: ContainerProcess,
    signal: AbortSignal,
    object: Vmi,
  ): Promise<Rewritten | { error: Error }> {
    const take = (xml: string): Rewritten => rewritten(domain, xml, rewrite.by);
    return this.#rewrite({ journal, container, signal, object }, rewrite, toXml(domain), take);
  }

  /** A document of a step's, after all rewrites of its name. */
  async #handOver(around: Around, rewrites: readonly Rewrite[], of: string, text: string): Promise<string> {
    let made = text;
    for (const rewrite of rewrites) {
      if (rewrite.of !== of) continue;
      const outcome = await this.#rewrite(around, rewrite, made, (changed) => changed);
      if (typeof outcome === 'string') made = outcome;
      else this.#logOf(rewrite).warn({ err: outcome.error }, 'rewrite failed; that is ignored');
    }
    return made;
  }

  async #rewrite<T>(
    { journal, container, signal, object }: Around,
    { by, of, ...step }: Rewrite,
    text: string,
    take: (text: string) => T,
  ): Promise<T | { error: Error }> {
    signal.throwIfAborted();
    const sandbox = this.#sandbox(container, signal);
    const log = this.#logOf(step);
    try {
      const rewriter = await this.#o.rewriter(step.plugin, step.action);
      return take(await rewriter({ vmi: journal.owner, object, sandbox, signal, log }, step.args, text));
    } catch (error) {
      signal.throwIfAborted();
      const where = by.field === undefined ? step.id : `${step.id} (${by.field})`;
      const typed = fail('VL_REWRITE_FAILED', { step: where, plugin: step.plugin, of, cause: messageOf(error) }, error);
      if (step.failurePolicy !== 'Ignore') throw typed;
      return { error: typed };
    } finally {
      await sandbox.dispose();
    }
  }

  /** Reverts everything in the journal, last first. True when all is undone; what failed stays in the journal. */
  async revert(journal: Journal, signal: AbortSignal, object?: Vmi): Promise<boolean> {
    const container = await findContainer(journal.owner.containerId);
    let done = true;
    for (const { step, result } of journal.toRevert) {
      const sandbox = container && (await isAlive(container)) ? this.#sandbox(container, signal) : undefined;
      try {
        const action = await this.#o.action(step.plugin, step.action);
        const context = { vmi: journal.owner, object, sandbox, signal, log: this.#logOf(step) };
        await action.revert?.(context, step.args, result);
        await journal.reverted(step.id);
      } catch (error) {
        if (step.failurePolicy === 'Ignore' && !signal.aborted) {
          this.#logOf(step).warn({ err: error }, 'step could not be reverted; that is ignored');
          await journal.reverted(step.id);
          continue;
        }
        // What lived in the pod went with it, whatever the step says.
        if (container && !(await isAlive(container))) continue;
        done = false;
        this.#logOf(step).warn({ err: error }, 'step could not be reverted; will be tried again');
      } finally {
        await sandbox?.dispose();
      }
    }
    return done;
  }

  async #apply(around: Around, step: Step, rewrites: readonly Rewrite[]): Promise<void> {
    const { journal, container, signal, object } = around;
    if (journal.isApplied(step.id)) return;
    signal.throwIfAborted();
    const action = await this.#o.action(step.plugin, step.action);
    const sandbox = this.#sandbox(container, signal);
    try {
      await journal.begin(step);
      const begin = performance.now();
      const rewrite = (of: string, text: string): Promise<string> => this.#handOver(around, rewrites, of, text);
      const context = { vmi: journal.owner, object, sandbox, rewrite, signal, log: this.#logOf(step) };
      const result = await action.apply(context, step.args);
      await journal.applied(step.id, result ?? undefined);
      this.#logOf(step).debug({ ms: Math.round(performance.now() - begin) }, 'step applied');
    } catch (error) {
      if (step.failurePolicy === 'Ignore' && !signal.aborted) {
        this.#logOf(step).warn({ err: error }, 'step failed; that is ignored');
        await journal.applied(step.id, undefined);
        return;
      }
      throw fail('VL_STEP_FAILED', { step: step.id, plugin: step.plugin, cause: messageOf(error) }, error);
    } finally {
      await sandbox.dispose();
    }
  }

  #sandbox(container: ContainerProcess, signal: AbortSignal): PodSandbox {
    return new PodSandbox(container, this.#o.scratchDir, signal);
  }

  #logOf(step: Step): Logger {
    return this.#o.log.child({ plugin: step.plugin, step: step.id });
  }
}
