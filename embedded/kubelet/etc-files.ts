// The pod's /etc/hosts, /etc/hostname and /etc/resolv.conf.
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { hostnameOf } from './env.ts';
import { ensureDir } from './files.ts';
import type { PodLayout } from './layout.ts';
import type { BindMount } from './oci-config.ts';
import type { Pod } from './pod-types.ts';

const NAMES = ['hosts', 'hostname', 'resolv.conf'];

/** Written in place, so that containers already made (their files are bound) see the address once there is one. */
export async function writeEtcFiles(pod: Pod, layout: PodLayout, podIP: string): Promise<void> {
  await ensureDir(layout.etc, 0o755);
  const contents = [hosts(pod, podIP), `${hostnameOf(pod.spec.hostname, pod.metadata.name)}\n`, await resolvConf(pod)];
  await Promise.all(
    NAMES.map((name, index) => writeFile(path.join(layout.etc, name), contents[index] ?? '', { mode: 0o644 })),
  );
}

export function etcMounts(layout: PodLayout): BindMount[] {
  return NAMES.map((name) => ({ source: path.join(layout.etc, name), destination: `/etc/${name}`, readOnly: false }));
}

function hosts({ metadata, spec }: Pod, podIP: string): string {
  const name = hostnameOf(spec.hostname, metadata.name);
  const full = spec.subdomain ? `${name}.${spec.subdomain}.${metadata.namespace ?? ''}.svc.cluster.local\t` : '';
  return [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    // A name that resolves from the first moment: programs that look it up stall for seconds without.
    podIP === '' ? `127.0.1.1\t${name}` : `${podIP}\t${full}${name}`,
    ...(spec.hostAliases ?? []).map((alias) => `${alias.ip}\t${(alias.hostnames ?? []).join('\t')}`),
    '',
  ].join('\n');
}

async function resolvConf({ spec }: Pod): Promise<string> {
  const { nameservers = [], searches = [], options = [] } = spec.dnsConfig ?? {};
  // There is no cluster DNS: ClusterFirst means what Default means, the node's own resolver.
  const base = spec.dnsPolicy === 'None' ? '' : await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  const lines = base.split('\n').filter((line) => /^(nameserver|search|options)\s/.test(line));
  const of = (word: string) => lines.filter((l) => l.startsWith(word)).flatMap((l) => l.split(/\s+/).slice(1));
  // A resolver on the node's loopback is not to be reached from the pod's network.
  const servers = [...nameservers, ...of('nameserver').filter((ip) => !ip.startsWith('127.') && ip !== '::1')];
  const search = [...new Set([...of('search'), ...searches])];
  const extra = options.map(({ name, value }) => (value === undefined ? name : `${name}:${value}`));
  return [
    ...[...new Set(servers)].slice(0, 3).map((ip) => `nameserver ${ip}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(extra.length + of('options').length > 0 ? [`options ${[...of('options'), ...extra].join(' ')}`] : []),
    '',
  ].join('\n');
}
