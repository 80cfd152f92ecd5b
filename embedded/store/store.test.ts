// The store: revisions, watches, and that a killed process loses nothing it acknowledged.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../core/kube/objects.ts';
import { type Change, RevisionConflict, Store } from './store.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vl-store-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

function object(name: string, extra: object = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, ...extra };
}

describe('Store', () => {
  it('gives every write a higher revision, also over restarts and deletions', async () => {
    const file = join(dir, 'store.db');
    let store = new Store(file);
    const first = store.create('/configmaps', object('a'));
    store.delete('/configmaps', first);
    const last = store.revision;
    expect(last).toBeGreaterThan(Number(first.metadata.resourceVersion));
    await store.close();
    store = new Store(file);
    expect(store.revision).toBe(last);
    expect(store.list('/configmaps')).toEqual([]);
    expect(Number(store.create('/configmaps', object('b')).metadata.resourceVersion)).toBe(last + 1);
    await store.close();
  });

  it('refuses a write on something that has changed', async () => {
    const store = new Store(join(dir, 'store.db'));
    const first = store.create('/configmaps', object('a'));
    store.update('/configmaps', first, object('a', { data: { x: '1' } }));
    expect(() => store.update('/configmaps', first, object('a'))).toThrow(RevisionConflict);
    expect(() => store.delete('/configmaps', first)).toThrow(RevisionConflict);
    expect(() => store.create('/configmaps', object('a'))).toThrow(RevisionConflict);
    await store.close();
  });

  it('replays what a watcher missed, then delivers at once, and says so when it has forgotten', async () => {
    const file = join(dir, 'store.db');
    const store = new Store(file);
    const start = store.revision;
    const first = store.create('/configmaps', object('a'));
    store.create('/secrets', object('other'));
    const live: Change[] = [];
    const watch = store.watch('/configmaps', start, (change) => live.push(change));
    expect(watch?.missed.map((change) => change.type)).toEqual(['ADDED']);
    store.delete('/configmaps', first);
    expect(live.map((change) => [change.type, change.old])).toEqual([['DELETED', first]]);
    watch?.stop();
    let last = store.create('/configmaps', object('b'));
    for (let index = 0; index < 2000; index += 1) last = store.update('/configmaps', last, { ...last, index });
    expect(store.watch('/configmaps', start, () => undefined)).toBeUndefined();
    expect(store.watch('/configmaps', store.revision, () => undefined)).toBeDefined();
    await store.close();
    const reopened = new Store(file);
    expect(reopened.watch('/configmaps', start, () => undefined)).toBeUndefined();
    await reopened.close();
  });

  it('finds dependents by the uid of their owner', async () => {
    const store = new Store(join(dir, 'store.db'));
    const owned = object('a');
    owned.metadata.ownerReferences = [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u1' }];
    const stored = store.create('/configmaps', owned);
    expect(store.dependents('u1')).toEqual([{ resource: '/configmaps', object: stored }]);
    store.update('/configmaps', stored, object('a'));
    expect(store.dependents('u1')).toEqual([]);
    await store.close();
  });

  it('loses no acknowledged write to kill -9', async () => {
    const file = join(dir, 'store.db');
    const script = `
      import { Store } from ${JSON.stringify(join(import.meta.dirname, 'store.ts'))};
      const store = new Store(${JSON.stringify(file)});
      let index = store.count('/configmaps');
      for (;;) {
        const metadata = { name: 'n' + index, namespace: 'default' };
        const made = store.create('/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata });
        await store.durable();
        if (!process.stdout.write(made.metadata.name + ' ' + made.metadata.resourceVersion + '\\n')) {
          await new Promise((resolve) => process.stdout.once('drain', resolve));
        }
        index += 1;
      }`;
    const acknowledged = new Map<string, string>();
    for (const after of [1, 40, 300]) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await new Promise<void>((resolve) => {
        let rest = '';
        let count = 0;
        child.stdout.on('data', (chunk: Buffer) => {
          const lines = (rest + chunk.toString()).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) acknowledged.set(line.split(' ')[0] ?? '', line.split(' ')[1] ?? '');
          count += lines.length;
          if (count >= after) child.kill('SIGKILL');
        });
        child.once('close', () => {
          resolve();
        });
      });
      const store = new Store(file);
      for (const [name, revision] of acknowledged) {
        expect(store.get('/configmaps', 'default', name)?.metadata.resourceVersion).toBe(revision);
      }
      await store.close();
    }
    expect(acknowledged.size).toBeGreaterThan(340);
  });
});
