// A container's environment: the image's, then envFrom, then env with references and $(NAME) resolved.
import { fieldValue, resourceValue } from './fields.ts';
import type { PodFacts } from './fields.ts';
import type { ConfigLookup } from './lookup.ts';
import { expand } from './oci-config.ts';
import type { Container, EnvFrom, EnvVar } from './pod-types.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A missing secret, config map, key or field: the container waits with CreateContainerConfigError and this text. */
export class EnvError extends Error {
  override name = 'EnvError';
}

export async function environment(
  facts: PodFacts,
  container: Container,
  imageEnv: readonly string[],
  lookup: ConfigLookup,
): Promise<[string, string][]> {
  const result = new Map<string, string>([
    ['PATH', PATH],
    ['HOSTNAME', hostnameOf(facts.pod.spec.hostname, facts.pod.metadata.name)],
    ...(container.tty ? [['TERM', 'xterm'] as const] : []),
    ...imageEnv.map((text): [string, string] => {
      const at = text.indexOf('=');
      return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
    }),
  ]);
  const namespace = facts.pod.metadata.namespace ?? '';
  for (const source of container.envFrom ?? []) {
    for (const [key, value] of await fromSource(source, namespace, lookup)) {
      if (/^[^=\0]+$/.test(key)) result.set(`${source.prefix ?? ''}${key}`, value.toString());
    }
  }
  for (const variable of container.env ?? []) {
    const value = await valueOf(variable, facts, container, lookup, result);
    if (value !== undefined) result.set(variable.name, value);
  }
  return [...result];
}

/** True when some variable needs the pod's address, which only the network set-up gives. */
export function needsPodIP(container: Container): boolean {
  return (container.env ?? []).some((v) => v.valueFrom?.fieldRef?.fieldPath.startsWith('status.podIP') ?? false);
}

export function hostnameOf(hostname: string | undefined, podName: string | undefined): string {
  return (hostname ?? podName ?? '').slice(0, 63).replace(/[-.]+$/, '');
}

async function fromSource(source: EnvFrom, namespace: string, lookup: ConfigLookup): Promise<Map<string, Buffer>> {
  const ref = source.secretRef ?? source.configMapRef;
  if (!ref) return new Map();
  const found = source.secretRef
    ? await lookup.secret(namespace, ref.name)
    : await lookup.configMap(namespace, ref.name);
  if (found) return found;
  if (ref.optional) return new Map();
  throw new EnvError(`${source.secretRef ? 'secret' : 'configmap'} "${ref.name}" not found`);
}

async function valueOf(
  { value, valueFrom }: EnvVar,
  facts: PodFacts,
  container: Container,
  lookup: ConfigLookup,
  before: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  if (!valueFrom) return expand(value ?? '', before);
  if (valueFrom.fieldRef) return fieldValue(facts, valueFrom.fieldRef.fieldPath);
  if (valueFrom.resourceFieldRef) return resourceValue(facts, container, valueFrom.resourceFieldRef);
  const secret = valueFrom.secretKeyRef;
  const ref = secret ?? valueFrom.configMapKeyRef;
  if (!ref) return '';
  const namespace = facts.pod.metadata.namespace ?? '';
  const found = secret ? await lookup.secret(namespace, ref.name) : await lookup.configMap(namespace, ref.name);
  const bytes = found?.get(ref.key);
  if (bytes !== undefined) return bytes.toString();
  if (ref.optional) return undefined;
  if (!found) throw new EnvError(`${secret ? 'secret' : 'configmap'} "${ref.name}" not found`);
  throw new EnvError(`couldn't find key ${ref.key} in ${secret ? 'Secret' : 'ConfigMap'} ${namespace}/${ref.name}`);
}
