// The node side: expressions, and calls of the sockets in the pod and on the node.
import { setTimeout as sleep } from 'node:timers/promises';
import { grpcCall } from '../../core/index.ts';
import type { Action, Json, Rewriter, StepContext, Vmi } from '../../core/index.ts';
import { holds, mutated } from './cel.ts';

/** Arguments of every hook. */
export interface HookArgs {
  /** All must hold. */
  readonly conditions: readonly string[];
  readonly timeoutMs: number;
}
export interface SidecarArgs extends HookArgs {
  readonly socket: string;
}
export interface NodeArgs extends SidecarArgs {
  readonly point: string;
  readonly node: string;
}

const PROTO = new URL('./proto/hooks.proto', import.meta.url);
const PACKAGE = 'kubevirt.hooks.plugins.v1alpha1';
/** How long a sidecar may take to make its socket, and how often it is looked for, in ms. */
const READY_MS = 30_000;
const LOOK_MS = 200;

type Context = Pick<StepContext, 'vmi' | 'object' | 'signal'>;
type Args = { readonly [key: string]: Json };
const as = <T>(args: Args): T => args as unknown as T;

/** The VMI; of one that is gone, what is known of it. */
function objectOf({ vmi, object }: Context): Vmi {
  const { namespace, name, uid } = vmi;
  const metadata = { namespace, name, uid };
  return object ?? { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', metadata, spec: { domain: {} } };
}

/** The way to the socket in the pod, when the sidecar has made it. */
async function ready(
  { sandbox, signal }: Pick<StepContext, 'sandbox' | 'signal'>,
  socket: string,
  deadline: number,
): Promise<string> {
  for (;;) {
    try {
      return await sandbox.socket(socket);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      if (Date.now() > deadline) throw new Error(`there is no socket ${socket}`, { cause: error });
    }
    await sleep(LOOK_MS, undefined, { signal });
  }
}

export const rewrites = {
  async cel(context, args, xml) {
    const { conditions, expression } = as<HookArgs & { expression: string }>(args);
    const vmi = objectOf(context);
    return holds(conditions, vmi, xml) ? mutated(expression, vmi, xml) : xml;
  },

  async sidecar(context, args, xml) {
    const { conditions, socket, timeoutMs } = as<SidecarArgs>(args);
    const vmi = objectOf(context);
    if (!holds(conditions, vmi, xml)) return xml;
    const { domain } = await grpcCall<{ domain: Buffer }>({
      proto: PROTO,
      service: `${PACKAGE}.DomainHookService`,
      method: 'MutateDomain',
      request: {
        domain_type: 'libvirt',
        domain: Buffer.from(xml),
        vmi: Buffer.from(JSON.stringify(vmi)),
        sidecar_context: { invocation_context: 'Boot' },
      },
      socket: await ready(context, socket, Date.now() + Math.min(READY_MS, timeoutMs)),
      timeoutMs,
      signal: context.signal,
    });
    return domain.toString();
  },
} satisfies Record<string, Rewriter>;

async function callNode(context: Context, args: Args): Promise<void> {
  const { conditions, point, node, socket, timeoutMs } = as<NodeArgs>(args);
  const vmi = objectOf(context);
  if (!holds(conditions, vmi)) return;
  try {
    await grpcCall({
      proto: PROTO,
      service: `${PACKAGE}.NodeHookService`,
      method: 'ExecuteNodeHook',
      request: { hookPoint: point, vmi: Buffer.from(JSON.stringify(vmi)), node_context: { node_name: node } },
      socket,
      timeoutMs,
      signal: context.signal,
    });
  } catch (error) {
    context.signal.throwIfAborted();
    throw new Error(`${point} at ${socket}: ${(error as Error).message}`, { cause: error });
  }
}

export const actions = {
  node: { apply: (context, args) => callNode(context, args) },
  /** Does its work when it is undone: the guest has ended then. */
  nodeAfterStop: {
    async apply() {},
    revert: (context, args) => callNode(context, args),
  },
} satisfies Record<string, Action>;
