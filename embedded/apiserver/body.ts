// Reads request bodies, up to a limit.
import type { IncomingMessage } from 'node:http';
import { bodyType } from './negotiate.ts';
import { decodeProtobuf, isProtobuf } from './protobuf/decode.ts';
import { ApiError } from './status.ts';

/** As Kubernetes: what a request may carry. */
const MAX_BODY = 3 * 1024 * 1024;

/** A body as text, with its media type; protobuf comes out as JSON. */
export interface Body {
  text: string;
  type: string;
}

export async function readBody(request: IncomingMessage): Promise<Body> {
  const type = bodyType(request.headers['content-type']);
  const chunks: Buffer[] = [];
  let size = 0;
  // The rest of a body that is too large is let go by, so that the client reads why.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) {
      const message = `Request entity too large: limit is ${String(MAX_BODY)}`;
      throw new ApiError(413, 'RequestEntityTooLarge', message);
    }
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (!isProtobuf(type)) return { text: body.toString('utf8'), type };
  return { text: body.length === 0 ? '' : JSON.stringify(decodeProtobuf(body)), type: 'application/json' };
}
