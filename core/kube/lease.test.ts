import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { KubeClient } from './client.ts';
import { LeaderElection } from './lease.ts';
import type { Lease } from './lease.ts';
import { LEASES } from './objects.ts';
import { TestApiServer, eventually } from './testing/api-server.ts';

const PATH = '/apis/coordination.k8s.io/v1/namespaces/vl/leases/lead';
const TIMES = { leaseDurationMs: 1000, renewDeadlineMs: 500, retryPeriodMs: 50 };

const server = new TestApiServer();
const clients: KubeClient[] = [];
const elections: LeaderElection[] = [];
/** Who leads now, and the most that ever did at once. */
const leading = new Set<string>();
let most = 0;

beforeAll(async () => {
  await server.start();
});
afterEach(async () => {
  server.intercept = undefined;
  await Promise.all(elections.splice(0).map((election) => election.stop()));
  for (const client of clients.splice(0)) client.close();
  server.objects.clear();
  most = 0;
});
afterAll(async () => {
  await server.stop();
});

function candidate(identity: string, more: Partial<typeof TIMES> & { userAgent?: string } = {}): LeaderElection {
  const client = server.client();
  clients.push(client);
  const election = new LeaderElection({
    client,
    namespace: 'vl',
    name: 'lead',
    identity,
    ...TIMES,
    ...more,
    onStarted: async (signal) => {
      leading.add(identity);
      most = Math.max(most, leading.size);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      leading.delete(identity);
    },
  });
  elections.push(election);
  void election.run();
  return election;
}
const lease = () => server.objects.get(PATH) as Lease | undefined;

describe('LeaderElection', () => {
  it('makes the lease, renews it, gives it back, and the other takes over at once', async () => {
    const a = candidate('a');
    await eventually(() => leading.has('a'), 'a leads');
    expect(lease()?.spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 1, leaseTransitions: 0 });
    expect(lease()?.spec?.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    const first = lease()?.spec?.renewTime;
    await eventually(() => lease()?.spec?.renewTime !== first, 'renewed');
    candidate('b');
    const begin = performance.now();
    await a.stop();
    expect(leading.has('a')).toBe(false);
    await eventually(() => leading.has('b'), 'b leads');
    expect(performance.now() - begin).toBeLessThan(900);
    expect(lease()?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    expect(most).toBe(1);
  });

  it('never has two leaders, whichever of them the network cuts off and for how long', async () => {
    const ids = ['a', 'b', 'c'];
    for (const id of ids) candidate(id);
    for (let round = 0; round < 3; round++) {
      await eventually(() => leading.size === 1, 'one leads');
      const [leader] = leading;
      // The leader's writes hang; everybody else goes on.
      server.intercept = (request) =>
        request.method === 'PUT' && lease()?.spec?.holderIdentity === leader && isFrom(request);
      const held = new Set<unknown>();
      function isFrom(request: { socket: unknown }): boolean {
        // Only the leader writes while it leads; the sockets it wrote on stay cut off.
        if (leading.has(leader ?? '')) held.add(request.socket);
        return held.has(request.socket);
      }
      await eventually(() => !leading.has(leader ?? ''), 'the old leader stopped');
      await eventually(() => leading.size === 1, 'a new leader');
      server.intercept = undefined;
    }
    expect(most).toBe(1);
  });

  it('steps down while the API server is away, and somebody leads again when it is back', async () => {
    candidate('a');
    candidate('b');
    await eventually(() => leading.size === 1, 'one leads');
    await server.stop();
    const begin = performance.now();
    await eventually(() => leading.size === 0, 'nobody leads');
    expect(performance.now() - begin).toBeLessThan(TIMES.leaseDurationMs);
    await server.start();
    await eventually(() => leading.size === 1, 'one leads again');
    expect(most).toBe(1);
  });

  it('waits a lease out by its own clock, however old renewTime looks', async () => {
    server.put(PATH, {
      spec: { holderIdentity: 'other', leaseDurationSeconds: 1, renewTime: '2001-01-01T00:00:00.000000Z' },
    });
    const begin = performance.now();
    candidate('a');
    await eventually(() => leading.has('a'), 'a leads');
    expect(performance.now() - begin).toBeGreaterThan(1000);
    expect(lease()?.spec?.leaseTransitions).toBe(1);
  });

  it('stops at once when somebody else holds the lease', async () => {
    candidate('a');
    await eventually(() => leading.has('a'), 'a leads');
    server.put(PATH, { spec: { holderIdentity: 'thief', leaseDurationSeconds: 60 } });
    const begin = performance.now();
    await eventually(() => leading.size === 0, 'a stopped');
    expect(performance.now() - begin).toBeLessThan(TIMES.renewDeadlineMs * 0.8);
    expect(lease()?.spec?.holderIdentity).toBe('thief');
  });

  it('says so where the work goes on when another may lead', async () => {
    const client = server.client();
    clients.push(client);
    const onStarted = () => new Promise<void>(() => undefined);
    const stubborn = new LeaderElection({ client, namespace: 'vl', name: 'lead', identity: 's', ...TIMES, onStarted });
    elections.push(stubborn);
    const running = stubborn.run();
    running.catch(() => undefined);
    await eventually(() => lease()?.spec?.holderIdentity === 's', 's leads');
    const begin = performance.now();
    server.put(PATH, { spec: { holderIdentity: 'thief', leaseDurationSeconds: 60 } });
    await expect(running).rejects.toThrow('lease lead is over and its work goes on; end this process');
    expect(performance.now() - begin).toBeLessThan(TIMES.leaseDurationMs + 1000);
  });

  it('refuses times that could make two leaders', () => {
    const options = { namespace: 'x', name: 'y', identity: 'z', onStarted: () => Promise.resolve() };
    const client = server.client();
    expect(() => new LeaderElection({ ...options, client, leaseDurationMs: 5, renewDeadlineMs: 5 })).toThrow(
      'must hold',
    );
    client.close();
  });

  it('speaks of leases as Kubernetes does', () => {
    expect(LEASES).toMatchObject({ group: 'coordination.k8s.io', version: 'v1', plural: 'leases' });
  });
});
