// VMs and VMIs of a cluster, as people name them on the command line.
import type { Host } from '../core/host.ts';
import { controllerOf, type KubeObject, type Resource } from '../core/kube/objects.ts';
import { isNotFound, KubeClient } from '../core/kube/client.ts';
import { templateOf } from '../core/admission.ts';
import { isFinal } from '../core/status.ts';
import type { Vmi } from '../core/types.ts';
import { VMI_KIND, VMIS } from '../core/vmi-kind.ts';
import { Exit, REFUSED, USAGE } from './exit.ts';

export interface Connection {
  readonly kubeconfig: string;
  readonly namespace?: string;
}

/** Does something with the API server; the connection ends with it. */
export async function connected<T>({ kubeconfig }: Connection, act: (client: KubeClient) => Promise<T>): Promise<T> {
  const client = KubeClient.fromKubeconfig(kubeconfig);
  try {
    return await act(client);
  } finally {
    client.close();
  }
}

/** The kind and the name of `vm/NAME`, `vmi/NAME`, or NAME alone, which is a VMI. Throws Exit for other kinds. */
export function targetOf(host: Host, text: string): { resource: Resource; name: string } {
  const kinds = [VMI_KIND, ...host.kinds].filter(({ resource }) => templateOf(host, resource.kind) !== undefined);
  const [word = '', name, ...more] = text.includes('/') ? text.split('/') : ['vmi', text];
  const kind = kinds.find(({ resource, singular, shortNames }) =>
    [resource.plural, singular, ...shortNames].includes(word.toLowerCase()),
  );
  if (kind && name && more.length === 0) return { resource: kind.resource, name };
  const known = kinds.map(({ shortNames, singular }) => `${shortNames[0] ?? singular}/NAME`);
  throw new Exit(USAGE, `"${text}" is not ${known.join(' or ')}`);
}

/** The object, or undefined where there is none of this name. */
export async function find<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  namespace: string,
  name: string,
): Promise<T | undefined> {
  try {
    return await client.get<T>(resource, namespace, name);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

export async function findVmi(client: KubeClient, namespace: string, name: string): Promise<Vmi | undefined> {
  return find<Vmi>(client, VMIS, namespace, name);
}

/** Throws Exit. */
export function notFound({ kind }: Resource, namespace: string, name: string): never {
  throw new Exit(REFUSED, `there is no ${kind} "${name}" in namespace ${namespace}`);
}

/** VMIs that are not at their end, of one namespace or of all. */
export async function allRunning(client: KubeClient, namespace: string | undefined): Promise<Vmi[]> {
  const { items } = await client.list<Vmi>(VMIS, namespace);
  return items.filter(({ status }) => !isFinal(status?.phase));
}

/** What a VMI was made from and would be made from again; undefined where it stands for itself. */
export async function makerOf(client: KubeClient, host: Host, vmi: Vmi): Promise<KubeObject | undefined> {
  const owner = controllerOf(vmi);
  const kind = host.kinds.find(({ resource, template }) => template !== undefined && resource.kind === owner?.kind);
  if (!kind || !owner) return undefined;
  const found = await find(client, kind.resource, vmi.metadata.namespace ?? '', owner.name);
  return found && { ...found, apiVersion: vmi.apiVersion, kind: kind.resource.kind };
}
