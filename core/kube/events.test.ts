import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { KubeClient } from './client.ts';
import { EventRecorder } from './events.ts';
import type { KubeObject } from './objects.ts';
import { TestApiServer, fail } from './testing/api-server.ts';

const server = new TestApiServer();
let client: KubeClient;
beforeAll(async () => {
  await server.start();
  client = server.client();
});
afterEach(() => {
  server.intercept = undefined;
  server.objects.clear();
  server.requests.length = 0;
});
afterAll(async () => {
  client.close();
  await server.stop();
});

const vmi: KubeObject = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'vm', namespace: 'ns', uid: 'u1', resourceVersion: '7' },
};
const written = () => [...server.objects.values()];

describe('EventRecorder', () => {
  it('writes an event as kubectl describe looks for it', async () => {
    const recorder = new EventRecorder(client, 'virtloom-controller');
    recorder.event(vmi, 'Normal', 'Created', 'pod made');
    await recorder.flush();
    expect(written()).toHaveLength(1);
    expect(written()[0]).toMatchObject({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace: 'ns', name: expect.stringMatching(/^vm\.[0-9a-f]{16}$/) as string },
      involvedObject: {
        apiVersion: 'kubevirt.io/v1',
        kind: 'VirtualMachineInstance',
        namespace: 'ns',
        name: 'vm',
        uid: 'u1',
      },
      type: 'Normal',
      reason: 'Created',
      message: 'pod made',
      count: 1,
      source: { component: 'virtloom-controller' },
    });
  });

  it('counts repeats in one event, and writes once what repeats faster than it can write', async () => {
    const recorder = new EventRecorder(client, 'c');
    recorder.event(vmi, 'Warning', 'Failed', 'no disk');
    await recorder.flush();
    for (let i = 0; i < 50; i++) recorder.event(vmi, 'Warning', 'Failed', 'no disk');
    recorder.event(vmi, 'Warning', 'Failed', 'another');
    await recorder.flush();
    expect(written().map((event) => [event['message'], event['count']])).toEqual([
      ['no disk', 51],
      ['another', 1],
    ]);
    expect(server.requests.length).toBeLessThan(6);
  });

  it('limits how much one object can write, not what others do', async () => {
    const recorder = new EventRecorder(client, 'c');
    for (let i = 0; i < 200; i++) recorder.event(vmi, 'Normal', 'Flap', `state ${i}`);
    recorder.event({ ...vmi, metadata: { name: 'quiet', namespace: 'ns', uid: 'u2' } }, 'Normal', 'Fine', 'ok');
    await recorder.flush();
    expect(written().filter((event) => event['reason'] === 'Flap')).toHaveLength(25);
    expect(written().filter((event) => event['reason'] === 'Fine')).toHaveLength(1);
  });

  it('writes an event anew that has expired on the server', async () => {
    const recorder = new EventRecorder(client, 'c');
    recorder.event(vmi, 'Normal', 'A', 'a');
    await recorder.flush();
    server.objects.clear();
    recorder.event(vmi, 'Normal', 'A', 'a');
    await recorder.flush();
    expect(written().map((event) => event['count'])).toEqual([2]);
  });

  it('never throws, whatever the server says or the object lacks', async () => {
    const recorder = new EventRecorder(client, 'c');
    server.intercept = (_, response) => {
      fail(response, 403, 'Forbidden', 'no');
      return true;
    };
    recorder.event(vmi, 'Normal', 'A', 'a');
    recorder.event(undefined as unknown as KubeObject, 'Normal', 'A', 'a');
    await recorder.flush();
    server.intercept = undefined;
    recorder.event(
      { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n'.repeat(253) } },
      'Normal',
      'A',
      'x'.repeat(5000),
    );
    await recorder.flush();
    expect(written()).toHaveLength(1);
    expect(written()[0]?.metadata.namespace).toBe('default');
    expect(String(written()[0]?.['message'])).toHaveLength(1024);
    expect(written()[0]?.metadata.name?.length).toBeLessThanOrEqual(253);
  });
});
