// What a connection does when the other side misbehaves. The daemons here are sockets that do one wrong thing.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Connection } from './connection.ts';
import {
  AuthenticationError,
  ConnectionClosedError,
  DeadlineError,
  ErrorCode,
  LibvirtError,
  ProtocolError,
} from './errors.ts';
import { FrameDecoder, PROGRAM_KEEPALIVE, PacketType, Status, encodeFrame } from './frame.ts';
import type { Frame } from './frame.ts';
import { procedures } from './procedures.ts';
import { ReconnectingConnection } from './reconnect.ts';
import { XdrWriter } from './xdr.ts';

type Answer = (frame: Frame, socket: Socket) => void;

let dir: string;
let path: string;
let server: Server;
let sockets: Socket[];
let answer: Answer;

const reply = (socket: Socket, frame: Frame, payload: Buffer, status: number = Status.ok): void =>
  void socket.write(encodeFrame({ ...frame, type: PacketType.reply, status, payload }));
/** Opens as a good daemon does; what comes after is up to the test. */
const opening =
  (after: Answer): Answer =>
  (frame, socket) => {
    if (frame.procedure === procedures.authList.number) reply(socket, frame, new XdrWriter().uint(1).int(0).bytes());
    else if (frame.program !== PROGRAM_KEEPALIVE && frame.procedure === procedures.connectOpen.number)
      reply(socket, frame, Buffer.alloc(0));
    else after(frame, socket);
  };
const open = (extra = {}): Promise<Connection> =>
  Connection.open({ path, uri: 'qemu:///session', timeoutMs: 300, ...extra });
const hostname = (connection: Connection) => connection.call(procedures.connectGetHostname, undefined);

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vl-rpc-'));
  path = join(dir, 'sock');
  sockets = [];
  server = createServer((socket) => {
    sockets.push(socket);
    const decoder = new FrameDecoder();
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => decoder.push(chunk).forEach((frame) => answer(frame, socket)));
  }).listen(path);
  await once(server, 'listening');
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  server.close();
  await rm(dir, { recursive: true });
});

describe('a connection', () => {
  it('says so when nobody is there', async () => {
    await expect(Connection.open({ path: join(dir, 'none'), uri: 'x' })).rejects.toThrow(ConnectionClosedError);
  });

  it('gives up on a daemon that never answers', async () => {
    answer = () => undefined;
    await expect(open()).rejects.toThrow(DeadlineError);
  });

  it('names the authentication it does not speak', async () => {
    answer = (frame, socket) => reply(socket, frame, new XdrWriter().uint(1).int(2).bytes());
    await expect(open()).rejects.toThrow(AuthenticationError);
  });

  it('turns error replies into LibvirtError', async () => {
    answer = opening((frame, socket) => {
      const error = new XdrWriter().int(42).int(10).bool(true).string('Domain not found').int(2);
      reply(socket, frame, error.bool(false).bool(false).bool(false).bool(false).int(0).int(0).bool(false).bytes(), 1);
    });
    const connection = await open();
    const error: unknown = await hostname(connection).catch((each: unknown) => each);
    expect(error).toBeInstanceOf(LibvirtError);
    expect(error).toMatchObject({ code: ErrorCode.noDomain, domain: 10, level: 2, message: 'Domain not found' });
    connection.close();
  });

  it('fails every call under way when the socket closes', async () => {
    answer = opening((_frame, socket) => socket.destroy());
    const connection = await open();
    const results = await Promise.allSettled([hostname(connection), hostname(connection)]);
    for (const result of results) expect(result).toMatchObject({ reason: expect.any(ConnectionClosedError) });
    await expect(hostname(connection)).rejects.toThrow(ConnectionClosedError);
    expect(await connection.closed).toBeInstanceOf(ConnectionClosedError);
  });

  it.each<[string, Answer]>([
    ['an oversized packet', (_frame, socket) => void socket.write(Buffer.from('ffffffff', 'hex'))],
    ['a reply that ends early', (frame, socket) => reply(socket, frame, Buffer.from('000000ff', 'hex'))],
    [
      'a reply with bytes left over',
      (frame, socket) => reply(socket, frame, new XdrWriter().string('a').int(1).bytes()),
    ],
    ['an error that is no error', (frame, socket) => reply(socket, frame, Buffer.alloc(2), Status.error)],
    ['text', (_frame, socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['a packet type that is not', (frame, socket) => void socket.write(encodeFrame({ ...frame, type: 9 }))],
  ])('ends with ProtocolError on %s', async (_name, wrong) => {
    answer = opening(wrong);
    const connection = await open();
    await expect(hostname(connection)).rejects.toThrow(ProtocolError);
    expect(await connection.closed).toBeInstanceOf(ProtocolError);
  });

  it('matches pipelined answers that come in any order, and drops one that comes too late', async () => {
    const late: Frame[] = [];
    answer = opening((frame, socket) => {
      late.push(frame);
      if (late.length < 3) return;
      for (const each of late.toReversed()) reply(socket, each, new XdrWriter().string(`${each.serial}`).bytes());
    });
    const connection = await open();
    await expect(connection.call(procedures.connectGetHostname, undefined, { timeoutMs: 20 })).rejects.toThrow(
      DeadlineError,
    );
    const names = await Promise.all([hostname(connection), hostname(connection)]);
    expect(names.map((each) => each.hostname)).toEqual(['4', '5']);
    connection.close();
  });

  it('stops waiting when the caller does', async () => {
    answer = opening(() => undefined);
    const connection = await open();
    const abort = new AbortController();
    const call = connection.call(procedures.connectGetHostname, undefined, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
    connection.close();
  });

  it('asks a silent daemon whether it lives, and gives it up', async () => {
    answer = opening(() => undefined);
    const connection = await open({ keepAlive: { intervalMs: 60, count: 2 } });
    expect((await connection.closed).message).toContain('keepalive');
  });
});

describe('a reconnecting connection', () => {
  it('comes back, registers again and tells its owner', async () => {
    const registered: number[] = [];
    answer = opening((frame, socket) => {
      registered.push(frame.procedure);
      reply(socket, frame, new XdrWriter().int(0).bytes());
    });
    const downs: Error[] = [];
    let ups = 0;
    const connection = new ReconnectingConnection({
      path,
      uri: 'qemu:///session',
      events: ['lifecycle', 'reboot'],
      onUp: () => void ups++,
      onDown: (why) => downs.push(why),
    });
    const first = await connection.connection();
    sockets.at(-1)?.destroy();
    await first.closed;
    await expect(connection.connection()).resolves.not.toBe(first);
    expect([ups, downs.length]).toEqual([2, 1]);
    expect(registered).toEqual([316, 316, 316, 316]);
    await connection.close();
  });

  it('says why there is none', async () => {
    answer = (_frame, socket) => void socket.destroy();
    const connection = new ReconnectingConnection({ path, uri: 'x', events: [], onUp: () => undefined });
    const error: unknown = await connection.connection({ timeoutMs: 50 }).catch((each: unknown) => each);
    expect(error).toMatchObject({ name: 'ConnectionClosedError', cause: { name: 'ConnectionClosedError' } });
    await connection.close();
  });
});
