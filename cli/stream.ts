// A byte stream to a VMI through the aggregated API: KubeVirt's WebSocket, raw bytes in binary frames.
import WebSocket from 'ws';
import { endpointFromKubeconfig } from '../core/kube/kubeconfig.ts';
import { Exit, REFUSED } from './exit.ts';
import { messageIn, SUBRESOURCES } from './power.ts';

/** KubeVirt's name for "binary frames carry raw bytes". */
const SUBPROTOCOL = 'plain.kubevirt.io';

export interface StreamTarget {
  readonly kubeconfig: string;
  readonly namespace?: string;
  readonly name: string;
  readonly verb: 'console' | 'vnc';
}

/** Opens the stream; rejects with the API server's message where it is refused. */
export async function openStream(target: StreamTarget): Promise<WebSocket> {
  const endpoint = endpointFromKubeconfig(target.kubeconfig);
  const namespace = encodeURIComponent(target.namespace ?? endpoint.namespace);
  const base = endpoint.server.pathname.replace(/\/$/, '');
  const url = new URL(endpoint.server);
  url.protocol = 'wss:';
  url.pathname = `${base}${SUBRESOURCES}/namespaces/${namespace}/virtualmachineinstances/${encodeURIComponent(target.name)}/${target.verb}`;
  const socket = new WebSocket(url, [SUBPROTOCOL], {
    ...endpoint.tls,
    headers: (await endpoint.authorization?.()) ?? {},
    perMessageDeflate: false,
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', (error) => reject(new Exit(REFUSED, `cannot reach the ${target.verb}: ${error.message}`)));
    socket.once('unexpected-response', (_, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const why = messageIn(Buffer.concat(chunks).toString());
        reject(new Exit(REFUSED, `${target.verb} of ${target.name} refused: ${why}`));
      });
    });
  });
  return socket;
}
