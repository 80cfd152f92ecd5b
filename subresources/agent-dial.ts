// The way to a VMI's node agent: its address from the Node object, a WebSocket over mutual TLS.
import { isIPv6 } from 'node:net';
import WebSocket from 'ws';
import type { KubeClient, KubeObject } from '../core/index.ts';
import { KubeError, NODES } from '../core/index.ts';
import { unavailable } from './status.ts';
import type { Target } from './target.ts';

export const AGENT_PORT = 'virtloom.io/agent-port';
const DIAL_MS = 10_000;
const MAX_REFUSAL = 64 * 1024;

/** PEM: our certificate towards agents, and the authority that signed theirs. */
export interface AgentTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

interface Node extends KubeObject {
  status?: { addresses?: { type: string; address: string }[] };
}

/**
 * Opens the agent's stream. The agent's certificate must name its node. Its refusals (a Status before the upgrade) are
 * passed on.
 * @throws KubeError
 */
export async function dialAgent(
  client: KubeClient,
  tls: AgentTls,
  nodeName: string,
  target: Target,
  query: string,
): Promise<WebSocket> {
  const node = await client.get<Node>(NODES, undefined, nodeName);
  const address = node.status?.addresses?.find((one) => one.type === 'InternalIP')?.address;
  const port = node.metadata.annotations?.[AGENT_PORT];
  if (address === undefined || port === undefined || !/^\d{1,5}$/.test(port)) {
    throw unavailable(
      `node "${nodeName}" has no ${address === undefined ? 'InternalIP' : `annotation ${AGENT_PORT}`}: is its agent running?`,
    );
  }
  const host = isIPv6(address) ? `[${address}]` : address;
  const { namespace, name, path } = target;
  const url = `wss://${host}:${port}/v1/namespaces/${namespace}/virtualmachineinstances/${name}/${path}${query}`;
  const options = { ...tls, ...LIMITS, servername: nodeName };
  return await opened(new WebSocket(url, 'plain.kubevirt.io', options), nodeName);
}

const LIMITS = { perMessageDeflate: false, handshakeTimeout: DIAL_MS, maxPayload: 1024 * 1024 };

function opened(socket: WebSocket, nodeName: string): Promise<WebSocket> {
  // Nothing may be lost between the opening and the moment somebody listens.
  socket.pause();
  return new Promise((resolve, reject) => {
    socket.once('open', () => {
      socket.removeAllListeners('error').on('error', () => undefined);
      resolve(socket);
    });
    socket.once('error', (error) => {
      reject(unavailable(`the agent of node "${nodeName}" cannot be reached: ${error.message}`));
    });
    socket.once('unexpected-response', (request, response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= MAX_REFUSAL) chunks.push(chunk);
      });
      response.on('close', () => {
        request.destroy();
        const body = Buffer.concat(chunks).toString();
        reject(KubeError.fromBody(response.statusCode ?? 500, body, `agent of node "${nodeName}"`));
      });
    });
  });
}
