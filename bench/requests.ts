// API requests of ours for each VMI from its creation to Running and to gone, by process, verb and kind. Real guests.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { ROOT } from '../cli/paths.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { benchPlatform } from './platform.ts';
import { print } from './report.ts';
import { VmiWatch } from './watch.ts';

const VMIS_MADE = 10;
/** What a cluster brings itself. */
const NOT_OURS = new Set(['scheduler', 'kubelet']);
const READS = new Set(['get', 'list', 'watch']);

const counts = new Map<string, number>();
let counting = false;
const platform = await benchPlatform({
  onRequest: (component, verb, resource) => {
    // Leases are renewed by the clock, not for a VMI.
    if (!counting || NOT_OURS.has(component) || resource === 'leases') return;
    const key = `${component}: ${verb} ${resource}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  },
});
const watch = await VmiWatch.start(platform.client);
try {
  const vm = parse(readFileSync(`${ROOT}/examples/vm-tiny.yaml`, 'utf8')) as { spec: { template: { spec: object } } };
  counting = true;
  for (let index = 0; index < VMIS_MADE; index++) {
    const name = `bench-${index}`;
    const spec = { ...vm.spec.template.spec, terminationGracePeriodSeconds: 0 };
    await platform.client.create(VMIS, 'default', {
      apiVersion: 'kubevirt.io/v1',
      kind: VMIS.kind,
      metadata: { name },
      spec,
    });
    await watch.until(name, 'Running');
    await platform.client.delete(VMIS, 'default', name);
    await watch.until(name, 'gone');
  }
  const per = (filter: (key: string) => boolean): number =>
    [...counts].filter(([key]) => filter(key)).reduce((sum, [, count]) => sum + count, 0) / VMIS_MADE;
  const isRead = (key: string): boolean => READS.has(key.split(' ')[1] ?? '');
  const isEvent = (key: string): boolean => key.endsWith(' events');
  print(`API requests for each VMI, creation to Running to gone, mean of ${VMIS_MADE}`, [
    ...[...counts].sort().map(([key, count]) => [key, (count / VMIS_MADE).toFixed(1)] as const),
    ['writes, events left out', per((key) => !isRead(key) && !isEvent(key)).toFixed(1)],
    ['events', per(isEvent).toFixed(1)],
    ['reads', per(isRead).toFixed(1)],
  ]);
} finally {
  await watch.stop();
  await platform.dispose();
}
