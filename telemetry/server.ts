// /metrics for Prometheus, on loopback: what is told there is nobody else's business without authentication.
import fastify from 'fastify';
import type { Logger } from 'pino';
import { messageOf } from '../core/errors.ts';
import type { Telemetry } from './telemetry.ts';

const LOOPBACK = '127.0.0.1';

/** Port 0 picks a free one. Rejects with an Error that says what to do where the port is taken. */
export async function serveMetrics(
  telemetry: Telemetry,
  { port, log }: { readonly port: number; readonly log: Logger },
): Promise<{ url: string; stop(): Promise<void> }> {
  const server = fastify();
  server.get('/metrics', async (_, reply) => {
    const { text, contentType } = await telemetry.scrape();
    return reply.header('content-type', contentType).send(text);
  });
  server.setErrorHandler(async (error: Error, _, reply) => {
    log.warn({ err: error }, 'metrics could not be gathered');
    return reply.code(500).send(messageOf(error));
  });
  const address = await server.listen({ host: LOOPBACK, port }).catch((error: unknown) => {
    throw new Error(`metrics cannot be served on port ${port}: ${messageOf(error)}. Choose another by --metrics-port.`);
  });
  return { url: `${address}/metrics`, stop: () => server.close() };
}
