// Throw-away certificates for tests: an authority and what it signs, by the openssl command.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Pair {
  /** PEM. */
  cert: string;
  /** PEM, PKCS#8. */
  key: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export class Authority {
  readonly #ca: Pair;

  constructor(commonName: string) {
    this.#ca = make(['-subj', `/CN=${commonName}`, '-addext', 'keyUsage=critical,keyCertSign']);
  }

  get cert(): string {
    return this.#ca.cert;
  }

  /** A certificate for a server (with the host names or addresses it answers for) or a client. */
  sign(commonName: string, hosts: string[] = ['unused.invalid']): Pair {
    const names = hosts.map((host) => (/^[\d.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`)).join(',');
    const options = ['-subj', `/CN=${commonName}`, '-addext', `subjectAltName=${names}`];
    return make([...options, '-addext', 'basicConstraints=critical,CA:FALSE'], this.#ca);
  }
}

function make(options: string[], issuer?: Pair): Pair {
  const folder = mkdtempSync(join(tmpdir(), 'vl-certificate-'));
  const at = (name: string) => join(folder, name);
  try {
    const signer: string[] = [];
    if (issuer !== undefined) {
      writeFileSync(at('ca.crt'), issuer.cert);
      writeFileSync(at('ca.key'), issuer.key, { mode: 0o600 });
      signer.push('-CA', at('ca.crt'), '-CAkey', at('ca.key'));
    }
    const files = ['-keyout', at('key'), '-out', at('crt')];
    execFileSync('openssl', ['req', '-x509', ...KEY, '-days', '1', ...options, ...signer, ...files], { stdio: 'pipe' });
    return { cert: readFileSync(at('crt'), 'utf8'), key: readFileSync(at('key'), 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
