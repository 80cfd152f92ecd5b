// Secrets and config maps as the kubelet needs them: their data, or a plain "not found".
import { isNotFound } from '../../core/kube/client.ts';
import type { KubeClient } from '../../core/kube/client.ts';
import { CONFIGMAPS, SECRETS } from '../../core/kube/objects.ts';
import type { KubeObject, Resource } from '../../core/kube/objects.ts';

type Data = Map<string, Buffer>;

export interface ConfigLookup {
  /** Undefined when the object does not exist. */
  secret(namespace: string, name: string): Promise<Data | undefined>;
  configMap(namespace: string, name: string): Promise<Data | undefined>;
}

type ConfigObject = KubeObject & { data?: Record<string, string>; binaryData?: Record<string, string> };

export function apiLookup(client: KubeClient): ConfigLookup {
  const read = async (resource: Resource, namespace: string, name: string) => {
    try {
      return await client.get<ConfigObject>(resource, namespace, name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };
  const base64 = (data: Record<string, string> = {}) =>
    Object.entries(data).map(([key, value]): [string, Buffer] => [key, Buffer.from(value, 'base64')]);
  return {
    async secret(namespace, name) {
      const found = await read(SECRETS, namespace, name);
      return found && new Map(base64(found.data));
    },
    async configMap(namespace, name) {
      const found = await read(CONFIGMAPS, namespace, name);
      const text = Object.entries(found?.data ?? {}).map(([k, v]): [string, Buffer] => [k, Buffer.from(v)]);
      return found && new Map([...text, ...base64(found.binaryData)]);
    },
  };
}
