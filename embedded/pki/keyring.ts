// The certificates of the control plane on disk: made at first start, renewed near expiry, readable by their owner only.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority, isFresh, type KeyPair } from './authority.ts';

export interface Keyring {
  ca: Authority;
  /** The API server's own certificate. */
  server: KeyPair;
  /** A client in system:masters. */
  admin: KeyPair;
  /** With which the API server shows itself to aggregated API servers and kubelets. */
  frontProxy: KeyPair;
}

/**
 * Opens `dir`, making what is missing and renewing what is near its end.
 * @param hosts names and addresses that the server answers to.
 */
export function openKeyring(dir: string, hosts: string[]): Keyring {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const stored = readPair(dir, 'ca');
  const ca =
    stored !== undefined && isFresh(stored, stored.cert) ? Authority.load(stored) : Authority.create('virtloom-ca');
  if (stored?.cert !== ca.cert) writePair(dir, 'ca', ca.pair);
  return {
    ca,
    server: keep(dir, 'server', ca, () => ca.issueServer('kube-apiserver', hosts)),
    admin: keep(dir, 'admin', ca, () => ca.issueClient('kubernetes-admin', ['system:masters'])),
    frontProxy: keep(dir, 'front-proxy', ca, () => ca.issueClient('front-proxy-client', [])),
  };
}

function keep(dir: string, name: string, ca: Authority, issue: () => KeyPair): KeyPair {
  const stored = readPair(dir, name);
  if (stored !== undefined && isFresh(stored, ca.cert)) return stored;
  const pair = issue();
  writePair(dir, name, pair);
  return pair;
}

function readPair(dir: string, name: string): KeyPair | undefined {
  const cert = join(dir, `${name}.crt`);
  const key = join(dir, `${name}.key`);
  if (!existsSync(cert) || !existsSync(key)) return undefined;
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

function writePair(dir: string, name: string, pair: KeyPair): void {
  write(join(dir, `${name}.key`), pair.key);
  write(join(dir, `${name}.crt`), pair.cert);
}

function write(file: string, content: string): void {
  writeFileSync(`${file}.new`, content, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
