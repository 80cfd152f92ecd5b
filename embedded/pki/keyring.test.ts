// Certificates: made once, renewed when they no longer fit, and good for TLS.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openKeyring } from './keyring.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vl-pki-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

describe('openKeyring', () => {
  it('keeps what it made, readable by the owner only', () => {
    const first = openKeyring(dir, ['localhost', '127.0.0.1']);
    const second = openKeyring(dir, ['localhost', '127.0.0.1']);
    expect(second.server).toEqual(first.server);
    expect(second.ca.cert).toBe(first.ca.cert);
    for (const file of ['ca.key', 'ca.crt', 'admin.key', 'server.key']) {
      expect(statSync(join(dir, file)).mode & 0o777).toBe(0o600);
    }
  });

  it('renews a certificate that does not fit its key, and everything under a new CA', () => {
    const first = openKeyring(dir, ['localhost']);
    writeFileSync(join(dir, 'admin.key'), first.server.key);
    const second = openKeyring(dir, ['localhost']);
    expect(second.admin.cert).not.toBe(first.admin.cert);
    rmSync(join(dir, 'ca.key'));
    const third = openKeyring(dir, ['localhost']);
    expect(third.ca.cert).not.toBe(first.ca.cert);
    expect(new X509Certificate(third.server.cert).verify(new X509Certificate(third.ca.cert).publicKey)).toBe(true);
  });

  it('issues certificates that name users, groups and hosts', () => {
    const { ca } = openKeyring(dir, ['localhost']);
    const client = new X509Certificate(ca.issueClient('jane', ['a', 'system:b']).cert);
    expect(client.subject.split('\n')).toEqual(['O=a', 'O=system:b', 'CN=jane']);
    const server = new X509Certificate(ca.issueServer('hook', ['hook.ns.svc', '127.0.0.1', 'fd00::12']).cert);
    expect(server.checkHost('hook.ns.svc')).toBe('hook.ns.svc');
    expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(server.checkIP('fd00::12')).toBe('fd00::12');
    expect(server.checkIssued(new X509Certificate(ca.cert))).toBe(true);
  });
});
