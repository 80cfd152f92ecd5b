// Reads request bodies, up to a limit.
import type { IncomingMessage } from 'node:http';
import { ApiError } from './status.ts';

/** As Kubernetes: what a request may carry. */
const MAX_BODY = 3 * 1024 * 1024;

export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) {
      const message = `Request entity too large: limit is ${String(MAX_BODY)}`;
      throw new ApiError(413, 'RequestEntityTooLarge', message);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
