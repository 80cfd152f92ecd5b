// One gRPC call over a unix socket, by a .proto file.
import { fileURLToPath } from 'node:url';

export interface GrpcCall {
  /** The .proto file that has the service. */
  readonly proto: URL;
  /** With its package: `grpc.health.v1.Health`. */
  readonly service: string;
  readonly method: string;
  /** Fields by their names in the .proto file. */
  readonly request: object;
  /** Path of the socket. */
  readonly socket: string;
  readonly timeoutMs: number;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
}

/**
 * Makes the call and gives the answer's fields by their names in the .proto file, `bytes` as Buffers, those not sent at
 * their defaults. Rejects with an Error `<method>: <status>: <details>`, with the signal's reason when cancelled.
 */
export async function grpcCall<Answer>(call: GrpcCall): Promise<Answer> {
  call.signal?.throwIfAborted();
  // Loaded by who calls, not by every process that knows this file.
  const [grpc, { load }] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')]);
  const definition = await load(fileURLToPath(call.proto), { keepCase: true, defaults: true, longs: Number });
  const service = definition[call.service];
  const method = service && !('format' in service) ? service[call.method] : undefined;
  if (typeof method !== 'object' || !('requestSerialize' in method)) {
    throw new TypeError(`${fileURLToPath(call.proto)} has no ${call.service}.${call.method}`);
  }
  const options = { 'grpc.enable_http_proxy': 0, 'grpc.use_local_subchannel_pool': 1 };
  const client = new grpc.Client(`unix:${call.socket}`, grpc.credentials.createInsecure(), options);
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const deadline = Date.now() + call.timeoutMs;
      const running = client.makeUnaryRequest(
        method.path,
        (request: object) => method.requestSerialize(request),
        (bytes) => method.responseDeserialize(bytes) as Answer,
        call.request,
        { deadline },
        (error, answer) => {
          if (call.signal?.aborted) reject(call.signal.reason as Error);
          else if (error)
            reject(new Error(`${call.method}: ${grpc.status[error.code]}: ${error.details}`, { cause: error }));
          else if (answer === undefined) reject(new Error(`${call.method}: no answer`));
          else resolve(answer);
        },
      );
      call.signal?.addEventListener('abort', () => running.cancel(), { once: true });
    });
  } finally {
    client.close();
  }
}
