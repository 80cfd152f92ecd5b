// Waits for a moment in a VM's life without missing it: by watches of the API, and by the agent's journal.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { inNetns, waitFor } from '../support/command.ts';
import type { Platform } from '../support/platform.ts';

/** As much of an object as the moments need. */
export interface Seen {
  metadata: { name: string; deletionTimestamp?: string; labels?: Record<string, string> };
  spec?: { nodeName?: string };
  status?: { phase?: string; containerStatuses?: { name: string; state?: { running?: object } }[] };
  reason?: string;
  involvedObject?: { name: string };
}

export interface Moment {
  /** What the platform is killed in the middle of. */
  at: string;
  /** Kind to watch, and when it is time. */
  kind?: string;
  is?: (object: Seen, vm: string) => boolean;
  /** A part of the agent's journal of the VM that tells that it is time. */
  journal?: string;
}

const DEADLINE_MS = 60_000;

/** Does `begin` and resolves at the very moment. */
export async function reach(
  platform: Platform,
  moment: Moment,
  vm: string,
  begin: () => Promise<unknown>,
): Promise<void> {
  const { kind, is, journal } = moment;
  if (journal !== undefined) {
    const [, text] = await Promise.all([begin(), waitForJournal(platform, vm, journal)]);
    return text;
  }
  const child = spawn(
    'nsenter',
    inNetns(
      ['kubectl', '--kubeconfig', platform.kubeconfig, 'get', kind ?? '', '--watch', '-o', 'json'],
      platform.netns,
    ).slice(1),
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  try {
    const seen = Promise.withResolvers<void>();
    let begun = false;
    let any = false;
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => {
      text += more;
      // kubectl indents: only an object's own end stands at the beginning of a line.
      for (let end = text.indexOf('\n}\n'); end >= 0; end = text.indexOf('\n}\n')) {
        const object = JSON.parse(text.slice(0, end + 2)) as Seen;
        text = text.slice(end + 3);
        any = true;
        if (begun && is?.(object, vm) === true) seen.resolve();
      }
    });
    child.once('exit', () => seen.reject(new Error(`the watch of ${kind} ended before ${vm} was there: ${moment.at}`)));
    const timer = setTimeout(() => seen.reject(new Error(`${vm} never was there: ${moment.at}`)), DEADLINE_MS);
    seen.promise.catch(() => undefined);
    // Others of the kind are there already, so the watch shows that it is one.
    await waitFor(`a watch of ${kind}`, () => any);
    begun = true;
    begin().catch((error: unknown) => seen.reject(error));
    await seen.promise.finally(() => clearTimeout(timer));
  } finally {
    child.kill('SIGKILL');
  }
}

async function waitForJournal(platform: Platform, vm: string, part: string): Promise<void> {
  const dir = join(platform.stateDir, 'agent/journal');
  await waitFor(
    `"${part}" in the journal of ${vm}`,
    () =>
      readdirSync(dir).some((name) => {
        const text = readFileSync(join(dir, name), 'utf8');
        return text.includes(`"name":"${vm}"`) && text.includes(part);
      }),
    DEADLINE_MS,
    1,
  );
}
