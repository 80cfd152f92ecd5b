// Starts one container of a pod: configuration, files, runc; every step noted before it is taken.
import { randomBytes } from 'node:crypto';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ReadyImage } from '../images/image.ts';
import { environment, needsPodIP } from './env.ts';
import { etcMounts } from './etc-files.ts';
import type { Host } from './host.ts';
import type { PodLayout } from './layout.ts';
import { ociConfig } from './oci-config.ts';
import type { Container, Pod } from './pod-types.ts';
import { quantity } from './quantity.ts';
import type { ContainerRun } from './record.ts';
import { processStartTime } from './runtime.ts';
import type { SandboxStart } from './sandbox.ts';
import { resolveUser } from './users.ts';
import { containerMounts } from './volumes.ts';
import type { ReadyVolume } from './volumes.ts';

/** The pod asks for what cannot be: CreateContainerConfigError. */
export class ContainerConfigError extends Error {
  override name = 'ContainerConfigError';
}

export interface StartInputs {
  host: Host;
  pod: Pod;
  layout: PodLayout;
  container: Container;
  attempt: number;
  image: ReadyImage;
  volumes: ReadonlyMap<string, ReadyVolume>;
  sandbox: SandboxStart;
  /** Writes the run into the pod's record: before anything exists, and again when it runs. */
  note: (run: ContainerRun) => Promise<void>;
  created: () => void;
  cancelled: () => boolean;
}

/** Resolves with the running container, or undefined when it was cancelled on the way and taken back. */
export async function startContainer(inputs: StartInputs): Promise<ContainerRun | undefined> {
  const { host, container, layout, image, attempt, sandbox } = inputs;
  const id = randomBytes(32).toString('hex');
  const run: ContainerRun = {
    id,
    attempt,
    image: container.image ?? '',
    imageID: image.imageID,
    rootfs: image.rootfs,
    phase: 'making',
  };
  const bundle = layout.bundle(id);
  await sandbox.namespaces;
  const podIP = needsPodIP(container) ? (await sandbox.network).ip : '';
  const config = await configure(inputs, id, bundle, podIP);
  if (inputs.cancelled()) return undefined;
  await inputs.note(run);
  try {
    run.pid = await host.runtime.create({
      id,
      bundle,
      config,
      log: layout.log(container.name, attempt),
      tty: container.tty === true,
    });
    inputs.created();
    const [pidStart] = await Promise.all([processStartTime(run.pid), sandbox.network]);
    if (pidStart !== undefined) run.pidStart = pidStart;
    if (inputs.cancelled()) {
      await removeRun(host, layout, id);
      return undefined;
    }
    await host.runtime.start(id);
  } catch (error) {
    await removeRun(host, layout, id);
    throw error;
  }
  run.phase = 'running';
  run.startedAt = new Date().toISOString().replace(/\.[0-9]+Z$/, 'Z');
  await inputs.note(run);
  return run;
}

/** Takes away everything of one run but its log. */
export async function removeRun(host: Host, layout: PodLayout, id: string): Promise<void> {
  await host.runtime.delete(id);
  await rm(layout.bundle(id), { recursive: true, force: true });
  await host.exits.forget(id);
}

async function configure(
  inputs: StartInputs,
  id: string,
  bundle: string,
  podIP: string,
): Promise<Record<string, unknown>> {
  const { host, pod, layout, container, image, volumes } = inputs;
  const facts = { pod, hostIP: host.node.ip, podIP, allocatable: host.node.capacity };
  const upper = path.join(bundle, 'upper');
  const work = path.join(bundle, 'work');
  const message = path.join(bundle, 'termination-log');
  try {
    const [user, env, mounts] = await Promise.all([
      resolveUser(image.rootfs, image.config.user, pod.spec.securityContext, container.securityContext),
      environment(facts, container, image.config.env, host.lookup),
      containerMounts(container, volumes),
      mkdir(upper, { recursive: true, mode: 0o755 }),
      mkdir(work, { recursive: true }),
    ]);
    await writeFile(message, '', { mode: 0o666 });
    await chown(message, user.uid, user.gid);
    const termination = container.terminationMessagePath ?? '/dev/termination-log';
    const namespace = (kind: string) => path.join(layout.namespaces, kind);
    return ociConfig({
      pod,
      container,
      id,
      rootfs: image.rootfs,
      image: { ...image.config, mounts: image.mounts },
      user,
      env,
      namespaces: { net: namespace('net'), ipc: namespace('ipc'), uts: namespace('uts') },
      upper,
      work,
      mounts: [...etcMounts(layout), { source: message, destination: termination, readOnly: false }, ...mounts],
      devices: Object.entries(container.resources?.limits ?? {})
        .filter(([, amount]) => quantity(amount) > 0)
        .flatMap(([resource]) => host.node.devices.get(resource) ?? []),
      host: host.node,
    });
  } catch (error) {
    await rm(bundle, { recursive: true, force: true });
    throw new ContainerConfigError(error instanceof Error ? error.message : String(error));
  }
}
