// Test fixture: a node without an API server, in a process (and network namespace) of its own, driven over IPC.
import pino from 'pino';
import type { HostImage } from '../images/image.ts';
import { prepareMachine } from './node-host.ts';
import { Pods } from './pods.ts';
import type { Pod, PodStatus } from './pod-types.ts';

export type Order =
  | {
      op: 'start';
      stateDir: string;
      bridgeName: string;
      podCIDR: string;
      hostImages: Record<string, HostImage>;
      pods: Pod[];
    }
  | { op: 'apply'; pod: Pod }
  | { op: 'gone'; uid: string }
  | { op: 'secret'; name: string; data: Record<string, string> }
  | { op: 'stop' };

export type Report =
  | { kind: 'started' | 'stopped' }
  | { kind: 'status'; uid: string; status: PodStatus; ms: number }
  | { kind: 'event'; uid: string; type: string; reason: string; message: string }
  | { kind: 'deleted'; uid: string };

const tell = (report: Report) => process.send?.(report);
const secrets = new Map<string, Map<string, Buffer>>();
const appliedAt = new Map<string, number>();
let pods: Pods | undefined;

async function obey(order: Order): Promise<void> {
  switch (order.op) {
    case 'start': {
      const log = pino({ level: process.env['VL_LOG'] ?? 'warn' }, pino.destination(2));
      const machine = await prepareMachine({ nodeName: 'n1', nodeIP: '10.0.0.1', kvm: false, log, ...order });
      pods = new Pods({
        ...machine,
        lookup: {
          secret: (_namespace, name) => Promise.resolve(secrets.get(name)),
          configMap: (_namespace, name) => Promise.resolve(secrets.get(name)),
        },
        event: (pod, type, reason, message) =>
          tell({ kind: 'event', uid: pod.metadata.uid ?? '', type, reason, message }),
        writeStatus: (pod, status) => {
          const uid = pod.metadata.uid ?? '';
          tell({ kind: 'status', uid, status, ms: performance.now() - (appliedAt.get(uid) ?? 0) });
          return Promise.resolve();
        },
        confirmDeleted: (pod) => {
          tell({ kind: 'deleted', uid: pod.metadata.uid ?? '' });
          return Promise.resolve();
        },
      });
      await pods.start(order.pods);
      tell({ kind: 'started' });
      return;
    }
    case 'apply':
      appliedAt.set(order.pod.metadata.uid ?? '', performance.now());
      pods?.apply(order.pod);
      return;
    case 'gone':
      pods?.gone(order.uid);
      return;
    case 'secret':
      secrets.set(order.name, new Map(Object.entries(order.data).map(([key, value]) => [key, Buffer.from(value)])));
      return;
    case 'stop':
      await pods?.stop();
      tell({ kind: 'stopped' });
      process.disconnect();
  }
}

process.on('message', (order: Order) => void obey(order));
