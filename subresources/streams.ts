// Console and VNC: from the client's WebSocket to the VMI's node agent.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import type WebSocket from 'ws';
import type { KubeClient, Vmi } from '../core/index.ts';
import { VMIS, isNotFound } from '../core/index.ts';
import { dialAgent } from './agent-dial.ts';
import type { AgentTls } from './agent-dial.ts';
import { SUBPROTOCOLS, bridge } from './bridge.ts';
import { Sessions } from './sessions.ts';
import type { Stream } from './routes.ts';
import { badRequest, conflict, notFound } from './status.ts';
import type { Target } from './target.ts';

const DEVICE: Readonly<Record<Stream, { switch: string; missing: string }>> = {
  console: { switch: 'autoattachSerialConsole', missing: 'No serial consoles are present.' },
  vnc: { switch: 'autoattachGraphicsDevice', missing: 'No graphics devices are present.' },
};

export class Streams {
  readonly #client: KubeClient;
  readonly #tls: AgentTls;
  readonly #log: Logger;
  readonly #sessions: Sessions;
  readonly #upgrader = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 1024 * 1024,
    handleProtocols: (offered) => [...offered].find((one) => SUBPROTOCOLS.includes(one)) ?? false,
  });

  constructor(client: KubeClient, tls: AgentTls, log: Logger) {
    this.#client = client;
    this.#tls = tls;
    this.#log = log;
    this.#sessions = new Sessions(client);
  }

  /**
   * Serves one stream to its end. All that can be refused is refused before the upgrade, so that the client gets a Status.
   * @throws KubeError
   */
  async serve(request: IncomingMessage, socket: Duplex, head: Buffer, stream: Stream, target: Target): Promise<void> {
    const vmi = await this.#runningVmi(stream, target);
    this.#sessions.assertRoom(vmi);
    const query = preserveSession(request.url ?? '');
    await this.#sessions.run(vmi, async (signal) => {
      const agent = await dialAgent(this.#client, this.#tls, vmi.status?.nodeName ?? '', target, query);
      if (socket.destroyed) {
        agent.terminate();
        return;
      }
      const client = await this.#upgraded(request, socket, head, agent);
      const what = { stream, namespace: target.namespace, name: target.name };
      this.#log.info(what, 'stream opened');
      await bridge(client, agent, signal);
      this.#log.info(what, 'stream closed');
    });
  }

  async close(): Promise<void> {
    await this.#sessions.close();
    this.#upgrader.close();
  }

  async #runningVmi(stream: Stream, { namespace, resource, name }: Target): Promise<Vmi> {
    const vmi = await this.#client.get<Vmi>(VMIS, namespace, name).catch((error: unknown) => {
      throw isNotFound(error) ? notFound(resource, name) : error;
    });
    const device = DEVICE[stream];
    const devices = vmi.spec.domain.devices as Record<string, unknown> | undefined;
    if (devices?.[device.switch] === false) throw badRequest(device.missing);
    const phase = vmi.status?.phase;
    if (stream === 'console' && phase === 'Failed') throw conflict(resource, name, 'VMI is in failed status');
    // 400 is what makes virtctl wait and try again.
    if (phase !== 'Running' || !vmi.status?.nodeName) throw badRequest('VMI is not running');
    return vmi;
  }

  /** The client's end; where the handshake is malformed ws answers it itself and we let the agent go. */
  #upgraded(request: IncomingMessage, socket: Duplex, head: Buffer, agent: WebSocket): Promise<WebSocket> {
    return new Promise((resolve, reject) => {
      const onClose = (): void => {
        agent.terminate();
        reject(badRequest('connection closed in the handshake'));
      };
      socket.once('close', onClose);
      this.#upgrader.handleUpgrade(request, socket, head, (client) => {
        socket.off('close', onClose);
        resolve(client);
      });
    });
  }
}

/** The one parameter that clients send and the agent understands. */
function preserveSession(url: string): string {
  const value = new URL(url, 'https://server').searchParams.get('preserveSession');
  return value === 'true' || value === 'false' ? `?preserveSession=${value}` : '';
}
