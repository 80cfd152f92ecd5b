// How plugins' metrics reach whoever collects them; the core only carries them.
import type { Metric, MetricDefinitions } from './plugin.ts';

/** Makes the metrics that a plugin declares, by the names that it gave them. */
export type MetricsOfPlugin = (plugin: string, definitions: MetricDefinitions) => Readonly<Record<string, Metric>>;

const NOBODY: Metric = { add: () => undefined, set: () => undefined, observe: () => undefined };

/** Where nobody collects: offline, in tests. */
export const uncollected: MetricsOfPlugin = (_, definitions) =>
  Object.fromEntries(Object.keys(definitions).map((name) => [name, NOBODY]));
