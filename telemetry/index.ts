export { serveMetrics } from './server.ts';
export { Telemetry } from './telemetry.ts';
