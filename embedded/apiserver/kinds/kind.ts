// What the server must know of a kind, built in or defined by a CRD: one record, one code path for all.
import type { KubeObject } from '../../../core/kube/objects.ts';
import type { JsonObject } from '../json.ts';
import type { Resolve, Schema } from '../schema/schema.ts';

/** A column of `kubectl get`. Priority above 0 shows with `-o wide` only. */
export interface Column {
  name: string;
  type: string;
  format?: string;
  description?: string;
  priority?: number;
  /** The cell: string, number or boolean; null shows `<none>` for numbers and nothing for strings. */
  cell: (object: KubeObject) => string | number | boolean | null;
}

export interface Scale {
  specReplicasPath: string;
  statusReplicasPath: string;
  labelSelectorPath?: string;
}

/** One version under which a kind is served. */
export interface Version {
  name: string;
  schema: Schema;
  resolve: Resolve;
  columns: Column[];
  /** Sent as a Warning header with every answer. */
  deprecation?: string;
  hasStatus: boolean;
  scale?: Scale;
  /** Dotted paths that field selectors may name, besides metadata.name and metadata.namespace. */
  selectable: string[];
}

export interface Kind {
  group: string;
  kind: string;
  plural: string;
  singular: string;
  namespaced: boolean;
  shortNames: string[];
  categories: string[];
  /** Served versions, the preferred one first. */
  versions: Version[];
  /** The version that objects are kept in; any other is served with its apiVersion rewritten. */
  storageVersion: string;
  /** The store's key: `group/plural`; two API groups may share one. */
  storage: string;
  /** Subresources besides status and scale: log, exec, binding, eviction, finalize. */
  subresources: string[];
  /** True for kinds that CRDs define: their metadata is the only thing known about them beforehand. */
  custom: boolean;
  hasGeneration: boolean;
  /** Kinds that answer a question and are never stored: reviews. */
  isReview: boolean;
  /** Status a client sends at creation is kept (nodes), not dropped. */
  keepsStatus: boolean;
  /** Between the stored shape and a shape that only this group has (events.k8s.io). */
  fromStorage?: (object: JsonObject) => JsonObject;
  toStorage?: (object: JsonObject) => JsonObject;
}

/** A kind in one of its versions: what a request's path names. */
export interface Served {
  kind: Kind;
  version: Version;
}

export function apiVersion(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`;
}

export function storageKey(group: string, plural: string): string {
  return `${group}/${plural}`;
}
