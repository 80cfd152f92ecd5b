// Opens what a path names inside a container. Symbolic links there resolve within the container's root, whoever made them.
import { constants } from 'node:fs';
import { open, readlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { openUnixSocket } from './libvirt/connection.ts';
import type { ContainerProcess } from './container.ts';

/** Linux's O_PATH, which node:fs does not name: a handle on a place, without opening what is there. */
const O_PATH = 0x20_0000;
const LINKS_MAX = 40;

const at = (handle: FileHandle, name: string): string => `/proc/self/fd/${handle.fd}/${name}`;

/** The caller closes the handle. Errors are those of open(2), ELOOP for too many links. */
export async function openPlace(container: ContainerProcess, path: string): Promise<FileHandle> {
  const open1 = (place: string, flags: number): Promise<FileHandle> => open(place, O_PATH | flags);
  const parents = [await open1(`/proc/${container.pid}/root`, constants.O_DIRECTORY)];
  const rest = path.split('/');
  let links = 0;
  try {
    for (;;) {
      const here = parents.at(-1) as FileHandle;
      const name = rest.shift();
      if (name === undefined) return parents.pop() as FileHandle;
      if (name === '' || name === '.') continue;
      if (name === '..') {
        // Above the container's root there is nothing.
        if (parents.length > 1) await parents.pop()?.close();
        continue;
      }
      const next = await open1(at(here, name), constants.O_NOFOLLOW);
      if (!(await next.stat()).isSymbolicLink()) {
        parents.push(next);
        continue;
      }
      await next.close();
      if (++links > LINKS_MAX) throw Object.assign(new Error(`too many symbolic links in ${path}`), { code: 'ELOOP' });
      const target = await readlink(at(here, name));
      rest.unshift(...target.split('/'));
      if (target.startsWith('/')) for (const parent of parents.splice(1)) await parent.close();
    }
  } finally {
    for (const parent of parents) await parent.close();
  }
}

/** A handle on a unix socket inside a container. Rejects when the path names anything but a socket of the container's user. */
export async function openSocket(container: ContainerProcess, path: string): Promise<FileHandle> {
  const place = await openPlace(container, path);
  try {
    const found = await place.stat();
    if (!found.isSocket()) throw new Error(`${path} in the container is not a socket`);
    if (found.uid !== container.uid) throw new Error(`${path} in the container belongs to user ${found.uid}`);
    return place;
  } catch (error) {
    await place.close();
    throw error;
  }
}

/** Connects to a unix socket inside a container. Rejects as openSocket() does. */
export async function connectIn(container: ContainerProcess, path: string, timeoutMs = 10_000): Promise<Socket> {
  const place = await openSocket(container, path);
  try {
    return await openUnixSocket(`/proc/self/fd/${place.fd}`, timeoutMs);
  } finally {
    await place.close();
  }
}
