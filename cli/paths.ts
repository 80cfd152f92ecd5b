// Where things are: the project's own files, and the state of the platform on this machine.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const DEFAULT_CONFIG = join(ROOT, 'virtloom.yaml');
export const KNOWN_FIELDS = join(ROOT, 'plugins/known-fields.json');
export const DEFAULT_STATE = '/var/lib/virtloom';

export function kubeconfigIn(stateDir: string): string {
  return join(stateDir, 'kubeconfig');
}

/** --kubeconfig, else KUBECONFIG, else the platform on this machine. */
export function findKubeconfig(given: string | undefined): string {
  const candidates = [given, process.env['KUBECONFIG']?.split(':')[0], kubeconfigIn(DEFAULT_STATE)];
  const found = candidates.find((path) => path !== undefined && path !== '' && (path === given || existsSync(path)));
  if (found !== undefined) return found;
  throw new Error('no kubeconfig: set KUBECONFIG, give --kubeconfig FILE, or start the platform with "npm start"');
}
