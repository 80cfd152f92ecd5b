// Asks a registry which digest a tag means now: one HEAD request, with token login where the registry wants it.
import type { Login } from './credentials.ts';
import type { ImageReference } from './reference.ts';

export const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

export class RegistryError extends Error {
  override name = 'RegistryError';
}

const TIMEOUT_MS = 30_000;

/** True for hosts that may be asked without TLS: this machine, and those the operator named. */
export function isInsecure(registry: string, insecureRegistries: readonly string[]): boolean {
  const host = registry.replace(/:[0-9]+$/, '');
  return (
    host === 'localhost' ||
    host === '[::1]' ||
    /^127\./.test(host) ||
    insecureRegistries.some((r) => r === registry || r === host)
  );
}

/** The digest behind a reference's tag. Throws RegistryError with the registry's own words. */
export async function headDigest(ref: ImageReference, login: Login | undefined, insecure: boolean): Promise<string> {
  const host = ref.registry === 'docker.io' ? 'registry-1.docker.io' : ref.registry;
  const name = `${ref.registry}/${ref.repository}:${ref.tag ?? ''}`;
  const url = (scheme: string) =>
    `${scheme}://${host}/v2/${ref.repository}/manifests/${ref.digest ?? ref.tag ?? 'latest'}`;
  const schemes = insecure ? ['http', 'https'] : ['https'];
  let failure = '';
  for (const scheme of schemes) {
    try {
      let response = await head(url(scheme), basic(login));
      if (response.status === 401) {
        const token = await bearer(response.headers.get('www-authenticate') ?? '', login);
        if (token !== undefined) response = await head(url(scheme), `Bearer ${token}`);
      }
      const digest = response.headers.get('docker-content-digest');
      if (response.ok && digest !== null && /^sha256:[0-9a-f]{64}$/.test(digest)) return digest;
      throw new RegistryError(refusal(name, response.status));
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      failure ||= `failed to do request: Head "${url(scheme)}": ${causeOf(error)}`;
    }
  }
  throw new RegistryError(`failed to resolve reference "${name}": ${failure}`);
}

function refusal(name: string, status: number): string {
  if (status === 404) return `failed to resolve reference "${name}": ${name}: not found`;
  if (status === 401 || status === 403) {
    return (
      `failed to resolve reference "${name}": pull access denied, repository does not exist or may require ` +
      `authorization: server message: ${status === 401 ? 'authorization failed: no basic auth credentials' : 'access denied'}`
    );
  }
  return `failed to resolve reference "${name}": unexpected status from HEAD request: ${status}`;
}

function head(url: string, authorization: string | undefined): Promise<Response> {
  return fetch(url, {
    method: 'HEAD',
    headers: { accept: MANIFEST_TYPES.join(', '), ...(authorization && { authorization }) },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
}

function basic(login: Login | undefined): string | undefined {
  return login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`;
}

/** A token from the server that the registry's challenge names; undefined when it wants no token. */
async function bearer(challenge: string, login: Login | undefined): Promise<string | undefined> {
  if (!/^bearer /i.test(challenge)) return undefined;
  const fields = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map((m) => [m[1] ?? '', m[2] ?? '']));
  if (!fields['realm']) return undefined;
  const url = new URL(fields['realm']);
  for (const key of ['service', 'scope']) if (fields[key]) url.searchParams.set(key, fields[key]);
  const authorization = basic(login);
  const response = await fetch(url, {
    headers: authorization ? { authorization } : {},
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) return undefined;
  const body = (await response.json()) as { token?: string; access_token?: string };
  return body.token ?? body.access_token;
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
