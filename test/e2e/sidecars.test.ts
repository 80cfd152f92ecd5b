// Hooks in another language, by KubeVirt's protocols, on a real platform: sidecars in Python change the domains of real
// guests, expressions too, and a server on the node hears of starts and stops.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOOKS_IMAGE, buildHooks } from '../../examples/images/hooks/build.ts';
import { waitFor } from '../support/command.ts';
import { Platform, type VmiLike } from '../support/platform.ts';

const PROTO = fileURLToPath(new URL('../../plugins/plugin-objects/proto/hooks.proto', import.meta.url));

let platform: Platform;
beforeAll(async () => {
  platform = await Platform.start({ args: ['--load-image', `${HOOKS_IMAGE}=${buildHooks()}`] });
}, 240_000);
afterAll(() => platform?.dispose());

const podOf = (vmi: string): Promise<string> =>
  platform.kubectl(['get', 'pods', '-l', `vm.kubevirt.io/name=${vmi}`, '-o', 'name']).then((name) => name.trim());

/** What libvirt says of the guest, by its own client in the launcher. */
async function dumpXml(vmi: string): Promise<string> {
  const virsh = ['virsh', '-q', '-c', 'qemu:///session?socket=/var/run/libvirt/libvirt-sock', 'dumpxml'];
  const pod = await podOf(vmi);
  return platform.kubectl(['exec', pod, '-c', 'compute', '--', ...virsh, `default_${vmi}`]);
}

async function events(vmi: string, reason: string): Promise<string[]> {
  const selector = `involvedObject.name=${vmi},reason=${reason}`;
  const lines = await platform.kubectl([
    'get',
    'events',
    '--field-selector',
    selector,
    '-o',
    'jsonpath={range .items[*]}{.message}{"\\n"}{end}',
  ]);
  return lines.trim().split('\n').filter(Boolean);
}

const conditionOf = (vmi: VmiLike | undefined): string | undefined =>
  vmi?.status?.conditions?.find(({ type }) => type === 'Synchronized')?.message;

/** A VMI of the tiny guest. */
function manifest(name: string, { annotations = {}, labels = {}, userData = '#!/bin/sh\n' } = {}): string {
  const disk = (one: string) => ({ name: one, disk: { bus: 'virtio' } });
  return `${JSON.stringify({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name, annotations, labels },
    spec: {
      terminationGracePeriodSeconds: 5,
      domain: {
        devices: { disks: [disk('root'), disk('data')], interfaces: [{ name: 'default', masquerade: {} }] },
        memory: { guest: '96Mi' },
      },
      networks: [{ name: 'default', pod: {} }],
      volumes: [
        { name: 'root', containerDisk: { image: 'localhost/virtloom/tiny:1' } },
        { name: 'data', cloudInitNoCloud: { userData } },
      ],
    },
  })}\n`;
}
const sidecars = (...list: object[]): Record<string, string> => ({
  'hooks.kubevirt.io/hookSidecars': JSON.stringify(list.map((one) => ({ image: HOOKS_IMAGE, ...one }))),
});
const plugin = (name: string, spec: object): string =>
  `${JSON.stringify({ apiVersion: 'plugin.kubevirt.io/v1alpha1', kind: 'Plugin', metadata: { name }, spec })}\n`;
/** A sidecar of a test's own, from a ConfigMap: its OnDefineDomain is the body of a function of (xml). */
async function script(name: string, body: string, priority = 0): Promise<object> {
  const code = `
import sys
sys.path.insert(0, "/hooks")
import info_pb2, v1alpha2_pb2
from serve import serve
def info(request, context):
    points = [info_pb2.HookPoint(name="OnDefineDomain", priority=${priority})]
    return info_pb2.InfoResult(name="${name}", versions=["v1alpha1", "v1alpha2"], hookPoints=points)
def domain(xml):
${body.replace(/^/gm, '    ')}
serve("/var/run/kubevirt-hooks/${name}.sock", {
    "kubevirt.hooks.info.Info": {"Info": (info, info_pb2.InfoParams)},
    "kubevirt.hooks.v1alpha2.Callbacks": {"OnDefineDomain": (
        lambda request, context: v1alpha2_pb2.OnDefineDomainResult(domainXML=domain(request.domainXML.decode()).encode()),
        v1alpha2_pb2.OnDefineDomainParams)}})
`;
  const data = { 'hook.py': code };
  await platform.apply(`${JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data })}\n`);
  return { command: ['/usr/bin/python3', '/my/hook.py'], configMap: { name, key: 'hook.py', hookPath: '/my/hook.py' } };
}

describe('a hook sidecar', () => {
  it('changes the domain before it is defined, is told when the guest has ended, and ends with the pod', async () => {
    await platform.apply('examples/vmi-hook-sidecar.yaml');
    const guest = await platform.waitForGuest('vmi-hook-sidecar', 90_000);
    expect(await platform.http(`http://${guest.ip}/board.txt`)).toBe('Radical Edward\n');
    expect(await dumpXml('vmi-hook-sidecar')).toMatch(
      /<baseBoard>\s*<entry name='manufacturer'>Radical Edward<\/entry>\s*<\/baseBoard>/,
    );
    expect(await events('vmi-hook-sidecar', 'DomainRewritten')).toEqual([
      expect.stringMatching(/^hook-sidecars \(.* hook-sidecar-0 "smbios"\): sysinfo\/baseBoard added$/),
    ]);
    const pod = await podOf('vmi-hook-sidecar');
    const logs = platform.kubectl(['logs', '-f', pod, '-c', 'hook-sidecar-0']);
    await platform.kubectl(['delete', 'vmi', 'vmi-hook-sidecar', '--timeout=60s']);
    expect(await logs).toMatch(/the guest has ended/);
    await waitFor('the pod is gone', async () => (await podOf('vmi-hook-sidecar')) === '');
  });

  it('comes in the order of its priority, each on what the one before made', async () => {
    const title = (text: string): string =>
      `import re\nold = re.search("<title>(.*)</title>", xml)\nxml = re.sub("<title>.*</title>", "", xml)\n` +
      `return xml.replace("<name>", "<title>" + (old.group(1) if old else "") + "${text}</title><name>", 1)`;
    const low = await script('low', title('low'), 1);
    const high = await script('high', title('high-'), 10);
    await platform.apply(manifest('ordered', { annotations: sidecars(low, high) }));
    await platform.waitForPhase('ordered', 'Running', 90_000);
    expect(await dumpXml('ordered')).toContain('<title>high-low</title>');
    await platform.kubectl(['delete', 'vmi', 'ordered', '--timeout=60s']);
  });

  it("changes cloud-init's data before its disk is made", async () => {
    const code = `
import json, sys
sys.path.insert(0, "/hooks")
import info_pb2, v1alpha2_pb2
from serve import serve
def info(request, context):
    return info_pb2.InfoResult(name="data", versions=["v1alpha2"], hookPoints=[info_pb2.HookPoint(name="PreCloudInitIso")])
def data(request, context):
    data = json.loads(request.cloudInitData)
    data["UserData"] += "echo by $(hostname) >/www/hook.txt"
    data["NoCloudMetaData"]["local-hostname"] = "renamed"
    return v1alpha2_pb2.PreCloudInitIsoResult(cloudInitData=json.dumps(data).encode())
serve("/var/run/kubevirt-hooks/data.sock", {
    "kubevirt.hooks.info.Info": {"Info": (info, info_pb2.InfoParams)},
    "kubevirt.hooks.v1alpha2.Callbacks": {"PreCloudInitIso": (data, v1alpha2_pb2.PreCloudInitIsoParams)}})
`;
    const configMap = { name: 'data', key: 'hook.py', hookPath: '/my/hook.py' };
    await platform.apply(
      `${JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'data' }, data: { 'hook.py': code } })}\n`,
    );
    const annotations = sidecars({ command: ['/usr/bin/python3', '/my/hook.py'], configMap });
    await platform.apply(manifest('data', { annotations }));
    const guest = await platform.waitForGuest('data', 90_000);
    expect(guest).toMatchObject({ hostname: 'renamed' });
    expect(await platform.http(`http://${guest.ip}/hook.txt`)).toBe('by renamed\n');
    await platform.kubectl(['delete', 'vmi', 'data', '--timeout=60s']);
  });

  it('that answers malformed XML holds its VM up by name, and no other', async () => {
    const bad = await script('bad', 'return "<domain>"');
    await platform.apply(manifest('malformed', { annotations: sidecars(bad) }));
    const message = await waitFor(
      'the condition',
      async () => conditionOf(await platform.get<VmiLike>('vmi', 'malformed')),
      90_000,
    );
    expect(message).toMatch(
      /^rewrite hook-sidecars\/rewrite\/hook-sidecar-0 \(.*"bad"\) of plugin "hook-sidecars".*well-formed/,
    );
    expect((await platform.get<VmiLike>('vmi', 'malformed'))?.status?.phase).toBe('Scheduled');
    await platform.kubectl(['delete', 'vmi', 'malformed', '--timeout=60s']);
  });

  it('is refused by name where its annotation is wrong', async () => {
    const wrong = [
      ['{"image"', 'it is no JSON'],
      ['[{"image": "x", "pvc": {"name": "a"}}]', '[0].pvc: PersistentVolumeClaims of sidecars are not built yet'],
    ];
    for (const [annotation = '', why] of wrong) {
      const annotations = { 'hooks.kubevirt.io/hookSidecars': annotation };
      const { code, stderr } = await platform.tryKubectl(['apply', '-f', '-'], {
        input: manifest('wrong', { annotations }),
      });
      expect(code).toBe(1);
      expect(stderr).toContain(`metadata.annotations[hooks.kubevirt.io/hookSidecars]`);
      expect(stderr).toContain(why);
    }
  });
});

describe('a Plugin object', () => {
  it('changes the domains of the VMs that it takes in: by CEL and by a sidecar', async () => {
    await platform.apply('examples/vmi-plugin-objects.yaml');
    const guest = await platform.waitForGuest('vmi-plugins', 90_000);
    const hardware = await platform.http(`http://${guest.ip}/hardware.txt`);
    expect(hardware).toMatch(/^vmi-plugins Boot\n/);
    // The watchdog's PCI device.
    expect(hardware).toMatch(/^0x25ab$/m);
    const xml = await dumpXml('vmi-plugins');
    expect(xml).toMatch(/<watchdog model='i6300esb' action='none'>/);
    expect(xml).toContain(`<entry name='asset'>vmi-plugins Boot</entry>`);
    expect((await events('vmi-plugins', 'DomainRewritten')).sort()).toEqual([
      'plugin-objects (Plugin/asset-tag spec.domainHooks[0]): sysinfo/chassis added',
      'plugin-objects (Plugin/watchdog spec.domainHooks[0]): devices/watchdog added',
    ]);

    // Another VM has nothing of it: not even the container.
    await platform.apply(manifest('plain'));
    await platform.waitForPhase('plain', 'Running', 90_000);
    expect(await dumpXml('plain')).not.toContain('watchdog');
    const containers = await platform.kubectl([
      'get',
      await podOf('plain'),
      '-o',
      'jsonpath={.spec.initContainers[*].name}',
    ]);
    expect(containers).not.toContain('plugin-');
    await platform.kubectl(['delete', '-f', 'examples/vmi-plugin-objects.yaml', '--timeout=60s']);
    await platform.kubectl(['delete', 'vmi', 'plain', '--timeout=60s']);
  });

  it('whose sidecar is not there holds a VM up, unless it says Ignore', async () => {
    const socketPath = '/var/run/kubevirt-plugin/absent/hook.sock';
    const spec = (failureStrategy: string) => ({
      condition: `vmi.metadata.name == "unhooked"`,
      failureStrategy,
      domainHooks: [{ sidecar: { socketPath }, timeout: '1s' }],
    });
    await platform.apply(plugin('absent', spec('Fail')));
    await platform.apply(manifest('unhooked'));
    const message = await waitFor(
      'the condition',
      async () => conditionOf(await platform.get<VmiLike>('vmi', 'unhooked')),
      60_000,
    );
    expect(message).toContain(`(Plugin/absent spec.domainHooks[0])`);
    expect(message).toContain(`there is no socket ${socketPath}`);
    await platform.apply(plugin('absent', spec('Ignore')));
    await platform.waitForPhase('unhooked', 'Running', 60_000);
    expect(await events('unhooked', 'RewriteIgnored')).not.toEqual([]);
    await platform.kubectl(['delete', 'vmi/unhooked', 'plugin/absent', '--timeout=60s']);
  });

  it('is called on the node when a guest starts and stops, also when it was not there at first', async () => {
    const socket = join(platform.directory, 'node-hook.sock');
    const heard: string[] = [];
    const calls = (): Server => {
      const { kubevirt } = loadPackageDefinition(loadSync(PROTO, { keepCase: true })) as unknown as {
        kubevirt: { hooks: { plugins: { v1alpha1: { NodeHookService: ServiceClientConstructor } } } };
      };
      const server = new Server();
      server.addService(kubevirt.hooks.plugins.v1alpha1.NodeHookService.service, {
        ExecuteNodeHook: (
          call: { request: { hookPoint: string; vmi: Buffer; node_context: { node_name: string } } },
          done: (error: null, answer: object) => void,
        ) => {
          const vmi = JSON.parse(call.request.vmi.toString()) as VmiLike;
          heard.push(`${call.request.hookPoint} ${vmi.metadata.name} ${call.request.node_context.node_name !== ''}`);
          done(null, {});
        },
      });
      return server;
    };
    const permittedHooks = ['PreVMStart', 'PostVMStart', 'PreVMStop', 'PostVMStop', 'PreMigrationSource'];
    const hooks = { condition: 'vmi.metadata.name == "heard"', nodeHooks: [{ socket, permittedHooks, timeout: '5s' }] };
    const { stderr } = await platform.tryKubectl(['apply', '-f', '-'], { input: plugin('node', hooks) });
    expect(stderr).toContain('PreMigrationSource is not called');
    await platform.apply(manifest('heard'));
    await waitFor(
      'the condition',
      async () =>
        conditionOf(await platform.get<VmiLike>('vmi', 'heard'))?.includes(
          `PreVMStart at ${socket}: ExecuteNodeHook: UNAVAILABLE`,
        ),
      30_000,
    );
    const server = calls();
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    try {
      await platform.waitForPhase('heard', 'Running', 60_000);
      await waitFor('the second call', () => heard.length === 2);
      expect(heard).toEqual(['PreVMStart heard true', 'PostVMStart heard true']);
      await platform.kubectl(['delete', 'vmi', 'heard', '--timeout=60s']);
      await waitFor('the last call', () => heard.length === 4);
      expect(heard.slice(2)).toEqual(['PreVMStop heard true', 'PostVMStop heard true']);
    } finally {
      server.forceShutdown();
      rmSync(socket, { force: true });
      await platform.kubectl(['delete', 'plugin', 'node']);
    }
  });

  it('is refused where an expression does not compile or a socket is elsewhere, by field', async () => {
    const { code, stderr } = await platform.tryKubectl(['apply', '-f', '-'], {
      input: plugin('wrong', {
        domainHooks: [{ cel: { expression: 'Domain{Bogus: "x"}' } }, { sidecar: { socketPath: '/etc/hook.sock' } }, {}],
      }),
    });
    expect(code).toBe(1);
    expect(stderr).toContain('spec.domainHooks[0].cel.expression: ');
    expect(stderr).toContain('no field "Bogus" is known of Domain');
    expect(stderr).toContain('must start with /var/run/kubevirt-plugin/wrong/');
    expect(stderr).toContain('exactly one of cel or sidecar');
  });
});
