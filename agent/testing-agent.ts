// For tests: an agent as a process of its own, to be killed. Its one argument is its options as JSON.
import { pino } from 'pino';
import { createHost } from '../core/host.ts';
import { KubeClient } from '../core/kube/client.ts';
import { startAgent } from './agent.ts';
import type { AgentOptions } from './agent.ts';
import { testPlugin } from './testing-plugin.ts';

export interface TestAgentOptions extends Pick<AgentOptions, 'nodeName' | 'cluster' | 'stateDir' | 'tls' | 'listen'> {
  kubeconfig: string;
  /** Of the plugin's marks. */
  dir: string;
}

const { kubeconfig, dir, ...options } = JSON.parse(process.argv[2] ?? '') as TestAgentOptions;
const log = pino({ level: process.env['LOG'] ?? 'silent' });
const client = KubeClient.fromKubeconfig(kubeconfig);
await startAgent({ ...options, client, host: createHost([{ plugin: testPlugin(dir) }], { log }), log });
