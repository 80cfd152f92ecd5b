import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KubeObject, Vmi } from '../../core/index.ts';
import { admitFor, planFor } from '../../core/testing.ts';
import { contextOf, LocalSandbox } from '../../test/local-sandbox.ts';
import { actions, rewrites } from './actions.ts';
import plugin from './index.ts';
import { millisecondsOf } from './kind.ts';

const VMI: Vmi = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'vm', namespace: 'ns', labels: { app: 'web' } },
  spec: { domain: {} },
};
const object = (name: string, spec: object, annotations = {}): KubeObject =>
  ({ apiVersion: 'plugin.kubevirt.io/v1alpha1', kind: 'Plugin', metadata: { name, annotations }, spec }) as KubeObject;
const SOCKET = '/var/run/kubevirt-plugin/p/hook.sock';
const TITLE = { cel: { expression: 'Domain{Title: "new"}' } };

describe('a Plugin object', () => {
  const verdictOf = (spec: object, annotations = {}) =>
    admitFor({ plugins: [plugin], object: object('p', spec, annotations) });

  it.each([
    {
      domainHooks: [TITLE, { sidecar: { socketPath: SOCKET }, condition: 'domainSpec.Title == ""', timeout: '1m30s' }],
    },
    { condition: 'vmi.Name == "vm"', nodeHooks: [{ socket: '/run/a.sock', permittedHooks: ['PreVMStart'] }] },
    { condition: 'domainSpec.Type == "kvm"', domainHooks: [TITLE] },
  ])('like %j is good', async (spec) => {
    expect(await verdictOf(spec)).toMatchObject({ causes: [], warnings: [] });
  });

  it.each<[object, string, string]>([
    [{ domainHooks: [{}] }, 'spec.domainHooks[0]', 'exactly one of cel or sidecar must be specified'],
    [{ domainHooks: [{ ...TITLE, sidecar: { socketPath: SOCKET } }] }, 'spec.domainHooks[0]', 'exactly one'],
    [{ domainHooks: [{ cel: { expression: '1 +' } }] }, 'spec.domainHooks[0].cel.expression', 'invalid CEL mutation'],
    [{ domainHooks: [{ cel: { expression: 'true' } }] }, 'spec.domainHooks[0].cel.expression', 'must yield Domain'],
    [{ domainHooks: [{ ...TITLE, condition: 'no' }] }, 'spec.domainHooks[0].condition', 'undeclared reference'],
    [{ domainHooks: [TITLE], condition: '"a"' }, 'spec.condition', 'must yield bool'],
    [{ domainHooks: [{ ...TITLE, timeout: 'soon' }] }, 'spec.domainHooks[0].timeout', '"soon" is no duration'],
    [{ domainHooks: [{ ...TITLE, timeout: '0s' }] }, 'spec.domainHooks[0].timeout', 'above zero'],
    ...['/var/run/kubevirt-plugin/p/../q/a.sock', '/var/run/kubevirt-plugin/other/a.sock', `${SOCKET}et`].map(
      (socketPath): [object, string, string] => [
        { domainHooks: [{ sidecar: { socketPath } }] },
        'spec.domainHooks[0].sidecar.socketPath',
        'socketPath must',
      ],
    ),
    [
      { domainHooks: [{ sidecar: { socketPath: `/var/run/kubevirt-plugin/p/${'x'.repeat(90)}.sock` } }] },
      'spec.domainHooks[0].sidecar.socketPath',
      'must not exceed 108',
    ],
    [{ nodeHooks: [{ socket: 'a.sock', permittedHooks: [] }] }, 'spec.nodeHooks[0].socket', 'absolute'],
    [
      { nodeHooks: [{ socket: '/a', permittedHooks: [], condition: 'domainSpec.Title == ""' }] },
      'spec.nodeHooks[0].condition',
      'undeclared reference to "domainSpec"',
    ],
  ])('like %j is refused at %s', async (spec, field, message) => {
    const { causes } = await verdictOf(spec);
    expect(causes[0]).toMatchObject({ field, reason: 'FieldValueInvalid', message: expect.stringContaining(message) });
  });

  it.each(['{', '[]', '{}', '{"image":"a","command":"b"}', '{"image":"a","frob":1}'])(
    'with the sidecar %j is refused',
    async (text) => {
      const { causes } = await verdictOf({ domainHooks: [TITLE] }, { 'virtloom.io/sidecar': text });
      expect(causes).toEqual([expect.objectContaining({ field: 'metadata.annotations[virtloom.io/sidecar]' })]);
    },
  );

  it('is warned of what does nothing', async () => {
    expect((await verdictOf({})).warnings).toEqual([expect.stringContaining('this plugin will have no effect')]);
    const { causes, warnings } = await verdictOf({
      nodeHooks: [{ socket: '/a', permittedHooks: ['PreMigrationSource', 'PostVMStart'] }],
      mutatingAdmissionPolicies: [{ name: 'a' }],
    });
    expect(causes).toEqual([]);
    expect(warnings).toEqual([
      expect.stringContaining('PreMigrationSource is not called'),
      expect.stringContaining('spec.mutatingAdmissionPolicies'),
    ]);
  });

  it('has durations as Go writes them', () => {
    expect(['30s', '1m30s', '1.5h', '250ms', '', '5', '1m s', '-1s'].map(millisecondsOf)).toEqual([
      ...[30_000, 90_000, 5_400_000, 250],
      ...[undefined, undefined, undefined, undefined],
    ]);
  });
});

describe('the plan', () => {
  const planOf = (objects: KubeObject[], vmi = VMI) =>
    planFor({ plugins: [plugin], vmi, facts: { objects, node: { name: 'n1', arch: 'amd64' } } });
  const sidecar = { sidecar: { socketPath: SOCKET } };

  it('has the rewrites by the names of the plugins, then as they are listed, each with its strategy', async () => {
    const { rewrites: planned } = await planOf([
      object('b', { failureStrategy: 'Ignore', domainHooks: [TITLE, { ...sidecar, failureStrategy: 'Fail' }] }),
      object('a', { condition: 'true', domainHooks: [{ ...TITLE, condition: 'false', timeout: '2s' }] }),
      // Another's kind of that name.
      { ...object('z', { domainHooks: [TITLE] }), apiVersion: 'example.com/v1' },
    ]);
    expect(planned.map(({ id, failurePolicy }) => [id, failurePolicy])).toEqual([
      ['plugin-objects/rewrite/a/0', undefined],
      ['plugin-objects/rewrite/b/0', 'Ignore'],
      ['plugin-objects/rewrite/b/1', undefined],
    ]);
    expect(planned[0]).toMatchObject({
      args: { conditions: ['true', 'false'], timeoutMs: 2_000, expression: 'Domain{Title: "new"}' },
      by: { field: 'Plugin/a spec.domainHooks[0]' },
    });
    expect(planned[2]).toMatchObject({ action: 'sidecar', args: { socket: SOCKET, timeoutMs: 30_000 } });
  });

  it('has a step for each moment that a node hook is for', async () => {
    const permittedHooks = ['PostVMStop', 'PreVMStop', 'PreVMStart', 'PostVMStart', 'PreMigrationTarget'];
    const { chains } = await planOf([object('p', { nodeHooks: [{ socket: '/a', permittedHooks }] })]);
    const steps = chains.flatMap(({ phase, steps: all }) =>
      all.map(({ id, action, args }) => [phase, id, action, args['node']]),
    );
    expect(steps).toEqual([
      ['domain', 'plugin-objects/domain/p/0/PreVMStart', 'node', 'n1'],
      ['domain', 'plugin-objects/domain/p/0/PostVMStop', 'nodeAfterStop', 'n1'],
      ['started', 'plugin-objects/domain/p/0/PostVMStart', 'node', 'n1'],
      ['stopping', 'plugin-objects/domain/p/0/PreVMStop', 'node', 'n1'],
    ]);
  });

  it("brings a Plugin's own sidecar to the VMs that it is for", async () => {
    const annotations = { 'virtloom.io/sidecar': '{"image":"i","args":["a"]}' };
    const containers = async (condition: string, vmi = VMI): Promise<unknown> => {
      const { pod } = await planOf([object('my.p', { condition, domainHooks: [sidecar] }, annotations)], vmi);
      return (pod.value['spec'] as { initContainers?: unknown }).initContainers;
    };
    expect(await containers('vmi.Labels["app"] == "web"')).toEqual([
      expect.objectContaining({
        ...{ name: 'plugin-my-p', image: 'i', args: ['a'], restartPolicy: 'Always' },
        volumeMounts: [
          { name: 'kubevirt-plugin-sockets', mountPath: '/var/run/kubevirt-plugin/my.p', subPath: 'my.p' },
        ],
      }),
    ]);
    expect(await containers('vmi.Labels["app"] == "db"')).toBeUndefined();
    // Whether it is for a VM that only its domain tells shows later.
    expect(await containers('domainSpec.Title == "x"')).toHaveLength(1);
  });
});

describe('on the node', () => {
  let sandbox: LocalSandbox;
  let stops: (() => void)[];
  const heard: { hookPoint: string; vmi: Vmi; node: string }[] = [];
  const PROTO = fileURLToPath(new URL('./proto/hooks.proto', import.meta.url));
  const PACKAGE = 'kubevirt.hooks.plugins.v1alpha1';
  type Call = { request: { hookPoint: string; vmi: Buffer; node_context: { node_name: string }; domain: Buffer } };
  type Done = (error: null, answer: object) => void;

  async function serve(path: string, mutate: (xml: string) => string): Promise<void> {
    const loaded = loadSync(PROTO, { keepCase: true });
    const server = new Server();
    server.addService(loaded[`${PACKAGE}.DomainHookService`] as ServiceDefinition, {
      MutateDomain: ({ request }: Call, done: Done) =>
        done(null, { domain: Buffer.from(mutate(request.domain.toString())) }),
    });
    server.addService(loaded[`${PACKAGE}.NodeHookService`] as ServiceDefinition, {
      ExecuteNodeHook: ({ request: { hookPoint, vmi, node_context } }: Call, done: Done) => {
        heard.push({ hookPoint, vmi: JSON.parse(vmi.toString()) as Vmi, node: node_context.node_name });
        done(null, {});
      },
    });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    stops.push(() => server.forceShutdown());
  }
  const context = () => ({ ...contextOf(sandbox), object: VMI });
  const args = (more: object) => ({ conditions: [], timeoutMs: 500, ...more });
  const XML = '<domain type="kvm"><title>old</title></domain>';

  beforeEach(async () => {
    stops = [];
    heard.length = 0;
    sandbox = await LocalSandbox.start();
    await mkdir(`${sandbox.root}/var/run/kubevirt-plugin/p`, { recursive: true });
  });
  afterEach(async () => {
    for (const stop of stops) stop();
    await sandbox.stop();
  });

  it('evaluates an expression where its conditions hold', async () => {
    const cel = (conditions: string[]) =>
      rewrites.cel(context(), { ...args({ conditions }), expression: 'Domain{Title: "new"}' }, XML);
    expect(await cel(['domainSpec.Title == "old"'])).toContain('<title>new</title>');
    expect(await cel(['true', 'domainSpec.Title == "other"'])).toBe(XML);
    await expect(cel(['nothing'])).rejects.toThrow('undeclared reference');
  });

  it('gives a sidecar the domain, also one that comes late', async () => {
    const answer = rewrites.sidecar(context(), args({ socket: SOCKET, timeoutMs: 5_000 }), XML);
    await serve(`${sandbox.root}${SOCKET}`, (xml) => xml.replace('old', 'theirs'));
    expect(await answer).toContain('<title>theirs</title>');
    expect(await rewrites.sidecar(context(), args({ socket: SOCKET, conditions: ['false'] }), XML)).toBe(XML);
  });

  it('gives up on a socket that is not there, and on one that never answers', async () => {
    const call = () => rewrites.sidecar(context(), args({ socket: SOCKET, timeoutMs: 200 }), XML);
    await expect(call()).rejects.toThrow(`there is no socket ${SOCKET}`);
    const mute = createServer(() => undefined);
    stops.push(() => mute.close());
    await new Promise<void>((resolve) => mute.listen(`${sandbox.root}${SOCKET}`, resolve));
    await expect(call()).rejects.toThrow(/MutateDomain: (DEADLINE_EXCEEDED|UNAVAILABLE)/);
  });

  it('calls the node, and of a VMI that is gone tells its name', async () => {
    const socket = join(sandbox.root, 'node.sock');
    await serve(socket, String);
    const given = args({ socket, point: 'PreVMStart', node: 'n1' });
    await actions.node.apply(context(), given);
    await actions.node.apply(context(), { ...given, conditions: ['vmi.Name == "other"'] });
    await actions.nodeAfterStop.apply();
    await actions.nodeAfterStop.revert(
      { ...contextOf(sandbox), sandbox: undefined },
      { ...given, point: 'PostVMStop' },
    );
    expect(heard).toEqual([
      { hookPoint: 'PreVMStart', vmi: VMI, node: 'n1' },
      {
        ...{ hookPoint: 'PostVMStop', node: 'n1' },
        vmi: expect.objectContaining({ metadata: { namespace: 'ns', name: 'vm', uid: 'u-1' } }),
      },
    ]);
    await expect(actions.node.apply(context(), { ...given, socket: '/nowhere.sock' })).rejects.toThrow(
      /^PreVMStart at \/nowhere\.sock: ExecuteNodeHook: UNAVAILABLE/,
    );
    const stopping = { ...context(), signal: AbortSignal.abort(new Error('stopping')) };
    await expect(actions.node.apply(stopping, given)).rejects.toThrow('stopping');
  });
});
