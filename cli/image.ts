// `virtloom image load`: puts an image into the store of the platform on this machine, with no registry.
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { ImageStore } from '../embedded/images/store.ts';
import { Exit, REFUSED, USAGE } from './exit.ts';

/** `source` is an OCI layout folder or an OCI archive. Throws Exit. */
export async function loadInto(stateDir: string, source: string, name: string): Promise<void> {
  let isFolder: boolean;
  try {
    isFolder = statSync(source).isDirectory();
  } catch (error) {
    throw new Exit(USAGE, `${source}: ${messageOf(error)}`);
  }
  const images = new ImageStore({ dir: join(stateDir, 'kubelet/images') });
  try {
    await images.load(name, `${isFolder ? 'oci' : 'oci-archive'}:${source}`);
  } catch (error) {
    throw new Exit(REFUSED, `${source} cannot be loaded as ${name}: ${messageOf(error)}`);
  }
}

export async function loadImage(source: string, name: string, options: { readonly stateDir: string }): Promise<void> {
  await loadInto(resolve(options.stateDir), resolve(source), name);
  console.log(`${name} is loaded`);
}
