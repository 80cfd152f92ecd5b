// Ties a WebSocket to a unix socket in a launcher pod: serial console and VNC. One session at a time for each.
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createWebSocketStream } from 'ws';
import type { WebSocket } from 'ws';
import { childOf } from '../core/index.ts';
import type { Element } from '../core/index.ts';

/** Close code of a session that a newer one has taken the place of. */
export const TAKEN_OVER = 4001;

export type StreamVerb = 'console' | 'vnc';

/** The unix socket of the guest's first serial port, or of its VNC server, as the live domain names it. */
export function socketOf(devices: readonly Element[], verb: StreamVerb): string | undefined {
  for (const device of devices) {
    if (verb === 'console' && device.tag === 'serial' && device.attrs['type'] === 'unix') {
      return childOf(device, 'source')?.attrs['path'];
    }
    if (verb === 'vnc' && device.tag === 'graphics' && device.attrs['type'] === 'vnc') {
      const listen = device.children.find((each) => each.tag === 'listen' && each.attrs['type'] === 'socket');
      return listen?.attrs['socket'] ?? device.attrs['socket'];
    }
  }
  return undefined;
}

export class Sessions {
  readonly #open = new Map<string, WebSocket>();

  has(key: string): boolean {
    return this.#open.has(key);
  }

  /** Settles when either side has ended. A session there was under this key is told and closed. */
  async run(key: string, socket: WebSocket, target: Duplex): Promise<void> {
    this.#open.get(key)?.close(TAKEN_OVER, 'another session has taken over');
    this.#open.set(key, socket);
    const stream = createWebSocketStream(socket);
    try {
      await pipeline(stream, target, stream);
      socket.close(1000);
    } catch {
      // The peer went away, the guest ended, or somebody took over: each side has been told by its own end.
      socket.close(1001, 'the guest has gone');
    } finally {
      target.destroy();
      if (this.#open.get(key) === socket) this.#open.delete(key);
    }
  }

  closeAll(): void {
    for (const socket of this.#open.values()) socket.close(1001, 'the node agent is stopping');
  }
}
