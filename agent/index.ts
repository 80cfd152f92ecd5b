// The agent's public entry.
export { startAgent } from './agent.ts';
export type { Agent, AgentOptions } from './agent.ts';
export type { ServerTls } from './server.ts';
