// What the platform tells Prometheus: every tap and node step by plugin, what plugins count themselves, and the process.
import { Counter, Gauge, Histogram as PromHistogram, Registry, collectDefaultMetrics } from 'prom-client';
import { fail, messageOf } from '../core/errors.ts';
import type { OnStep } from '../core/host.ts';
import type { MetricsOfPlugin } from '../core/metrics.ts';
import type { Metric, MetricDefinition } from '../core/plugin.ts';
import type { OnTap } from '../core/tap.ts';
import type { Owner } from '../core/types.ts';
import { BUCKETS, Histogram } from './histogram.ts';

type Labels = Readonly<Record<string, string>>;
interface Line {
  readonly labels: Labels;
  readonly histogram: Histogram;
}

/** Outlives the hosts: a plugin that is configured anew goes on counting. */
export class Telemetry {
  readonly #registry = new Registry();
  readonly #taps = new Map<Owner, Histogram>();
  readonly #steps = new Map<string, Line>();
  /** By full name: a plugin that is set up again has the same metric. */
  readonly #own = new Map<string, { readonly plugin: string; readonly metric: Metric }>();

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  readonly onTap: OnTap = (owner, began, ended, weight, error) => {
    let histogram = this.#taps.get(owner);
    if (!histogram) this.#taps.set(owner, (histogram = new Histogram()));
    histogram.add((ended - began) / 1000, weight, error !== undefined);
  };

  readonly onStep: OnStep = ({ plugin, action, way }, ms, failed) => {
    const key = `${plugin} ${action} ${way}`;
    let line = this.#steps.get(key);
    if (!line) this.#steps.set(key, (line = { labels: { plugin, action, way }, histogram: new Histogram() }));
    line.histogram.add(ms / 1000, 1, failed);
  };

  /** Throws VL_PLUGIN_SHAPE for a metric that Prometheus cannot have, or that another plugin has. */
  readonly metricsOf: MetricsOfPlugin = (plugin, definitions) =>
    Object.fromEntries(
      Object.entries(definitions).map(([name, definition]) => [name, this.#metric(plugin, name, definition)]),
    );

  /** Prometheus' text format, and its content type. */
  async scrape(): Promise<{ text: string; contentType: string }> {
    const taps = new Map<string, Line>();
    // Hosts come and go, and with them the owners: what is of one plugin and hook is one line.
    for (const [{ plugin, tap }, histogram] of this.#taps) {
      const line = taps.get(`${plugin} ${tap}`) ?? { labels: { plugin, hook: tap }, histogram: new Histogram() };
      taps.set(`${plugin} ${tap}`, line);
      merge(line.histogram, histogram);
    }
    const own = [
      ...lines('virtloom_tap', 'Calls of plugins’ taps', [...taps.values()]),
      ...lines('virtloom_step', 'Node steps', [...this.#steps.values()]),
    ];
    return {
      text: `${await this.#registry.metrics()}\n${own.join('\n')}\n`,
      contentType: this.#registry.contentType,
    };
  }

  #metric(plugin: string, name: string, definition: MetricDefinition): Metric {
    const full = `virtloom_${plugin}_${name}`.replaceAll('-', '_');
    const known = this.#own.get(full);
    if (known?.plugin === plugin) return known.metric;
    if (known) throw fail('VL_PLUGIN_SHAPE', { plugin, problem: `its metric ${full} is plugin "${known.plugin}"'s` });
    try {
      const metric = this.#make(full, definition);
      this.#own.set(full, { plugin, metric });
      return metric;
    } catch (error) {
      throw fail('VL_PLUGIN_SHAPE', { plugin, problem: `metric ${name}: ${messageOf(error)}` }, error);
    }
  }

  #make(name: string, { type, help, labels = [], buckets }: MetricDefinition): Metric {
    const common = { name, help, labelNames: [...labels], registers: [this.#registry] };
    const never = (what: string) => (): never => {
      throw new Error(`${name} is a ${type}: it has no ${what}`);
    };
    if (type === 'counter') {
      const counter = new Counter(common);
      const add: Metric['add'] = (value, given) => counter.inc({ ...given }, value);
      return { add, set: never('set'), observe: never('observe') };
    }
    if (type === 'gauge') {
      const gauge = new Gauge(common);
      const add: Metric['add'] = (value, given) => gauge.inc({ ...given }, value);
      return { add, set: (value, given) => gauge.set({ ...given }, value), observe: never('observe') };
    }
    const histogram = new PromHistogram({ ...common, ...(buckets ? { buckets: [...buckets] } : {}) });
    return { observe: (value, given) => histogram.observe({ ...given }, value), add: never('add'), set: never('set') };
  }
}

function merge(into: Histogram, from: Histogram): void {
  from.buckets.forEach((count, index) => (into.buckets[index] = (into.buckets[index] as number) + count));
  into.count += from.count;
  into.sum += from.sum;
  into.failures += from.failures;
}

function labelled(labels: Labels): string {
  const escaped = (text: string): string =>
    text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');
}

/** A histogram of durations and a counter of failures, in Prometheus' text format. */
function lines(name: string, help: string, all: readonly Line[]): string[] {
  const durations = `${name}_duration_seconds`;
  const failures = `${name}_failures_total`;
  return [
    `# HELP ${durations} ${help}, in seconds.`,
    `# TYPE ${durations} histogram`,
    ...all.flatMap(({ labels, histogram }) => {
      const text = labelled(labels);
      let sum = 0;
      const buckets = [...BUCKETS, '+Inf'].map((bound, index) => {
        sum += histogram.buckets[index] as number;
        return `${durations}_bucket{${text},le="${bound}"} ${sum}`;
      });
      return [
        ...buckets,
        `${durations}_sum{${text}} ${histogram.sum}`,
        `${durations}_count{${text}} ${histogram.count}`,
      ];
    }),
    `# HELP ${failures} ${help} that failed.`,
    `# TYPE ${failures} counter`,
    ...all.map(({ labels, histogram }) => `${failures}{${labelled(labels)}} ${histogram.failures}`),
  ];
}
