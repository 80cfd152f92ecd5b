// The files of secret, configMap, downwardAPI and projected volumes.
import type { VolumeFile } from './atomic-dir.ts';
import { fieldValue, resourceValue } from './fields.ts';
import type { PodFacts } from './fields.ts';
import type { ConfigLookup } from './lookup.ts';
import type { ConfigSource, DownwardItem, Volume } from './pod-types.ts';

type Files = Map<string, VolumeFile>;

const DEFAULT_MODE = 0o644;

/** By relative path; undefined when the volume is of another kind. Throws with kubelet's wording for what is missing. */
export async function projectedFiles(
  volume: Volume,
  facts: PodFacts,
  lookup: ConfigLookup,
): Promise<Files | undefined> {
  const namespace = facts.pod.metadata.namespace ?? '';
  const secret = async (source: ConfigSource, name: string, mode: number | undefined) =>
    pick(source, await lookup.secret(namespace, name), 'secret', namespace, name, mode);
  const configMap = async (source: ConfigSource, name: string, mode: number | undefined) =>
    pick(source, await lookup.configMap(namespace, name), 'configmap', namespace, name, mode);

  if (volume.secret) return await secret(volume.secret, volume.secret.secretName ?? '', volume.secret.defaultMode);
  if (volume.configMap) {
    return await configMap(volume.configMap, volume.configMap.name ?? '', volume.configMap.defaultMode);
  }
  if (volume.downwardAPI) return downward(volume.downwardAPI.items, facts, volume.downwardAPI.defaultMode);
  if (!volume.projected) return undefined;
  const files: Files = new Map();
  for (const source of volume.projected.sources ?? []) {
    const mode = volume.projected.defaultMode;
    if (source.serviceAccountToken) throw new Error('service account tokens are not issued on this node');
    const parts = [
      source.secret && (await secret(source.secret, source.secret.name ?? '', mode)),
      source.configMap && (await configMap(source.configMap, source.configMap.name ?? '', mode)),
      source.downwardAPI && downward(source.downwardAPI.items, facts, mode),
    ];
    for (const part of parts) for (const [path, file] of part ?? []) files.set(path, file);
  }
  return files;
}

function pick(
  source: ConfigSource,
  data: Map<string, Buffer> | undefined,
  kind: 'secret' | 'configmap',
  namespace: string,
  name: string,
  defaultMode = DEFAULT_MODE,
): Files {
  if (!data) {
    if (source.optional) return new Map();
    throw new Error(`${kind} "${name}" not found`);
  }
  if (!source.items) return new Map([...data].map(([key, content]) => [key, { content, mode: defaultMode }]));
  const files: Files = new Map();
  for (const item of source.items) {
    const content = data.get(item.key);
    if (content) files.set(item.path, { content, mode: item.mode ?? defaultMode });
    else if (!source.optional)
      throw new Error(`references non-existent ${kind} key: ${item.key} in ${namespace}/${name}`);
  }
  return files;
}

function downward(items: DownwardItem[] = [], facts: PodFacts, defaultMode = DEFAULT_MODE): Files {
  const files: Files = new Map();
  for (const item of items) {
    let text = '';
    if (item.fieldRef) text = fieldValue(facts, item.fieldRef.fieldPath);
    else if (item.resourceFieldRef) {
      const named = facts.pod.spec.containers.find((c) => c.name === item.resourceFieldRef?.containerName);
      if (!named) throw new Error(`resourceFieldRef of ${item.path} names no container of the pod`);
      text = resourceValue(facts, named, item.resourceFieldRef);
    }
    files.set(item.path, { content: Buffer.from(text), mode: item.mode ?? defaultMode });
  }
  return files;
}
