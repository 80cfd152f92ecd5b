// The agent's own server, for the subresource API alone: verbs and streams of the guests on this node, over mutual TLS.
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { fastify } from 'fastify';
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import { messageOf } from '../core/index.ts';
import { Sessions, socketOf } from './bridge.ts';
import type { StreamVerb } from './bridge.ts';
import { connectIn } from './container-path.ts';
import { guestData } from './guest-agent.ts';
import type { Guest } from './guest.ts';
import type { Instance } from './instance.ts';
import type { Instances } from './instances.ts';
import { ErrorCode, LibvirtError } from './libvirt/index.ts';

/** PEM texts. Who has no certificate of `ca` is not spoken with. */
export interface ServerTls {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}
export interface ServerOptions {
  readonly instances: Instances;
  readonly tls: ServerTls;
  readonly listen: { readonly host: string; readonly port: number };
  readonly log: Logger;
}
export interface AgentServer {
  readonly port: number;
  close(): Promise<void>;
}

const PREFIX = '/v1/namespaces/:namespace/virtualmachineinstances/:name';
const STREAM_PATH = /^\/v1\/namespaces\/([^/]+)\/virtualmachineinstances\/([^/]+)\/(console|vnc)$/;
const PROTOCOL = 'plain.kubevirt.io';

/** An answer other than success; `code` is HTTP's, `reason` Kubernetes'. */
class Refusal extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

interface Target {
  readonly instance: Instance;
  readonly guest: Guest;
}

const PUT_VERBS: Record<string, (guest: Guest) => Promise<void>> = {
  pause: (guest) => guest.pause(),
  unpause: (guest) => guest.unpause(),
  softreboot: (guest) => guest.reboot(),
  reset: (guest) => guest.reset(),
};

/** Starts listening. Throws what listen(2) does. */
export async function startServer({ instances, tls, listen, log }: ServerOptions): Promise<AgentServer> {
  const app = fastify({
    https: { ...tls, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
    forceCloseConnections: true,
  });
  type Params = { Params: { namespace: string; name: string } };

  for (const [verb, act] of Object.entries(PUT_VERBS)) {
    app.put<Params>(`${PREFIX}/${verb}`, async ({ params }, reply) => {
      await act((await targetOf(instances, params.namespace, params.name)).guest);
      return reply.code(202).send();
    });
  }
  const agentData = async ({ namespace, name }: Params['Params']) => {
    const { instance, guest } = await targetOf(instances, namespace, name);
    const data = await guestData(await instance.connection(), guest.domain);
    if (!data) throw new Refusal(409, 'Conflict', 'VMI does not have guest agent connected');
    return data;
  };
  app.get<Params>(`${PREFIX}/guestosinfo`, async ({ params }) => {
    const { users, fileSystems, ...rest } = await agentData(params);
    return { ...rest, userList: users, fsInfo: { disks: fileSystems } };
  });
  app.get<Params>(`${PREFIX}/userlist`, async ({ params }) => ({ items: (await agentData(params)).users }));
  app.get<Params>(`${PREFIX}/filesystemlist`, async ({ params }) => ({ items: (await agentData(params)).fileSystems }));
  app.setErrorHandler((error, _request, reply) => refuse(reply, error, log));
  app.setNotFoundHandler((_request, reply) => refuse(reply, new Refusal(404, 'NotFound', 'no such path'), log));

  const sessions = new Sessions();
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: 1024 * 1024,
    handleProtocols: (offered) => (offered.has(PROTOCOL) ? PROTOCOL : false),
  });
  app.server.on('upgrade', (request, socket, head) => {
    void upgrade(request, socket, head).catch((error: unknown) => {
      const body = Buffer.from(JSON.stringify(statusOf(error)));
      const { code, reason } = refusalOf(error);
      log.debug({ err: error, code }, 'stream refused');
      const head = `HTTP/1.1 ${code} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
      socket.end(Buffer.concat([Buffer.from(`${head}\r\nconnection: close\r\n\r\n`), body]));
    });
  });
  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const url = new URL(request.url ?? '/', 'https://agent');
    const [, namespace = '', name = '', verb = ''] = STREAM_PATH.exec(url.pathname) ?? [];
    if (verb === '') throw new Refusal(404, 'NotFound', 'no such path');
    const { instance, guest } = await targetOf(instances, decodeURIComponent(namespace), decodeURIComponent(name));
    const place = socketOf(await guest.devices(), verb as StreamVerb);
    if (place === undefined) throw new Refusal(400, 'BadRequest', `the guest has no ${verb}`);
    const key = `${instance.journal.owner.uid}/${verb}`;
    if (url.searchParams.get('preserveSession') === 'true' && sessions.has(key)) {
      throw new Refusal(409, 'Conflict', `there is a session on the ${verb} already`);
    }
    const target = await connectIn(instance.container, place);
    sockets.handleUpgrade(request, socket, head, (client) => {
      void sessions.run(key, client, target);
    });
  };

  await app.listen(listen);
  return {
    port: (app.server.address() as AddressInfo).port,
    async close() {
      sessions.closeAll();
      sockets.close();
      await app.close();
    },
  };
}

async function targetOf(instances: Instances, namespace: string, name: string): Promise<Target> {
  const instance = instances.find(namespace, name);
  const guest = instance && !instance.journal.ended ? await instance.guest() : undefined;
  if (!instance || !guest) throw new Refusal(404, 'NotFound', `no guest of "${namespace}/${name}" runs on this node`);
  return { instance, guest };
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof LibvirtError && error.code === ErrorCode.operationInvalid) {
    return new Refusal(409, 'Conflict', error.message);
  }
  return new Refusal(500, 'InternalError', messageOf(error));
}

/** A Kubernetes Status, which the front server passes on. */
function statusOf(error: unknown): object {
  const { code, reason, message } = refusalOf(error);
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code, reason, message };
}

function refuse(reply: FastifyReply, error: unknown, log: Logger): FastifyReply {
  const { code } = refusalOf(error);
  if (code >= 500) log.warn({ err: error }, 'request failed');
  return reply.code(code).send(statusOf(error));
}
