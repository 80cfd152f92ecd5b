// `virtloom plugins top`: where the time goes, by plugin, from the metrics of the platform that runs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { Exit, REFUSED } from './exit.ts';

/** Where `up` writes the address of its metrics. */
export const METRICS_FILE = 'metrics';

interface Row {
  readonly plugin: string;
  readonly what: string;
  count: number;
  failed: number;
  /** Seconds. */
  total: number;
}

export async function topPlugins(options: { readonly stateDir: string; readonly metrics?: string }): Promise<void> {
  const rows = rowsOf(await fetchMetrics(options.metrics ?? addressIn(options.stateDir)));
  const all = rows.reduce((sum, row) => sum + row.total, 0);
  const table = [['PLUGIN', 'HOOK OR STEP', 'COUNT', 'FAILED', 'MEAN', 'TOTAL', 'SHARE']];
  for (const { plugin, what, count, failed, total } of rows.sort((a, b) => b.total - a.total)) {
    const share = all > 0 ? `${((total / all) * 100).toFixed(1)} %` : '-';
    table.push([plugin, what, String(count), String(failed), shown(total / Math.max(count, 1)), shown(total), share]);
  }
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  for (const row of table) {
    const cells = row.map((cell, column) =>
      column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    process.stdout.write(`${cells.join('   ').trimEnd()}\n`);
  }
}

function addressIn(stateDir: string): string {
  try {
    return readFileSync(join(stateDir, METRICS_FILE), 'utf8').trim();
  } catch {
    throw new Exit(REFUSED, `no platform runs in ${stateDir}: start it, or give --state-dir or --metrics`);
  }
}

async function fetchMetrics(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return await response.text();
  } catch (error) {
    throw new Exit(REFUSED, `${url} gives no metrics: ${messageOf(error)}`);
  }
}

/** The durations of taps and steps in Prometheus' text format. */
export function rowsOf(text: string): Row[] {
  const rows = new Map<string, Row>();
  for (const [, kind, field, labels = '', value] of text.matchAll(
    /^virtloom_(tap|step)_(duration_seconds_sum|duration_seconds_count|failures_total)\{(.*)\} (\S+)$/gm,
  )) {
    const named = Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, text]) => [name, text]));
    const plugin = named['plugin'] ?? '';
    const what =
      kind === 'tap'
        ? (named['hook'] ?? '')
        : `step ${named['action']}${named['way'] === 'revert' ? ', reverted' : ''}`;
    const row = rows.get(`${plugin} ${what}`) ?? { plugin, what, count: 0, failed: 0, total: 0 };
    rows.set(`${plugin} ${what}`, row);
    if (field === 'failures_total') row.failed = Number(value);
    else if (field === 'duration_seconds_sum') row.total = Number(value);
    else row.count = Number(value);
  }
  return [...rows.values()];
}

function shown(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  if (seconds >= 1e-3) return `${(seconds * 1e3).toFixed(1)} ms`;
  return `${(seconds * 1e6).toFixed(0)} us`;
}
