// Between the one stored shape of an object and the version in which a client sees it.
import type { KubeObject } from '../../core/kube/objects.ts';
import { apiVersion, type Served } from './kinds/kind.ts';

export function present(stored: KubeObject, { kind, version }: Served): KubeObject {
  if (kind.fromStorage !== undefined) return kind.fromStorage(stored) as KubeObject;
  const wanted = apiVersion(kind.group, version.name);
  return stored.apiVersion === wanted ? stored : { ...stored, apiVersion: wanted };
}

export function toStored(object: KubeObject, { kind }: Served): KubeObject {
  if (kind.toStorage !== undefined) return kind.toStorage(object) as KubeObject;
  const wanted = apiVersion(kind.group, kind.storageVersion);
  return object.apiVersion === wanted ? object : { ...object, apiVersion: wanted };
}
