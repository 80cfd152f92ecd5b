// The node side: waits for the sidecars, asks each what it wants, and calls them.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../core/index.ts';
import type { Action, Json, Rewriter, StepContext } from '../../core/index.ts';
import { callback, info, VERSIONS, type Info, type Line, type Version } from './callbacks.ts';
import { inOrder } from './order.ts';
import { SOCKETS } from './pod.ts';

/** A sidecar that has said what it wants. */
export interface Hook {
  readonly sidecar: string;
  /** The socket in the pod. */
  readonly socket: string;
  /** As it calls itself. */
  readonly name: string;
  readonly version: Version;
  readonly hookPoints: Info['hookPoints'];
}

const LOOK_MS = 200;
const INFO_MS = 5_000;
const CALL_MS = 60_000;

type Context = Pick<StepContext, 'sandbox' | 'signal' | 'object'>;

async function line({ sandbox, signal }: Context, socket: string, timeoutMs: number): Promise<Line> {
  return { socket: await sandbox.socket(socket), timeoutMs, signal };
}

/** The socket in the sidecar's folder, if it has made one. */
async function socketOf({ sandbox }: Context, sidecar: string): Promise<string | undefined> {
  const folder = `${SOCKETS}/${sidecar}`;
  const find = ['find', folder, '-mindepth', '1', '-maxdepth', '1', '-type', 's', '-print0'];
  const { stdout } = await sandbox.exec(find, { in: 'pod' });
  return stdout.toString().split('\0').filter(Boolean).sort()[0];
}

async function ask(context: Context, sidecar: string, timeoutMs: number): Promise<Hook | undefined> {
  const socket = await socketOf(context, sidecar);
  if (socket === undefined) return undefined;
  const { name, hookPoints, versions } = await info(await line(context, socket, timeoutMs));
  const version = VERSIONS.find((one) => versions.includes(one));
  if (version === undefined) {
    throw new Unusable(`it speaks [${versions.join(', ')}], and none of ${VERSIONS.join(', ')}`);
  }
  return { sidecar, socket, name, version, hookPoints: hookPoints.map((point) => ({ ...point })) };
}

/** Waiting does not help. */
class Unusable extends Error {
  override name = 'Unusable';
}

async function wait(context: Context, sidecar: string, deadline: number): Promise<Hook> {
  let last = `it made no socket below ${SOCKETS}/${sidecar}`;
  for (;;) {
    try {
      const hook = await ask(context, sidecar, Math.max(1, Math.min(INFO_MS, deadline - Date.now())));
      if (hook) return hook;
    } catch (error) {
      context.signal.throwIfAborted();
      if (error instanceof Unusable) throw new Error(`container ${sidecar}: ${error.message}`, { cause: error });
      last = messageOf(error);
    }
    if (Date.now() > deadline) throw new Error(`container ${sidecar} cannot be used: ${last}`);
    await sleep(LOOK_MS, undefined, { signal: context.signal });
  }
}

function collected(context: Context, { sidecars, timeoutMs }: { readonly [key: string]: Json }): Promise<Hook[]> {
  const deadline = Date.now() + Number(timeoutMs);
  return Promise.all((sidecars as string[]).map((name) => wait(context, name, deadline)));
}

/** The field of sidecars that are older than cloudInitData. */
const OLDER = 'cloudInitNoCloudSource';
type CloudInitAnswer = Readonly<Record<'cloudInitData' | typeof OLDER, Buffer>>;

/** What a sidecar answered: the whole data, or, from an older one, user data and network data. */
function merged(document: string, answer: CloudInitAnswer): string {
  const whole = answer.cloudInitData.toString();
  const data = (whole === '' ? {} : JSON.parse(whole)) as Record<string, unknown>;
  if (data['UserData'] && (data['NoCloudMetaData'] || data['ConfigDriveMetaData'])) return whole;
  const older = answer[OLDER].toString();
  if (older === '') throw new Error('PreCloudInitIso: the answer has no data');
  const { userData = '', networkData = '' } = JSON.parse(older) as Record<string, string>;
  return JSON.stringify({ ...(JSON.parse(document) as object), UserData: userData, NetworkData: networkData });
}

export const actions = {
  collect: {
    apply: async (context, args): Promise<Json> => (await collected(context, args)) as unknown as Json,
    /** The guest has ended: sidecars that want to know it are told; what they answer changes nothing. */
    async revert({ sandbox, signal, log }, _, result) {
      if (!sandbox) return;
      for (const { socket, version, sidecar, hookPoints } of (result ?? []) as unknown as Hook[]) {
        if (version !== 'v1alpha3' || !hookPoints.some(({ name }) => name === 'Shutdown')) continue;
        try {
          await callback(await line({ sandbox, signal }, socket, INFO_MS), version, 'Shutdown', {});
        } catch (error) {
          log.warn({ sidecar, err: error }, 'a hook sidecar did not take its Shutdown');
        }
      }
    },
  },
} satisfies Record<string, Action>;

export const rewrites = {
  async onDefineDomain(context, { socket, version }, xml) {
    const request = { domainXML: Buffer.from(xml), vmi: Buffer.from(JSON.stringify(context.object)) };
    const to = await line(context, String(socket), CALL_MS);
    const { domainXML } = await callback<{ domainXML: Buffer }>(to, version as Version, 'OnDefineDomain', request);
    return domainXML.toString();
  },

  /** Disks are made before the domain's own steps, so who wants to be called is asked here. */
  async preCloudInitIso(context, args, text) {
    let document = text;
    for (const { socket, version } of inOrder(await collected(context, args), 'PreCloudInitIso')) {
      if (version === 'v1alpha1') continue;
      const { UserData: userData, NetworkData: networkData } = JSON.parse(document) as Record<string, string>;
      const request = {
        cloudInitData: Buffer.from(document),
        [OLDER]: Buffer.from(JSON.stringify({ userData, networkData })),
        vmi: Buffer.from(JSON.stringify(context.object)),
      };
      const to = await line(context, socket, CALL_MS);
      document = merged(document, await callback<CloudInitAnswer>(to, version, 'PreCloudInitIso', request));
    }
    return document;
  },
} satisfies Record<string, Rewriter>;
