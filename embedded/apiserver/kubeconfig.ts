// Kubeconfig files for clients of the embedded API server.
import { stringify } from 'yaml';
import type { KeyPair } from '../pki/authority.ts';

export function kubeconfig(server: string, ca: string, user: string, pair: KeyPair): string {
  const data = (pem: string): string => Buffer.from(pem).toString('base64');
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'virtloom', cluster: { server, 'certificate-authority-data': data(ca) } }],
    users: [
      {
        name: user,
        user: { 'client-certificate-data': data(pair.cert), 'client-key-data': data(pair.key) },
      },
    ],
    contexts: [{ name: 'virtloom', context: { cluster: 'virtloom', user } }],
    'current-context': 'virtloom',
  });
}
