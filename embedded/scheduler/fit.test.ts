// Placement: which node, or Kubernetes' words for why none.
import { describe, expect, test } from 'vitest';
import type { Pod, PodSpec } from '../kubelet/pod-types.ts';
import { fit, isPending, requestsOf } from './fit.ts';
import type { Node, NodeState } from './fit.ts';

function pod(spec: Partial<PodSpec> = {}, labels: Record<string, string> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'ns', name: 'p', labels },
    spec: { containers: [], ...spec },
  };
}

function node(name: string, more: Partial<Node> = {}, pods: Pod[] = []): NodeState {
  const allocatable = { cpu: '2', memory: '4Gi', pods: '3', 'devices.kubevirt.io/kvm': '1' };
  const status = { allocatable, conditions: [{ type: 'Ready', status: 'True' }] };
  const labels = { 'kubernetes.io/hostname': name, disk: name === 'a' ? 'ssd' : 'hdd', slots: '4' };
  return { node: { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, spec: {}, status, ...more }, pods };
}

const asks = (requests: Record<string, string>) => ({ containers: [{ name: 'c', resources: { requests } }] });
const where = (p: Pod, nodes: NodeState[]) => fit(p, nodes).node?.node.metadata.name ?? fit(p, nodes).message;
const antiAffinity = {
  podAntiAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: [
      { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'x' } } },
    ],
  },
};
const nodeAffinity = (key: string, operator: 'In' | 'Gt' | 'DoesNotExist', values: string[] = []) => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key, operator, values }] }],
      },
    },
  },
});

describe('fit', () => {
  test.each<[string, Pod, NodeState[], string]>([
    ['anywhere', pod(), [node('a')], 'a'],
    ['the emptier one', pod(), [node('a', {}, [pod(asks({ cpu: '1' }))]), node('b')], 'b'],
    ['no nodes', pod(), [], 'no nodes available to schedule pods'],
    ['memory', pod(asks({ memory: '5Gi' })), [node('a')], '0/1 nodes are available: 1 Insufficient memory.'],
    [
      'cpu and memory',
      pod(asks({ memory: '5Gi', cpu: '2001m' })),
      [node('a')],
      '0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.',
    ],
    [
      'what is left',
      pod(asks({ cpu: '1500m' })),
      [node('a', {}, [pod(asks({ cpu: '600m' }))])],
      '0/1 nodes are available: 1 Insufficient cpu.',
    ],
    [
      'a device that is not there',
      pod(asks({ 'devices.kubevirt.io/sev': '1' })),
      [node('a')],
      '0/1 nodes are available: 1 Insufficient devices.kubevirt.io/sev.',
    ],
    ['too many pods', pod(), [node('a', {}, [pod(), pod(), pod()])], '0/1 nodes are available: 1 Too many pods.'],
    ['selector', pod({ nodeSelector: { disk: 'hdd' } }), [node('a'), node('b')], 'b'],
    [
      'no selector matches',
      pod({ nodeSelector: { disk: 'nvme' } }),
      [node('a'), node('b')],
      "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
    ],
    ['affinity In', pod(nodeAffinity('disk', 'In', ['hdd'])), [node('a'), node('b')], 'b'],
    [
      'affinity Gt',
      pod(nodeAffinity('slots', 'Gt', ['4'])),
      [node('a')],
      "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ],
    ['affinity DoesNotExist', pod(nodeAffinity('gpu', 'DoesNotExist')), [node('a')], 'a'],
    [
      'cordoned',
      pod(),
      [node('a', { spec: { unschedulable: true } })],
      '0/1 nodes are available: 1 node(s) were unschedulable.',
    ],
    [
      'taint',
      pod(),
      [node('a', { spec: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] } })],
      '0/1 nodes are available: 1 node(s) had untolerated taint {k: v}.',
    ],
    [
      'toleration',
      pod({ tolerations: [{ key: 'k', operator: 'Exists' }] }),
      [node('a', { spec: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] } })],
      'a',
    ],
    [
      'not ready',
      pod(),
      [node('a', { status: {} })],
      '0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.',
    ],
    ['anti-affinity', pod({ affinity: antiAffinity }), [node('a', {}, [pod({}, { app: 'x' })]), node('b')], 'b'],
    [
      'anti-affinity of those there',
      pod({}, { app: 'x' }),
      [node('a', {}, [pod({ affinity: antiAffinity })])],
      "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.",
    ],
  ])('%s', (_name, p, nodes, answer) => {
    expect(where(p, nodes)).toBe(answer);
  });

  test('a pod takes its peak: containers and sidecars together, or its greediest init container', () => {
    const container = (cpu: string) => ({ name: 'c', resources: { requests: { cpu } } });
    const p = pod({
      containers: [container('300m'), container('200m')],
      initContainers: [container('900m'), { ...container('100m'), restartPolicy: 'Always' }],
      overhead: { cpu: '50m' },
    });
    expect(requestsOf(p).get('cpu')).toBe(950);
  });

  test('only pods that wait and are ours', () => {
    expect(isPending(pod())).toBe(true);
    expect(isPending(pod({ nodeName: 'a' }))).toBe(false);
    expect(isPending(pod({ schedulerName: 'other' }))).toBe(false);
  });
});
