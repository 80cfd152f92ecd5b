// The `virtloom` command: what there is to say, and which file does it. Each is loaded when it is asked for.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { DONE, Exit, report, USAGE } from './exit.ts';
import { DEFAULT_CONFIG, DEFAULT_STATE, findKubeconfig, ROOT } from './paths.ts';

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

interface Connection {
  readonly kubeconfig?: string;
  readonly namespace?: string;
}

function seconds(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number of seconds is needed.');
  return Number(text);
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is needed.');
  return Number(text);
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65535) throw new InvalidArgumentError('a port between 0 and 65535 is needed.');
  return value;
}

function collect(value: string, list: string[]): string[] {
  return [...list, value];
}

/** Options of everything that talks to an API server, as virtctl has them. */
function connected(command: Command): Command {
  return command
    .option('--kubeconfig <file>', 'kubeconfig (default: KUBECONFIG, else the platform on this machine)')
    .option('-n, --namespace <namespace>', "namespace (default: the kubeconfig's)");
}

function at(options: Connection): { kubeconfig: string; namespace?: string } {
  return {
    kubeconfig: findKubeconfig(options.kubeconfig),
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
  };
}

const program = new Command('virtloom')
  .description('Virtual machines on Kubernetes.')
  .version(version, '--version')
  .showHelpAfterError('(virtloom --help tells more)')
  .exitOverride();

program
  .command('up')
  .description('run the platform on this machine, in the foreground; guests outlive it')
  .option('--state-dir <dir>', 'where everything is kept', DEFAULT_STATE)
  .option('--config <file>', 'the configuration', DEFAULT_CONFIG)
  .option('--port <port>', 'port of the API server on loopback (0: a free one)', port, 6443)
  .option('--pod-cidr <cidr>', 'addresses of pods', '10.88.0.0/16')
  .option('--bridge <name>', 'bridge that pods hang on', 'virtloom0')
  .option('--metrics-port <port>', 'port of /metrics on loopback (0: a free one)', port, 0)
  .option('--load-image <name=layout>', 'put an image into the store first; may be repeated', collect, [])
  .option('--log-level <level>', 'debug, info, warn or error', 'warn')
  .action(async (options) => (await import('./up.ts')).up(options));

program
  .command('down')
  .description('stop everything: the platform, every guest, every network; objects are kept')
  .option('--state-dir <dir>', 'where everything is kept', DEFAULT_STATE)
  .option('--purge', 'remove the objects and images too')
  .action(async (options) => (await import('./down.ts')).down(options));

for (const verb of ['start', 'stop', 'restart'] as const) {
  const command = connected(program.command(verb).argument('<vm>').description(`${verb} a virtual machine`));
  command.option('--dry-run', 'ask only whether it would be accepted');
  if (verb !== 'start') {
    command
      .option('--force', 'do not wait for the guest')
      .option('--grace-period <seconds>', 'give the guest so long', seconds);
  }
  command.action(async (name: string, options) =>
    (await import('./power.ts')).power(verb, name, { ...options, ...at(options) }),
  );
}

connected(program.command('console').argument('<vmi>').description('connect to the serial console; ^] ends')).action(
  async (name: string, options) => (await import('./console.ts')).openConsole(name, at(options)),
);

connected(program.command('vnc').argument('<vmi>').description('connect to the screen'))
  .option('--proxy-only', 'print the port and start no viewer')
  .option('--port <port>', 'loopback port (0: a free one)', port, 0)
  .action(async (name: string, options) =>
    (await import('./vnc.ts')).openVnc(name, {
      ...at(options),
      port: options.port,
      proxyOnly: options.proxyOnly ?? false,
    }),
  );

function offline(command: Command): Command {
  return command
    .requiredOption('-f, --filename <file>', 'manifest; - is standard input')
    .option('--config <file>', 'the configuration', DEFAULT_CONFIG)
    .option('--no-emulation', 'render for hardware virtualization');
}

offline(program.command('render').description('print what a manifest becomes, with no cluster'))
  .addOption(new Option('-o, --output <what>').choices(['domain', 'pod', 'plan']).default('domain'))
  .action(async (options) => (await import('./render.ts')).render(options));

connected(program.command('explain').argument('[target]', 'vm/NAME or vmi/NAME, instead of a manifest'))
  .description('print what a VM is made of, line by line, and which plugin, tap and field made each')
  .option('-f, --filename <file>', 'manifest; - is standard input')
  .option('--path <path>', 'only what is at this path or below it; * stands for anything')
  .option('--plugin <name>', 'only what this plugin made')
  .addOption(new Option('-o, --output <format>').choices(['table', 'json', 'yaml']).default('table'))
  .option('--config <file>', 'the configuration', DEFAULT_CONFIG)
  .option('--no-emulation', 'render for hardware virtualization')
  .action(async (target: string | undefined, options) => {
    if ((target === undefined) === (options.filename === undefined)) {
      throw new Exit(USAGE, 'either vm/NAME or vmi/NAME, or a manifest with -f');
    }
    const { explain } = await import('./explain.ts');
    await explain({ ...options, ...(target === undefined ? {} : { live: { target, ...at(options) } }) });
  });

connected(program.command('diff').argument('[target]', 'vm/NAME or vmi/NAME, as it would be started today'))
  .description('print what a change would change in pod and domain, before it is made; of all VMs unless told')
  .option('-f, --filename <file>', 'the new manifest; the old one first, or the VM that runs is compared', collect, [])
  .option('-A, --all-namespaces', 'all VMs that run, a line each')
  .option('--config <file>', 'the configuration', DEFAULT_CONFIG)
  .option('--to-config <file>', 'between manifests: the configuration to come')
  .option('--no-emulation', 'plan for hardware virtualization')
  .action(async (target: string | undefined, options) =>
    (await import('./diff.ts')).diff({ ...options, ...(target === undefined ? {} : { target }) }),
  );

const plugins = program
  .command('plugins')
  .description('list the enabled plugins in their order')
  .option('--config <file>', 'the configuration', DEFAULT_CONFIG)
  .action(async (options) => (await import('./plugins.ts')).listPlugins(options));
plugins
  .command('top')
  .description('show where the time goes: taps and node steps of the running platform, by plugin')
  .option('--state-dir <dir>', 'the platform', DEFAULT_STATE)
  .option('--metrics <url>', 'the metrics of a platform elsewhere')
  .action(async (options) => (await import('./plugins-top.ts')).topPlugins(options));

const plugin = program.command('plugin').description('for authors of plugins');
plugin
  .command('create')
  .description('make a package with a plugin that works, to begin from')
  .argument('<name>', 'of the plugin, and of the folder that is made here')
  .action(async (name: string) => (await import('./plugin-create.ts')).createPlugin(name));
plugin
  .command('test')
  .description('try a plugin against the contract, on random VMIs, beside those of the configuration')
  .argument('<folder>', 'with index.ts or index.js, or a package')
  .option('--config <file>', 'the configuration', DEFAULT_CONFIG)
  .option('--vmis <count>', 'how many random VMIs', whole, 1000)
  .option('--seed <number>', 'the same seed gives the same VMIs', whole)
  .action(async (folder: string, options) => (await import('./plugin-test.ts')).testPlugin(folder, options));

const image = program.command('image').description('images of the platform on this machine');
image
  .command('load')
  .description('put an image into the store, from an OCI layout folder or archive')
  .argument('<source>', 'OCI layout folder or tar')
  .argument('<name>', 'the name under which manifests ask for it')
  .option('--state-dir <dir>', 'where everything is kept', DEFAULT_STATE)
  .action(async (source: string, name: string, options) =>
    (await import('./image.ts')).loadImage(source, name, options),
  );

connected(program.command('version').description('print client and server version')).action(async (options) =>
  (await import('./version.ts')).printVersion(version, at(options)),
);

// `virtloom explain ... | head`: who reads has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(DONE);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? DONE : USAGE;
  else process.exitCode = report(error);
}
