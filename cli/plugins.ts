// `virtloom plugins`: the enabled plugins in their resolved order, and what each contributes.
import { pino } from 'pino';
import { compose } from './compose.ts';

export async function listPlugins(options: { readonly config: string }): Promise<void> {
  const { host } = await compose(options.config, pino({ level: 'silent' }));
  const rows = [['ORDER', 'NAME', 'VERSION', 'FIELDS', 'HANDLES', 'SUMMARY']];
  host.plugins.forEach((plugin, index) => {
    const handles = [...host.diskSources, ...host.networkSources, ...host.bindings]
      .filter(([, name]) => name === plugin.name)
      .map(([key]) => key);
    rows.push([
      String(index + 1),
      plugin.name,
      plugin.version,
      String(plugin.api?.length ?? 0),
      handles.join(',') || '-',
      plugin.summary,
    ]);
  });
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ');
    process.stdout.write(`${line.trimEnd()}\n`);
  }
}
