// Tells the cluster that this node takes VMs, and where its agent listens: a label and an annotation of the Node.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { NODES } from '../core/index.ts';
import type { KubeClient } from '../core/index.ts';

const SCHEDULABLE = 'kubevirt.io/schedulable';
const AGENT_PORT = 'virtloom.io/agent-port';
const RETRY_MS = { first: 100, most: 10_000 };

/** Goes on until the Node has it: the node may be registered after its agent is there. Never rejects. */
export async function announce(
  client: KubeClient,
  nodeName: string,
  port: number,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  // The label lets launcher pods come here: a node without an agent could do nothing with them.
  const patch = { metadata: { labels: { [SCHEDULABLE]: 'true' }, annotations: { [AGENT_PORT]: String(port) } } };
  for (let wait = RETRY_MS.first; !signal.aborted; wait = Math.min(wait * 2, RETRY_MS.most)) {
    try {
      await client.patch(NODES, undefined, nodeName, patch, { type: 'merge', signal });
      return;
    } catch (error) {
      if (signal.aborted) return;
      log.debug({ err: error, nodeName, retryMs: wait }, "the agent's port could not be written down yet");
      await sleep(wait, undefined, { signal }).catch(() => undefined);
    }
  }
}
