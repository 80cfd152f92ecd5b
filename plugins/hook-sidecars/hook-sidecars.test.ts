import { mkdir } from 'node:fs/promises';
import { createServer, type Server as NetServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Json, Vmi } from '../../core/index.ts';
import { admitFor, planFor } from '../../core/testing.ts';
import { contextOf, LocalSandbox } from '../../test/local-sandbox.ts';
import { actions, rewrites, type Hook } from './actions.ts';
import { ANNOTATION } from './annotation.ts';
import plugin from './index.ts';

const vmi = (annotation?: unknown): Vmi => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: {
    ...{ name: 'vm', namespace: 'ns' },
    ...(annotation === undefined
      ? {}
      : { annotations: { [ANNOTATION]: typeof annotation === 'string' ? annotation : JSON.stringify(annotation) } }),
  },
  spec: { domain: {} },
});
const FIELD = `metadata.annotations[${ANNOTATION}]`;

describe('the annotation', () => {
  const causesOf = async (annotation: unknown, options = {}) =>
    (await admitFor({ plugins: [{ plugin, options }], object: vmi(annotation) })).causes;

  it.each([
    undefined,
    '',
    [],
    [{ image: 'a', imagePullPolicy: 'Never', command: ['a'], args: ['b'] }],
    [{ image: 'a', configMap: { name: 'c', key: 'k', hookPath: '/usr/bin/onDefineDomain' } }],
  ])('%j is good', async (annotation) => {
    expect(await causesOf(annotation)).toEqual([]);
  });

  it.each<[unknown, string, string]>([
    ['{', '', 'it is no JSON: '],
    [{ image: 'a' }, '', 'it must be a JSON list'],
    [['a'], '[0]', 'it must be an object'],
    [[{}], '[0].image', 'option shimImage of plugin hook-sidecars'],
    [[{ image: 'a' }, { image: 7 }], '[1].image', 'an image is needed'],
    [[{ image: 'a', imagePullPolicy: 'Sometimes' }], '[0].imagePullPolicy', 'Always, IfNotPresent, Never'],
    [[{ image: 'a', command: 'a b' }], '[0].command', 'a list of strings'],
    [[{ image: 'a', args: [1] }], '[0].args', 'a list of strings'],
    [[{ image: 'a', pvc: { name: 'p' } }], '[0].pvc', 'are not built yet'],
    [[{ image: 'a', frob: 1 }], '[0].frob', 'there is no such field'],
    [[{ image: 'a', configMap: { key: 'k', hookPath: '/a' } }], '[0].configMap.name', 'name of a ConfigMap'],
    [[{ image: 'a', configMap: { name: 'n', hookPath: '/a' } }], '[0].configMap.key', 'a key'],
    [
      [{ image: 'a', configMap: { name: 'n', key: 'k', hookPath: '/a/../../b' } }],
      '[0].configMap.hookPath',
      'absolute',
    ],
  ])('%j is refused at %s', async (annotation, at, message) => {
    const causes = await causesOf(annotation);
    expect(causes).toEqual([
      expect.objectContaining({ field: `${FIELD}${at}`, message: expect.stringContaining(message) }),
    ]);
  });

  it('may do without an image where a shim stands in', async () => {
    expect(await causesOf([{}], { shimImage: 'shim:1' })).toEqual([]);
  });
});

describe('the plan', () => {
  const planOf = (annotation: unknown, hooks?: readonly Partial<Hook>[]) =>
    planFor({
      plugins: [plugin],
      vmi: vmi(annotation),
      ...(hooks ? { facts: { steps: { 'hook-sidecars/domain/collect': hooks as unknown as Json } } } : {}),
    });
  const hook = (sidecar: string, name: string, priority?: number): Hook => ({
    ...{ sidecar, name, socket: `/var/run/kubevirt-hooks/${sidecar}/s`, version: 'v1alpha2' },
    hookPoints: priority === undefined ? [{ name: 'Shutdown', priority: 9 }] : [{ name: 'OnDefineDomain', priority }],
  });

  it('of a VMI that asks for none has nothing of it', async () => {
    const { pod, chains, rewrites: planned } = await planOf(undefined);
    expect([pod.value['spec'], chains, planned]).toEqual([undefined, [], []]);
  });

  it('has a container each, which sees no other socket, and says that the domain will be rewritten', async () => {
    const configMap = { name: 'my.map', key: 'run', hookPath: '/usr/bin/run' };
    const {
      pod,
      chains,
      rewrites: planned,
    } = await planOf([
      { image: 'a', args: ['x'] },
      { image: 'b', configMap },
    ]);
    expect(pod.value['spec']).toMatchObject({
      containers: [
        { name: 'compute', volumeMounts: [{ name: 'hook-sidecar-sockets', mountPath: '/var/run/kubevirt-hooks' }] },
      ],
      volumes: [
        { name: 'hook-sidecar-sockets', emptyDir: {} },
        { name: 'hook-my-map', configMap: { name: 'my.map', defaultMode: 0o755 } },
      ],
      initContainers: [
        {
          ...{ name: 'hook-sidecar-0', image: 'a', args: ['x'], restartPolicy: 'Always' },
          env: [{ name: 'CONTAINER_NAME', value: 'hook-sidecar-0' }],
          volumeMounts: [{ mountPath: '/var/run/kubevirt-hooks', subPath: 'hook-sidecar-0' }],
          securityContext: { runAsUser: 107, runAsNonRoot: true, capabilities: { drop: ['ALL'] } },
        },
        {
          ...{ name: 'hook-sidecar-1', image: 'b' },
          volumeMounts: [
            { subPath: 'hook-sidecar-1' },
            { name: 'hook-my-map', mountPath: '/usr/bin/run', subPath: 'run' },
          ],
        },
      ],
    });
    expect(chains).toEqual([expect.objectContaining({ phase: 'domain', subject: 'domain' })]);
    expect(planned.map(({ id }) => id)).toEqual([
      'hook-sidecars/rewrite/cloud-init',
      'hook-sidecars/rewrite/hook-sidecar-0',
      'hook-sidecars/rewrite/hook-sidecar-1',
    ]);
  });

  it('has them in order when they have said it: priority, then name; not those who want no domain', async () => {
    const hooks = [hook('0', 'b', 1), hook('1', 'c', 5), hook('2', 'quiet'), hook('3', 'a', 1)];
    const { rewrites: planned } = await planOf(
      hooks.map(() => ({ image: 'a' })),
      hooks,
    );
    expect(planned.filter(({ of }) => of === 'domain').map(({ id }) => id.slice(-1))).toEqual(['1', '3', '0']);
    expect(planned[1]).toMatchObject({
      args: { socket: '/var/run/kubevirt-hooks/1/s', version: 'v1alpha2' },
      by: { plugin: 'hook-sidecars', field: `${FIELD} 1 "c"` },
    });
  });

  it('of an annotation that admission never saw is an error that names it', async () => {
    await expect(planOf('{')).rejects.toThrow(`${FIELD}: it is no JSON`);
  });
});

describe('on the node', () => {
  let sandbox: LocalSandbox;
  const servers: (Server | NetServer)[] = [];
  const folder = async (sidecar: string): Promise<string> => {
    const path = `${sandbox.root}/var/run/kubevirt-hooks/${sidecar}`;
    await mkdir(path, { recursive: true });
    return path;
  };
  const service = (file: string, name: string): ServiceDefinition => {
    const loaded = loadSync(fileURLToPath(new URL(`./proto/${file}.proto`, import.meta.url)), { keepCase: true });
    return loaded[name] as ServiceDefinition;
  };
  type Done = (error: Error | null, answer?: object) => void;

  /** A sidecar of a test's own, a real server on a real socket. */
  async function serve(sidecar: string, info: object, callbacks: Record<string, (request: object) => object> = {}) {
    const server = new Server();
    server.addService(service('info', 'kubevirt.hooks.info.Info'), {
      Info: (_: unknown, done: Done) => done(null, info),
    });
    const handlers = Object.entries(callbacks).map(([name, act]) => [
      name,
      ({ request }: { request: object }, done: Done) => {
        try {
          done(null, act(request));
        } catch (error) {
          done(error as Error);
        }
      },
    ]);
    server.addService(
      service('v1alpha3', 'kubevirt.hooks.v1alpha3.Callbacks'),
      Object.fromEntries(handlers) as Record<string, never>,
    );
    const address = `unix:${await folder(sidecar)}/my.sock`;
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
    });
    servers.push(server);
  }
  const collect = (sidecars: string[], timeoutMs = 3_000) =>
    actions.collect.apply(contextOf(sandbox), { sidecars, timeoutMs }) as Promise<unknown> as Promise<Hook[]>;

  beforeEach(async () => {
    sandbox = await LocalSandbox.start();
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      if ('forceShutdown' in server) server.forceShutdown();
      else server.close();
    }
    await sandbox.stop();
  });

  it('waits for sidecars that come late, and speaks the newest version of each', async () => {
    await folder('hook-sidecar-0');
    const collected = collect(['hook-sidecar-0']);
    const points = [{ name: 'OnDefineDomain', priority: 3 }];
    await serve('hook-sidecar-0', { name: 'n', versions: ['v1alpha1', 'v1alpha3', 'v9'], hookPoints: points });
    expect(await collected).toEqual([
      {
        ...{ sidecar: 'hook-sidecar-0', socket: '/var/run/kubevirt-hooks/hook-sidecar-0/my.sock' },
        ...{ name: 'n', version: 'v1alpha3', hookPoints: points },
      },
    ]);
  });

  it('gives a sidecar the domain and the VMI, and takes its answer', async () => {
    const asked: string[] = [];
    await serve(
      'hook-sidecar-0',
      { name: 'n', versions: ['v1alpha3'], hookPoints: [{ name: 'Shutdown' }] },
      {
        OnDefineDomain: (request) => {
          const { domainXML, vmi: json } = request as { domainXML: Buffer; vmi: Buffer };
          asked.push((JSON.parse(json.toString()) as Vmi).metadata.name ?? '');
          return { domainXML: Buffer.from(domainXML.toString().replace('>a', '>ä')) };
        },
        Shutdown: () => {
          asked.push('Shutdown');
          throw new Error('not now');
        },
      },
    );
    const [hook] = await collect(['hook-sidecar-0']);
    const { socket = '', version = '' } = hook ?? {};
    const context = { ...contextOf(sandbox), object: vmi() };
    expect(await rewrites.onDefineDomain(context, { socket, version }, '<domain>a</domain>')).toBe(
      '<domain>ä</domain>',
    );
    // What a sidecar says to the end changes nothing.
    await actions.collect.revert(context, {}, [hook] as unknown as Json);
    await actions.collect.revert({ ...context, sandbox: undefined }, {}, [hook] as unknown as Json);
    expect(asked).toEqual(['vm', 'Shutdown']);
  });

  it('names a sidecar that makes no socket, that never answers, or that speaks nothing known', async () => {
    await folder('hook-sidecar-0');
    await expect(collect(['hook-sidecar-0'], 100)).rejects.toThrow(
      'container hook-sidecar-0 cannot be used: it made no socket below /var/run/kubevirt-hooks/hook-sidecar-0',
    );
    const mute = createServer(() => undefined);
    servers.push(mute);
    const path = `${await folder('hook-sidecar-1')}/mute.sock`;
    await new Promise<void>((resolve) => mute.listen(path, resolve));
    await expect(collect(['hook-sidecar-1'], 300)).rejects.toThrow(
      /container hook-sidecar-1 cannot be used: Info: (DEADLINE_EXCEEDED|UNAVAILABLE)/,
    );
    await serve('hook-sidecar-2', { name: 'n', versions: ['v9'], hookPoints: [] });
    await expect(collect(['hook-sidecar-2'])).rejects.toThrow(
      'container hook-sidecar-2: it speaks [v9], and none of v1alpha3, v1alpha2, v1alpha1',
    );
  });

  it('stops waiting when it is told to', async () => {
    await folder('hook-sidecar-0');
    const stop = new AbortController();
    const context = { ...contextOf(sandbox), signal: stop.signal };
    const waiting = actions.collect.apply(context, { sidecars: ['hook-sidecar-0'], timeoutMs: 60_000 });
    stop.abort(new Error('stopping'));
    await expect(waiting).rejects.toThrow(/stopping|aborted/);
  });

  it("gives sidecars cloud-init's data one after the other, older ones what they know of it", async () => {
    const points = (priority: number) => [{ name: 'PreCloudInitIso', priority }];
    const asked: unknown[] = [];
    type Request = { cloudInitData: Buffer; cloudInitNoCloudSource: Buffer };
    await serve(
      'hook-sidecar-0',
      { name: 'new', versions: ['v1alpha3'], hookPoints: points(1) },
      {
        PreCloudInitIso: (request) => {
          const data = JSON.parse((request as Request).cloudInitData.toString()) as Record<string, unknown>;
          asked.push(data['UserData']);
          return { cloudInitData: Buffer.from(JSON.stringify({ ...data, UserData: 'last' })) };
        },
      },
    );
    await serve(
      'hook-sidecar-1',
      { name: 'old', versions: ['v1alpha3'], hookPoints: points(2) },
      {
        PreCloudInitIso: (request) => {
          asked.push(JSON.parse((request as Request).cloudInitNoCloudSource.toString()));
          return { cloudInitNoCloudSource: Buffer.from(JSON.stringify({ userData: 'by old', networkData: 'n' })) };
        },
      },
    );
    await serve('hook-sidecar-2', { name: 'none', versions: ['v1alpha3'], hookPoints: [] });
    const given = { DataSource: 'noCloud', NoCloudMetaData: { 'instance-id': 'i' }, UserData: 'u', NetworkData: '' };
    const context = { ...contextOf(sandbox), object: vmi() };
    const args = { sidecars: ['hook-sidecar-0', 'hook-sidecar-1', 'hook-sidecar-2'], timeoutMs: 3_000 };
    const made = await rewrites.preCloudInitIso(context, args, JSON.stringify(given));
    expect(asked).toEqual([{ userData: 'u', networkData: '' }, 'by old']);
    expect(JSON.parse(made)).toEqual({ ...given, UserData: 'last', NetworkData: 'n' });
  });

  it('takes no answer without data for data', async () => {
    const hookPoints = [{ name: 'PreCloudInitIso' }];
    await serve('hook-sidecar-0', { name: 'n', versions: ['v1alpha3'], hookPoints }, { PreCloudInitIso: () => ({}) });
    const context = { ...contextOf(sandbox), object: vmi() };
    const args = { sidecars: ['hook-sidecar-0'], timeoutMs: 3_000 };
    await expect(rewrites.preCloudInitIso(context, args, '{"UserData":"u"}')).rejects.toThrow('the answer has no data');
  });

  it('passes on what a sidecar says is wrong', async () => {
    await serve(
      'hook-sidecar-0',
      { name: 'n', versions: ['v1alpha3'], hookPoints: [] },
      {
        OnDefineDomain: () => {
          throw Object.assign(new Error('no such disk'), { code: 3, details: 'no such disk' });
        },
      },
    );
    const context = { ...contextOf(sandbox), object: vmi() };
    const socket = '/var/run/kubevirt-hooks/hook-sidecar-0/my.sock';
    await expect(rewrites.onDefineDomain(context, { socket, version: 'v1alpha3' }, '<domain/>')).rejects.toThrow(
      'OnDefineDomain: INVALID_ARGUMENT: no such disk',
    );
    await expect(
      rewrites.onDefineDomain(context, { socket: '/var/run/none', version: 'v1alpha3' }, '<domain/>'),
    ).rejects.toThrow('ENOENT');
  });
});
