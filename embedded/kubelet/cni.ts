// Calls CNI plugins as the specification says: configuration on stdin, the rest in CNI_* variables.
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { ensureDir, isNotFound, readIfThere, writeAtomic } from './files.ts';
import { ProcessError, run } from './process.ts';

const VERSION = '1.0.0';
const PLUGIN_DIRS = ['/usr/lib/cni', '/opt/cni/bin'];

export interface NetworkOptions {
  /** Directory for the generated configuration list and host-local's leases. */
  dir: string;
  /** Also the network's name: two instances on one machine need two. */
  bridgeName: string;
  /** The pods' subnet, for example 10.88.0.0/16. */
  podCIDR: string;
}

export interface CniResult {
  cniVersion: string;
  interfaces?: { name: string; mac?: string; sandbox?: string }[];
  ips?: { address: string; gateway?: string; interface?: number }[];
  [key: string]: unknown;
}

export class CniError extends Error {
  override name = 'CniError';
}

interface Attachment {
  /** Unique per sandbox; the pod's UID. */
  containerId: string;
  netns: string;
  ifname: string;
  /** Passed as CNI_ARGS, for plugins and their logs. */
  args: Record<string, string>;
}

type PluginConf = Record<string, unknown> & { type: string };

export class PodNetwork {
  private readonly options: NetworkOptions;
  private readonly plugins: PluginConf[];

  constructor(options: NetworkOptions) {
    this.options = options;
    this.plugins = [
      {
        type: 'bridge',
        bridge: options.bridgeName,
        isGateway: true,
        // Masquerading is one static nft rule of ours: the plugin's own way costs an iptables run for each pod.
        ipMasq: false,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          dataDir: path.join(options.dir, 'ipam'),
          ranges: [[{ subnet: options.podCIDR }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
    ];
  }

  /** Writes the configuration list to disk, so that a person (or crictl's kin) can see what pods get. */
  async prepare(): Promise<void> {
    await ensureDir(path.join(this.options.dir, 'ipam'));
    const list = { cniVersion: VERSION, name: this.options.bridgeName, plugins: this.plugins };
    await writeAtomic(path.join(this.options.dir, '10-virtloom.conflist'), `${JSON.stringify(list, null, 2)}\n`);
    await this.masquerade();
  }

  /** Runs ADD of each plugin in order, each given the result of the one before. */
  async add(attachment: Attachment): Promise<CniResult> {
    let result: CniResult | undefined;
    for (const plugin of this.plugins) {
      const text = await this.call('ADD', plugin, attachment, result);
      if (text.trim() !== '') result = JSON.parse(text) as CniResult;
    }
    if (!result?.ips?.[0]) throw new CniError('the network plugins gave the pod no address');
    return result;
  }

  /** Runs DEL in reverse order; succeeds when there is nothing (left) to delete. */
  async del(attachment: Attachment, result: CniResult | undefined): Promise<void> {
    for (const plugin of [...this.plugins].reverse()) await this.call('DEL', plugin, attachment, result);
  }

  /** Frees addresses held by sandboxes that `isAlive` does not know: a crash between ADD and our note of it. */
  async releaseLeases(isAlive: (containerId: string) => boolean): Promise<string[]> {
    const dir = path.join(this.options.dir, 'ipam', this.options.bridgeName);
    const freed: string[] = [];
    for (const entry of await readdir(dir).catch((error: unknown) => {
      if (isNotFound(error)) return [];
      throw error;
    })) {
      if (!/^[0-9a-f.:]+$/.test(entry)) continue;
      const owner = (await readIfThere(path.join(dir, entry)))?.split(/\r?\n/)[0] ?? '';
      if (isAlive(owner)) continue;
      await rm(path.join(dir, entry), { force: true });
      freed.push(entry);
    }
    return freed;
  }

  /** Takes the bridge and our nft table away: only for when no pod is left. */
  async remove(): Promise<void> {
    await run(['ip', 'link', 'del', this.options.bridgeName]).catch(() => {});
    await run(['nft', '-f', '-'], { stdin: `table ip ${this.table}\ndelete table ip ${this.table}\n` });
    await rm(this.options.dir, { recursive: true, force: true });
  }

  private get table(): string {
    return `virtloom_${this.options.bridgeName.replace(/[^a-zA-Z0-9]/g, '_')}`;
  }

  private async masquerade(): Promise<void> {
    const { podCIDR } = this.options;
    await run(['nft', '-f', '-'], {
      stdin: [
        `table ip ${this.table}`,
        `delete table ip ${this.table}`,
        `table ip ${this.table} {`,
        '  chain postrouting {',
        '    type nat hook postrouting priority 100',
        `    ip saddr ${podCIDR} ip daddr != ${podCIDR} ip daddr != 224.0.0.0/4 masquerade`,
        '  }',
        '}',
        '',
      ].join('\n'),
    });
  }

  private async call(
    command: string,
    plugin: PluginConf,
    attachment: Attachment,
    prevResult: CniResult | undefined,
  ): Promise<string> {
    const conf = { cniVersion: VERSION, name: this.options.bridgeName, ...plugin, ...(prevResult && { prevResult }) };
    try {
      const { stdout } = await run([path.join(await pluginDir(), plugin.type)], {
        stdin: JSON.stringify(conf),
        env: {
          PATH: process.env['PATH'],
          CNI_COMMAND: command,
          CNI_CONTAINERID: attachment.containerId,
          CNI_NETNS: attachment.netns,
          CNI_IFNAME: attachment.ifname,
          CNI_PATH: PLUGIN_DIRS.join(':'),
          CNI_ARGS: Object.entries({ IgnoreUnknown: '1', ...attachment.args })
            .map(([key, value]) => `${key}=${value}`)
            .join(';'),
        },
      });
      return stdout;
    } catch (error) {
      throw new CniError(`network plugin ${plugin.type} failed (${command.toLowerCase()}): ${reason(error)}`);
    }
  }
}

let foundDir: string | undefined;

async function pluginDir(): Promise<string> {
  for (const dir of foundDir ? [foundDir] : PLUGIN_DIRS) {
    const found: string[] = await readdir(dir).catch(() => []);
    if (found.includes('bridge')) return (foundDir = dir);
  }
  throw new CniError(`no CNI plugins in ${PLUGIN_DIRS.join(' or ')}: install containernetworking-plugins`);
}

function reason(error: unknown): string {
  if (!(error instanceof ProcessError)) return String(error);
  try {
    const parsed = JSON.parse(error.stdout) as { msg?: string; details?: string };
    return [parsed.msg, parsed.details].filter(Boolean).join('; ') || error.message;
  } catch {
    return error.message;
  }
}
