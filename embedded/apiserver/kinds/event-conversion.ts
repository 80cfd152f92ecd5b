// Events are kept as core/v1 has them; events.k8s.io/v1 names some fields differently.
import type { JsonObject } from '../json.ts';

const RENAMED: [core: string, events: string][] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
];

export function fromStoredEvent(event: JsonObject): JsonObject {
  return { ...rename(event, new Map(RENAMED)), apiVersion: 'events.k8s.io/v1' };
}

export function toStoredEvent(event: JsonObject): JsonObject {
  return { ...rename(event, new Map(RENAMED.map(([core, events]) => [events, core]))), apiVersion: 'v1' };
}

function rename(object: JsonObject, names: Map<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [names.get(name) ?? name, value]));
}
