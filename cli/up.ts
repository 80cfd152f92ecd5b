// `virtloom up`: the platform in the foreground, until it is told to stop; guests outlive it.
import { rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { Exit, REFUSED, report, USAGE } from './exit.ts';
import { loadInto } from './image.ts';
import { takeStateDir } from './lock.ts';
import { startPlatform, type Platform } from './platform.ts';

export interface UpOptions {
  readonly stateDir: string;
  readonly config: string;
  readonly port: number;
  readonly podCidr: string;
  readonly bridge: string;
  readonly metricsPort: number;
  readonly logLevel: string;
  /** `NAME=LAYOUT`, each loaded into the image store before the node starts. */
  readonly loadImage: readonly string[];
}

export async function up(options: UpOptions): Promise<void> {
  if (process.getuid?.() !== 0) throw new Exit(REFUSED, 'virtloom up makes namespaces and networks: run it as root');
  const stateDir = resolve(options.stateDir);
  const images = options.loadImage.map(parseImage);
  const release = takeStateDir(stateDir);
  const log = pino({ level: options.logLevel, base: null }, pino.destination({ dest: 2, sync: false }));
  const progress = (line: string): void => console.log(`  ${line}`);
  const ready = join(stateDir, 'ready');
  rmSync(ready, { force: true });
  console.log(`Virtloom starts in ${stateDir}`);
  // A signal during the start stops what has been started so far.
  const told = Promise.withResolvers<NodeJS.Signals>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => told.resolve(signal));
  try {
    for (const { name, source } of images) {
      await loadInto(stateDir, source, name);
      progress(`image ${name} is loaded`);
    }
    const platform = await startPlatform({ ...options, stateDir, log, progress });
    writeFileSync(ready, `${platform.server}\n`);
    greet(platform);
    await told.promise;
    console.log('\nStopping. Guests go on; "npm start" adopts them, "npx virtloom down" ends them.');
    await platform.stop();
  } catch (error) {
    process.exitCode = report(error);
  } finally {
    rmSync(ready, { force: true });
    release();
  }
  // Connections that clients keep open must not hold us.
  process.exit();
}

function parseImage(text: string): { name: string; source: string } {
  const equals = text.lastIndexOf('=');
  if (equals <= 0) throw new Exit(USAGE, `--load-image ${text}: NAME=LAYOUT is needed`);
  return { name: text.slice(0, equals), source: resolve(text.slice(equals + 1)) };
}

function greet(platform: Platform): void {
  console.log(`
Virtloom is up. In another terminal:

  export KUBECONFIG=${platform.kubeconfig}
  kubectl apply -f examples/vm-tiny.yaml
  npx virtloom start tiny
  npx virtloom console tiny          # ^] ends it

Ctrl-C stops the platform and leaves guests running.`);
}
