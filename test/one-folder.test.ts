// A feature is its folder: its API keys and its name stand in no room, and in no plugin that does not say it needs it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeAll, describe, expect, it } from 'vitest';
import { compose } from '../cli/compose.ts';
import { DEFAULT_CONFIG, ROOT } from '../cli/paths.ts';
import type { Host } from '../core/host.ts';
import { pluginFolders } from './support/tree.ts';

const ROOMS = ['core', 'agent', 'webhooks', 'subresources', 'embedded', 'launcher', 'cli', 'plugins'];

/** Words that are other things' names long before they are a feature's. */
const COMMON: Readonly<Record<string, string>> = {
  pod: "Kubernetes' pod",
  bridge: "the kernel's bridge",
};

/** Where a key may stand outside its folder, and why. */
const ALLOWED: readonly { readonly key: string; readonly file: RegExp; readonly why: string }[] = [
  { key: 'maxSockets', file: /^(core\/kube|embedded)\//, why: "an option of Node's HTTP agent" },
  {
    key: 'bootOrder',
    file: /^plugins\/(disks|interfaces)\//,
    why: 'disks and interfaces each have one; the order is one',
  },
  { key: 'pciAddress', file: /^plugins\/(disks|interfaces)\//, why: 'disks and interfaces each have one' },
  {
    key: 'useVirtioTransitional',
    file: /^plugins\/(disks|interfaces)\//,
    why: 'says the model of every virtio device',
  },
  { key: 'ioThreadsPolicy', file: /^plugins\/presets\/merge\.ts$/, why: "KubeVirt's list of what a preset may fill" },
  { key: 'dhcpOptions', file: /^core\/net\/dhcp\.ts$/, why: 'the shape that every DHCP server of ours takes' },
  {
    key: 'terminationGracePeriodSeconds',
    file: /^(core\/types|agent\/reconcile|plugins\/compute\/pod)\.ts$/,
    why: "how long a guest has is the agent's business; the pod's own is longer",
  },
  { key: 'masquerade', file: /^embedded\/kubelet\/cni\.ts$/, why: "nftables' statement" },
  { key: 'masquerade', file: /^plugins\/network-bridge\/attach\.ts$/, why: "KubeVirt's words for what cannot migrate" },
  {
    key: 'terminationGracePeriodSeconds',
    file: /^plugins\/virtual-machine\/verbs\.ts$/,
    why: 'stop takes a grace period',
  },
  { key: 'nodeSelector', file: /^plugins\/compute\/pod\.ts$/, why: "the pod's field of that name" },
  {
    key: 'autoattachSerialConsole',
    file: /^subresources\/streams\.ts$/,
    why: 'the stream says that there is none before it asks a node',
  },
  {
    key: 'autoattachGraphicsDevice',
    file: /^subresources\/streams\.ts$/,
    why: 'the stream says that there is none before it asks a node',
  },
];

interface Source {
  readonly file: string;
  readonly text: string;
}

function sources(): Source[] {
  return ROOMS.flatMap((room) =>
    readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(ts|mjs|sh|c)$/.test(file) && !/\.test\.ts$|(^|\/)(testing|fixture)/.test(file))
      .map((file) => `${room}/${file}`),
  ).map((file) => ({ file, text: readFileSync(join(ROOT, file), 'utf8') }));
}

let host: Host;
const files = sources();
/** Names of fields of Kubernetes' own objects, which the embedded cluster handles. */
const kubernetes = readFileSync(join(ROOT, 'embedded/apiserver/kinds/schemas.json'), 'utf8');

beforeAll(async () => {
  ({ host } = await compose(DEFAULT_CONFIG, pino({ level: 'silent' })));
});

/** The keys that make a plugin's fields its own: those of its hooks, and every name that is more than one plain word. */
function keysOf(plugin: string): string[] {
  const { diskSources, networkSources, bindings, fields } = host;
  const hooks = [diskSources, networkSources, bindings].flatMap((keys) => [...keys]);
  const own = [...hooks, ...[...fields.owners].map(([path, owner]) => [path.split('.').at(-1) ?? '', owner] as const)];
  const keys = own.filter(([, owner]) => owner === plugin).map(([key]) => key.replace('[]', ''));
  const isHook = (key: string): boolean => hooks.some(([hook]) => hook === key);
  return [...new Set(keys)].filter((key) => (isHook(key) || /[A-Z]/.test(key)) && !(key in COMMON));
}

function needs(reader: string, plugin: string): boolean {
  return host.plugins.find(({ name }) => name === reader)?.requires?.includes(plugin) ?? false;
}

function isElsewhere({ file }: Source, plugin: string): boolean {
  const [room, folder = ''] = file.split('/');
  return room !== 'plugins' || (folder !== plugin && !needs(folder, plugin));
}

describe.each(pluginFolders())('%s', (plugin) => {
  it('has its keys to itself', () => {
    const strays: string[] = [];
    for (const key of keysOf(plugin)) {
      const word = new RegExp(`\\b${key}\\b`);
      for (const source of files.filter((one) => isElsewhere(one, plugin) && word.test(one.text))) {
        const { file } = source;
        const isAllowed = ALLOWED.some((one) => one.key === key && one.file.test(file));
        const isKubernetes = file.startsWith('embedded/') && kubernetes.includes(`"${key}"`);
        if (!isAllowed && !isKubernetes) strays.push(`${file}: ${key}`);
      }
    }
    expect(strays).toEqual([]);
  });

  it('is imported by nobody, and named by no room', () => {
    const importer = new RegExp(`(from|import\\()\\s*['"][^'"]*/${plugin}(/[^'"]*)?['"]`);
    const name = new RegExp(`['"]${plugin}['"]`);
    const isOne = (folder: string) => folder === plugin;
    const strays = files
      .filter(({ file, text }) => {
        const [room, folder = ''] = file.split('/');
        if (room === 'plugins' && isOne(folder)) return false;
        // A plain word in quotes may be anything; a name with a dash is a plugin's.
        return importer.test(text) || (room !== 'plugins' && plugin.includes('-') && name.test(text));
      })
      .map(({ file }) => file);
    expect(strays).toEqual([]);
  });
});

it('no room knows a field of the binding or the source of any network or volume', () => {
  const keys = [host.diskSources, host.networkSources, host.bindings].flatMap((map) => [...map.keys()]);
  const strays = files
    .filter(({ file }) => !file.startsWith('plugins/') && !file.startsWith('embedded/'))
    .flatMap(({ file, text }) =>
      keys
        .filter(
          (key) =>
            key !== 'pod' &&
            new RegExp(`(nic|interface|volume|network|source)\\??\\.${key}\\b|\\['${key}'\\]`).test(text),
        )
        .map((key) => `${file}: ${key}`),
    );
  expect(strays).toEqual([]);
});

it('every exception is still one', () => {
  const idle = ALLOWED.filter(({ key, file }) => !files.some((one) => file.test(one.file) && one.text.includes(key)));
  expect(idle).toEqual([]);
});
