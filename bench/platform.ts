// A platform in this process, and how to take it away again.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { loadInto } from '../cli/image.ts';
import { DEFAULT_CONFIG } from '../cli/paths.ts';
import { startPlatform, type PlatformOptions } from '../cli/platform.ts';
import { KubeClient } from '../core/kube/client.ts';
import { removeEverything } from '../embedded/kubelet/index.ts';
import { buildTiny, TINY_IMAGE } from '../examples/images/tiny/build.ts';

export interface BenchPlatform {
  readonly client: KubeClient;
  readonly kubeconfig: string;
  dispose(): Promise<void>;
}

export async function benchPlatform(options: Pick<PlatformOptions, 'onRequest'> = {}): Promise<BenchPlatform> {
  const stateDir = mkdtempSync(join(tmpdir(), 'virtloom-bench-'));
  await loadInto(stateDir, buildTiny().layout, TINY_IMAGE);
  const platform = await startPlatform({
    ...options,
    stateDir,
    config: DEFAULT_CONFIG,
    port: 0,
    podCidr: '10.88.0.0/16',
    bridge: 'vlbench0',
    metricsPort: 0,
    log: pino({ level: 'silent' }),
    progress: () => undefined,
  });
  const client = KubeClient.fromKubeconfig(platform.kubeconfig);
  return {
    client,
    kubeconfig: platform.kubeconfig,
    async dispose() {
      client.close();
      await platform.stop();
      await removeEverything(join(stateDir, 'kubelet'));
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}
