// Applies a plan's node steps, chains side by side, and reverts them, each journalled before it is done.
import type { Logger } from 'pino';
import { fail, messageOf } from '../core/index.ts';
import type { Action, Step } from '../core/index.ts';
import type { Chain } from '../core/steps.ts';
import { findContainer, isAlive } from './container.ts';
import type { ContainerProcess } from './container.ts';
import type { Journal } from './journal.ts';
import { PodSandbox } from './sandbox.ts';

export interface StepRunnerOptions {
  /** The node side of a step; throws where there is none. */
  readonly action: (plugin: string, name: string) => Promise<Action>;
  /** A folder of the agent's own for scratch space. */
  readonly scratchDir: string;
  readonly log: Logger;
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
  ): Promise<void> {
    const ends = await Promise.allSettled(
      chains.map(async (chain) => {
        for (const step of chain.steps) await this.#apply(journal, step, container, signal);
      }),
    );
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Reverts everything in the journal, last first. True when all is undone; what failed stays in the journal. */
  async revert(journal: Journal, signal: AbortSignal): Promise<boolean> {
    const container = await findContainer(journal.owner.containerId);
    let done = true;
    for (const { step, result } of journal.toRevert) {
      const sandbox = container && (await isAlive(container)) ? this.#sandbox(container, signal) : undefined;
      try {
        const action = await this.#o.action(step.plugin, step.action);
        const context = { vmi: journal.owner, sandbox, signal, log: this.#logOf(step) };
        await action.revert?.(context, step.args, result);
        await journal.reverted(step.id);
      } catch (error) {
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

  async #apply(journal: Journal, step: Step, container: ContainerProcess, signal: AbortSignal): Promise<void> {
    if (journal.isApplied(step.id)) return;
    signal.throwIfAborted();
    const action = await this.#o.action(step.plugin, step.action);
    const sandbox = this.#sandbox(container, signal);
    try {
      await journal.begin(step);
      const begin = performance.now();
      const result = await action.apply({ vmi: journal.owner, sandbox, signal, log: this.#logOf(step) }, step.args);
      await journal.applied(step.id, result ?? undefined);
      this.#logOf(step).debug({ ms: Math.round(performance.now() - begin) }, 'step applied');
    } catch (error) {
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
