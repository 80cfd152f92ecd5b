// Resident memory of the platform's process with no VMI and with 500, whose node the benchmark plays.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import { ROOT } from '../cli/paths.ts';
import { identityOf } from '../cli/roles.ts';
import type { KubeClient } from '../core/kube/client.ts';
import { Informer } from '../core/kube/informer.ts';
import { NODES, PODS, resourcePath } from '../core/kube/objects.ts';
import type { Pod } from '../core/launcher-pod.ts';
import { enterPhase, setCondition } from '../core/status.ts';
import type { Vmi } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { childPlatform } from './child-platform.ts';
import { print } from './report.ts';

const COUNT = 500;
const NODE = 'played';
const DEADLINE_MS = 300_000;
/** How long the process is left alone before it is measured, so that it may collect its garbage. */
const QUIET_MS = 5_000;

/** Kubelet and agent of a node that is not there: pods run, VMIs too, at once. */
async function playNode(client: KubeClient): Promise<{ running(): number; stop(): Promise<void> }> {
  const capacity = {
    cpu: '1000',
    memory: '10Ti',
    pods: '1000',
    'devices.kubevirt.io/tun': '1000',
    'ephemeral-storage': '10Ti',
  };
  const metadata = {
    name: NODE,
    labels: { 'kubernetes.io/hostname': NODE, 'kubernetes.io/arch': 'amd64', 'kubevirt.io/schedulable': 'true' },
  };
  const conditions = [{ type: 'Ready', status: 'True', reason: 'Played', message: '', lastHeartbeatTime: null }];
  await client.create(NODES, undefined, { apiVersion: 'v1', kind: 'Node', metadata });
  const status = {
    capacity,
    allocatable: capacity,
    conditions: conditions.map(({ lastHeartbeatTime: _, ...one }) => one),
  };
  await client.patch(NODES, undefined, NODE, { status }, { type: 'merge', subresource: 'status' });

  const pods = new Informer<Pod>(client, PODS, { fieldSelector: `spec.nodeName=${NODE}` });
  const vmis = new Informer<Vmi>(client, VMIS, { labelSelector: `kubevirt.io/nodeName=${NODE}` });
  const ignore = (): void => undefined;
  pods.on(({ type, object }) => {
    if (type === 'deleted' || object.status?.phase === 'Running') return;
    const containerStatuses = [
      { name: 'compute', ready: true, restartCount: 0, image: 'played', imageID: 'played', state: { running: {} } },
    ];
    const played = { phase: 'Running', podIP: '10.0.0.1', qosClass: 'Burstable', containerStatuses };
    const name = object.metadata.name ?? '';
    client.patch(PODS, 'default', name, { status: played }, { type: 'merge', subresource: 'status' }).catch(ignore);
  });
  vmis.on(({ type, object }) => {
    if (type === 'deleted' || object.status?.phase !== 'Scheduled') return;
    const now = new Date();
    const next = enterPhase(object.status, 'Running', now);
    const ready = setCondition(next.conditions, { type: 'Ready', status: 'True' }, now);
    // A VMI's status is the platform's to write: a user's is put back.
    const { user, groups } = identityOf('agent');
    client
      .raw(
        'PATCH',
        resourcePath(VMIS, 'default', object.metadata.name ?? ''),
        { status: { ...next, conditions: ready } },
        {
          'content-type': 'application/merge-patch+json',
          'impersonate-user': user,
          'impersonate-group': groups[0] ?? '',
        },
      )
      .catch(ignore);
  });
  pods.start();
  vmis.start();
  await Promise.all([pods.synced(), vmis.synced()]);
  return {
    running: () => vmis.list().filter((vmi) => vmi.status?.phase === 'Running').length,
    stop: async () => void (await Promise.all([pods.stop(), vmis.stop()])),
  };
}

const platform = await childPlatform();
const node = await playNode(platform.client);
try {
  const vm = parse(readFileSync(`${ROOT}/examples/vm-tiny.yaml`, 'utf8')) as { spec: { template: { spec: object } } };
  const spec = { ...vm.spec.template.spec, nodeSelector: { 'kubernetes.io/hostname': NODE } };
  await sleep(QUIET_MS);
  const before = platform.resident();
  const begin = performance.now();
  for (let index = 0; index < COUNT; index++) {
    const metadata = { name: `bench-${index}` };
    await platform.client.create(VMIS, 'default', { apiVersion: 'kubevirt.io/v1', kind: VMIS.kind, metadata, spec });
  }
  while (node.running() < COUNT) {
    if (performance.now() - begin > DEADLINE_MS) throw new Error(`only ${node.running()} of ${COUNT} VMIs run`);
    await sleep(50);
  }
  const seconds = (performance.now() - begin) / 1000;
  await sleep(QUIET_MS);
  const after = platform.resident();
  print(`resident memory of the platform's process (API server, controllers, servers, kubelet, agent)`, [
    ['no VMI', `${before.toFixed(0)} MiB`],
    [`${COUNT} VMIs, pods played`, `${after.toFixed(0)} MiB`],
    ['for each VMI', `${(((after - before) * 1024) / COUNT).toFixed(0)} KiB`],
    [`${COUNT} VMIs created to all Running`, `${seconds.toFixed(1)} s`],
  ]);
} finally {
  await node.stop();
  await platform.dispose();
}
