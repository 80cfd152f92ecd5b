// Registry logins from image pull secrets (kubernetes.io/dockerconfigjson and dockercfg).
import type { ImageReference } from './reference.ts';

export interface Login {
  username: string;
  password: string;
}

type Entry = { username?: string; password?: string; auth?: string };

/** Logins of one secret by registry host; `data` is the secret's, base64. Unreadable content gives none. */
export function loginsOf(data: Record<string, string>): Map<string, Login> {
  const logins = new Map<string, Login>();
  const text = data['.dockerconfigjson'] ?? data['.dockercfg'];
  if (text === undefined) return logins;
  try {
    const parsed = JSON.parse(Buffer.from(text, 'base64').toString()) as { auths?: Record<string, Entry> };
    const auths = parsed.auths ?? (parsed as Record<string, Entry>);
    for (const [key, entry] of Object.entries(auths)) {
      const [user = '', ...rest] = Buffer.from(entry.auth ?? '', 'base64')
        .toString()
        .split(':');
      const username = entry.username ?? user;
      const password = entry.password ?? rest.join(':');
      if (username !== '') logins.set(hostOf(key), { username, password });
    }
  } catch {
    // A broken secret gives no login; the registry's refusal then says what is missing.
  }
  return logins;
}

export function loginFor(logins: ReadonlyMap<string, Login>, ref: ImageReference): Login | undefined {
  return logins.get(ref.registry);
}

function hostOf(key: string): string {
  const host = key.replace(/^https?:\/\//, '').split('/')[0] ?? '';
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
}
