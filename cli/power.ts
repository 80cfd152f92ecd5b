// `virtloom start|stop|restart`: virtctl's verbs, through the aggregated API.
import { KubeClient } from '../core/kube/client.ts';
import { Exit, REFUSED } from './exit.ts';

export const SUBRESOURCE_GROUP = 'subresources.kubevirt.io';
export const SUBRESOURCES = `/apis/${SUBRESOURCE_GROUP}/v1`;

export interface PowerOptions {
  readonly kubeconfig: string;
  readonly namespace?: string;
  readonly force?: boolean;
  readonly gracePeriod?: number;
  readonly dryRun?: boolean;
}

const DONE_TEXT = { start: 'scheduled to start', stop: 'scheduled to stop', restart: 'scheduled to restart' } as const;
export type PowerVerb = keyof typeof DONE_TEXT;

export async function power(verb: PowerVerb, name: string, options: PowerOptions): Promise<void> {
  const client = KubeClient.fromKubeconfig(options.kubeconfig);
  try {
    const namespace = options.namespace ?? client.namespace;
    const path = `${SUBRESOURCES}/namespaces/${encodeURIComponent(namespace)}/virtualmachines/${encodeURIComponent(name)}/${verb}`;
    const answer = await client.raw('PUT', path, bodyOf(verb, options));
    if (answer.status >= 300) throw new Exit(REFUSED, `Error ${verb}ing VirtualMachine: ${messageIn(answer.body)}`);
    process.stdout.write(`VM ${name} was ${DONE_TEXT[verb]}\n`);
  } finally {
    client.close();
  }
}

function bodyOf(verb: PowerVerb, options: PowerOptions): object {
  const dryRun = options.dryRun ? { dryRun: ['All'] } : {};
  const grace = options.force ? (options.gracePeriod ?? 0) : options.gracePeriod;
  if (verb === 'stop' && grace !== undefined) return { gracePeriod: grace, ...dryRun };
  if (verb === 'restart' && grace !== undefined) return { gracePeriodSeconds: grace, ...dryRun };
  return dryRun;
}

/** The message of a Status, or the text itself. */
export function messageIn(body: string): string {
  try {
    const status = JSON.parse(body) as { message?: unknown };
    if (typeof status.message === 'string') return status.message;
  } catch {
    // Not a Status: an error page of something in between.
  }
  return body.trim() || 'no answer';
}
