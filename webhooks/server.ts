// The admission server: fastify over TLS, two paths.
import fastify from 'fastify';
import type { Logger } from 'pino';
import type { Host } from '../core/host.ts';
import { mutate, validate, type ReviewRequest, type ReviewResponse } from './review.ts';

export const MUTATE_PATH = '/mutate';
export const VALIDATE_PATH = '/validate';

export interface WebhookOptions {
  readonly host: Host;
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string };
  /** 0 picks a free one. */
  readonly port: number;
  readonly address: string;
  readonly log: Logger;
}

const REVIEW = {
  type: 'object',
  required: ['request'],
  properties: {
    apiVersion: { const: 'admission.k8s.io/v1' },
    request: {
      type: 'object',
      required: ['uid', 'operation'],
      properties: {
        uid: { type: 'string', minLength: 1 },
        operation: { enum: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'] },
        object: { type: ['object', 'null'], required: ['metadata', 'kind'] },
        oldObject: { type: ['object', 'null'], required: ['metadata', 'kind'] },
      },
    },
  },
} as const;

/** The largest object an API server sends, and its old self beside it. */
const BODY_LIMIT = 8 << 20;

export async function startWebhooks(options: WebhookOptions): Promise<{ port: number; stop(): Promise<void> }> {
  const server = fastify({
    https: { ...options.tls, minVersion: 'TLSv1.2' },
    bodyLimit: BODY_LIMIT,
    // A field of such a name is unknown like any other, and has to be refused by name.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
  });
  const serve = (path: string, judge: (host: Host, request: ReviewRequest) => Promise<ReviewResponse>): void => {
    server.post<{ Body: { request: ReviewRequest } }>(path, { schema: { body: REVIEW } }, async ({ body }) => ({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: await judge(options.host, body.request),
    }));
  };
  serve(MUTATE_PATH, mutate);
  serve(VALIDATE_PATH, validate);
  server.get('/healthz', async () => 'ok');
  server.setErrorHandler(async (error: Error & { statusCode?: number }, _, reply) => {
    options.log.warn({ err: error }, 'not an admission review');
    await reply.code(error.statusCode ?? 500).send({ message: error.message });
  });
  await server.listen({ port: options.port, host: options.address });
  const address = server.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    stop: () => server.close(),
  };
}
