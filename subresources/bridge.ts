// Two WebSockets joined: bytes both ways at the pace of the slower, one's end is the other's.
import type WebSocket from 'ws';
import type { RawData } from 'ws';

/** Sub-protocols we speak. All carry the plain byte stream; `base64.` in text frames, the others in binary ones. */
export const SUBPROTOCOLS = ['plain.kubevirt.io', 'binary.k8s.io', 'base64.binary.k8s.io'];
const BASE64 = 'base64.binary.k8s.io';

/** Above this many bytes on their way out, the other side is not read. */
const HIGH_WATER = 256 * 1024;
const PING_MS = 20_000;
const FAREWELL_MS = 2_000;
const NORMAL = 1000;
const GOING_AWAY = 1001;

/** Resolves when both are closed. Aborting ends both, with the reason's message for the client. */
export async function bridge(client: WebSocket, agent: WebSocket, signal: AbortSignal): Promise<void> {
  const onAbort = (): void => {
    const reason = signal.reason instanceof Error ? signal.reason.message : '';
    client.close(GOING_AWAY, reason.slice(0, 120));
    agent.close(GOING_AWAY);
    // Who does not answer the close is not waited for.
    setTimeout(() => {
      client.terminate();
      agent.terminate();
    }, FAREWELL_MS).unref();
  };
  const isBase64 = client.protocol === BASE64;
  pump(client, agent, (data) => (isBase64 ? Buffer.from(bytesOf(data).toString('latin1'), 'base64') : bytesOf(data)));
  pump(agent, client, (data) => (isBase64 ? bytesOf(data).toString('base64') : bytesOf(data)));
  const stopPings = [keepAlive(client), keepAlive(agent)];
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  agent.resume();
  await Promise.all([closed(client), closed(agent)]);
  signal.removeEventListener('abort', onAbort);
  for (const stop of stopPings) stop();
}

function pump(from: WebSocket, to: WebSocket, encode: (data: RawData) => Buffer | string): void {
  from.on('message', (data) => {
    if (to.readyState !== to.OPEN) return;
    const message = encode(data);
    to.send(message, { binary: typeof message !== 'string' }, () => {
      if (from.isPaused && to.bufferedAmount < HIGH_WATER / 2) from.resume();
    });
    if (to.bufferedAmount > HIGH_WATER) from.pause();
  });
  from.on('error', () => undefined);
  from.on('close', (code, reason) => {
    // A paused socket would never notice its own end.
    to.resume();
    // 1005 and 1006 say that there was no code; they are not for sending.
    if (to.readyState === to.OPEN) to.close(code >= 3000 || (code >= NORMAL && code <= 1003) ? code : NORMAL, reason);
  });
}

/** A peer that no longer answers pings is cut off; TCP alone would not notice for minutes. */
function keepAlive(socket: WebSocket): () => void {
  let answered = true;
  socket.on('pong', () => (answered = true));
  const timer = setInterval(() => {
    if (!answered) socket.terminate();
    answered = false;
    if (socket.readyState === socket.OPEN) socket.ping();
  }, PING_MS);
  return () => clearInterval(timer);
}

function closed(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState === socket.CLOSED) resolve();
    else socket.once('close', () => resolve());
  });
}

function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
