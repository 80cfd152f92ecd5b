// A real host, real taps, a real scrape over HTTP.
import { createServer } from 'node:net';
import { once } from 'node:events';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { rowsOf } from '../cli/plugins-top.ts';
import { createHost } from '../core/host.ts';
import { plan } from '../core/plan.ts';
import { definePlugin, type MetricDefinition } from '../core/plugin.ts';
import { TEST_FACTS } from '../core/testing.ts';
import type { Vmi } from '../core/types.ts';
import { serveMetrics } from './server.ts';
import { Telemetry } from './telemetry.ts';

const log = pino({ level: 'silent' });
const vmi = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'vm' },
  spec: { domain: {} },
};

function pluginWith(name: string, definition: MetricDefinition, fails = false) {
  return definePlugin({
    name,
    version: '1.0.0',
    core: '^1.0.0',
    summary: 'counts',
    metrics: { reels_total: definition },
    actions: async () => ({
      actions: {
        wind: {
          apply: async () => undefined,
          revert: () => Promise.reject(new Error('stuck')),
        },
      },
    }),
    setup: ({ metrics }) => ({
      prepareDomain() {
        if (definition.type === 'counter') metrics.reels_total.add(2, { side: 'a' });
        if (fails) throw new Error('no reel');
      },
    }),
  });
}
const COUNTER = { type: 'counter', help: 'reels that were wound', labels: ['side'] } as const;

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});
const hostOf = (telemetry: Telemetry, ...plugins: ReturnType<typeof pluginWith>[]) =>
  createHost(
    plugins.map((plugin) => ({ plugin, failurePolicy: 'Ignore' as const })),
    { log, metrics: telemetry.metricsOf, onTap: telemetry.onTap, onStep: telemetry.onStep },
  );
async function scrape(telemetry: Telemetry): Promise<string> {
  const { url, stop } = await serveMetrics(telemetry, { port: 0, log });
  stops.push(stop);
  expect(new URL(url).hostname).toBe('127.0.0.1');
  const response = await fetch(url);
  expect(response.headers.get('content-type')).toContain('text/plain');
  return response.text();
}

describe('/metrics', () => {
  it('tells of taps, steps, the plugin’s own, and the process', async () => {
    const telemetry = new Telemetry();
    const host = hostOf(telemetry, pluginWith('tape-deck', COUNTER, true));
    for (let i = 0; i < 3; i++) await plan(host, vmi as unknown as Vmi, TEST_FACTS);
    const action = await host.action('tape-deck', 'wind');
    await action.apply({} as never, {});
    await expect(action.revert?.({} as never, {}, undefined)).rejects.toThrow('stuck');
    const text = await scrape(telemetry);
    expect(text).toContain('virtloom_tap_duration_seconds_count{plugin="tape-deck",hook="prepareDomain.main"} 3');
    expect(text).toContain('virtloom_tap_failures_total{plugin="tape-deck",hook="prepareDomain.main"} 3');
    expect(text).toContain(
      'virtloom_tap_duration_seconds_bucket{plugin="tape-deck",hook="prepareDomain.main",le="+Inf"} 3',
    );
    expect(text).toContain('virtloom_step_duration_seconds_count{plugin="tape-deck",action="wind",way="apply"} 1');
    expect(text).toContain('virtloom_step_failures_total{plugin="tape-deck",action="wind",way="revert"} 1');
    expect(text).toContain('virtloom_tape_deck_reels_total{side="a"} 6');
    expect(text).toContain('process_resident_memory_bytes');
    expect(rowsOf(text)).toContainEqual(
      expect.objectContaining({ plugin: 'tape-deck', what: 'prepareDomain.main', count: 3, failed: 3 }),
    );
  });

  it('goes on counting when the plugins are configured anew', async () => {
    const telemetry = new Telemetry();
    for (let i = 0; i < 2; i++)
      await plan(hostOf(telemetry, pluginWith('deck', COUNTER)), vmi as unknown as Vmi, TEST_FACTS);
    const text = await scrape(telemetry);
    expect(text).toContain('virtloom_tap_duration_seconds_count{plugin="deck",hook="prepareDomain.main"} 2');
    expect(text).toContain('virtloom_deck_reels_total{side="a"} 4');
  });

  it('has nothing else to give', async () => {
    const { url, stop } = await serveMetrics(new Telemetry(), { port: 0, log });
    stops.push(stop);
    expect((await fetch(new URL('/', url))).status).toBe(404);
  });

  it('says so when the port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    stops.push(async () => void taken.close());
    const { port } = taken.address() as { port: number };
    await expect(serveMetrics(new Telemetry(), { port, log })).rejects.toThrow(
      `metrics cannot be served on port ${port}: `,
    );
  });
});

describe('a metric is refused, and its plugin named', () => {
  it('when Prometheus cannot have it', () => {
    const odd = { ...COUNTER, labels: ['the side'] } as unknown as MetricDefinition;
    expect(() => hostOf(new Telemetry(), pluginWith('deck', odd))).toThrow(
      'plugin "deck" is malformed: metric reels_total: ',
    );
  });

  it('when another plugin has it', () => {
    const nested = { ...pluginWith('deck', COUNTER), metrics: { x_reels_total: COUNTER } };
    expect(() => hostOf(new Telemetry(), nested, pluginWith('deck-x', COUNTER))).toThrow(
      'plugin "deck-x" is malformed: its metric virtloom_deck_x_reels_total is plugin "deck"\'s',
    );
  });

  it('when it is used as what it is not', async () => {
    const telemetry = new Telemetry();
    const { reels } = telemetry.metricsOf('deck', { reels: { type: 'gauge', help: 'reels' } });
    expect(() => reels?.observe(1)).toThrow('virtloom_deck_reels is a gauge: it has no observe');
  });
});
