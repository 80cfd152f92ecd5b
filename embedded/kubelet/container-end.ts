// Ends one running container: preStop, SIGTERM, the grace period, SIGKILL.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from './host.ts';
import type { Container } from './pod-types.ts';
import { check } from './probe.ts';

export interface EndInputs {
  host: Host;
  container: Container;
  id: string;
  ip: string;
  /** In milliseconds since 1970; may become earlier meanwhile. */
  deadline: () => number;
  /** Resolves when something changed, or after so many milliseconds. */
  changed: (ms: number) => Promise<void>;
  /** The kubelet itself stops: the container is left as it is. */
  givenUp: () => boolean;
  failed: (reason: string, message: string) => void;
}

const KILL_MS = 10_000;

/** Resolves when conmon has noted the exit. */
export async function endContainer(inputs: EndInputs): Promise<void> {
  const { host, container, id, ip, deadline } = inputs;
  const hook = container.lifecycle?.preStop;
  if (hook && deadline() > Date.now()) {
    const target = { runcRoot: host.runtime.root, id, ip, container };
    const problem = await Promise.race([
      check(hook, target, deadline() - Date.now()),
      sleep(Math.max(0, deadline() - Date.now()), undefined),
    ]);
    if (problem !== undefined) inputs.failed('FailedPreStopHook', `PreStopHook failed: ${problem}`);
  }
  await host.runtime.kill(id, 'TERM');
  while ((await host.exits.get(id)) === undefined) {
    if (inputs.givenUp()) return;
    const left = deadline() - Date.now();
    if (left <= 0) return await kill(inputs);
    await inputs.changed(Math.min(left, 2000));
  }
}

async function kill({ host, id, changed }: EndInputs): Promise<void> {
  await host.runtime.kill(id, 'KILL');
  const until = Date.now() + KILL_MS;
  while ((await host.exits.get(id)) === undefined && Date.now() < until) await changed(200);
}
