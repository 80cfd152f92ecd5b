// One HTTPS call to an admission webhook.
import { isIP } from 'node:net';
import { Agent, request as httpsRequest } from 'node:https';
import type { ResolveService } from '../environment.ts';
import { asObject, asString, isObject, type JsonObject } from '../json.ts';

/** The webhook could not be asked, or made no sense. */
export class WebhookFailure extends Error {
  override readonly name = 'WebhookFailure';
}

const MAX_ANSWER = 8 * 1024 * 1024;
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** @param config `clientConfig` of a webhook: url, or service with caBundle. */
export async function callWebhook(
  config: JsonObject,
  body: JsonObject,
  timeoutSeconds: number,
  resolveService: ResolveService,
): Promise<JsonObject> {
  const target = await targetOf(config, resolveService);
  const bundle = asString(config['caBundle']);
  const payload = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      reject(new WebhookFailure(`failed to call webhook: Post "${target.shown}": ${error.message}`));
    };
    const request = httpsRequest(
      {
        ...{ agent, method: 'POST', host: target.host, port: target.port, path: target.path },
        // An IP address is no server name; the certificate is then checked against the host.
        servername: isIP(target.serverName) === 0 ? target.serverName : '',
        ...(bundle === '' ? {} : { ca: Buffer.from(bundle, 'base64') }),
        headers: {
          host: target.serverName,
          'content-type': 'application/json',
          accept: 'application/json',
          'content-length': Buffer.byteLength(payload),
        },
        signal: AbortSignal.timeout(timeoutSeconds * 1000),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER) request.destroy(new Error('the answer is too large'));
          else chunks.push(chunk);
        });
        response.on('error', fail);
        response.on('end', () => {
          try {
            resolve(parse(response.statusCode ?? 0, Buffer.concat(chunks).toString()));
          } catch (error) {
            reject(error as Error);
          }
        });
      },
    );
    request.on('error', (error) => {
      fail(
        error.name === 'TimeoutError' || error.name === 'AbortError' ? new Error('context deadline exceeded') : error,
      );
    });
    request.end(payload);
  });
}

function parse(code: number, text: string): JsonObject {
  if (code !== 200)
    throw new WebhookFailure(`an error on the server ("${text.slice(0, 200)}") (status ${String(code)})`);
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new WebhookFailure('the answer is not JSON');
  }
  if (!isObject(answer) || !isObject(answer['response'])) throw new WebhookFailure('webhook response was absent');
  return answer;
}

interface Target {
  host: string;
  port: number;
  path: string;
  serverName: string;
  shown: string;
}

async function targetOf(config: JsonObject, resolveService: ResolveService): Promise<Target> {
  const given = asString(config['url']);
  if (given !== '') {
    const url = new URL(given);
    const port = Number(url.port === '' ? 443 : url.port);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    return { host, port, path: url.pathname + url.search, serverName: host, shown: given };
  }
  const service = asObject(config['service']);
  const [namespace, name] = [asString(service['namespace']), asString(service['name'])];
  const port = Number(service['port'] ?? 443);
  const path = asString(service['path']) || '/';
  const serverName = `${name}.${namespace}.svc`;
  const shown = `https://${serverName}:${String(port)}${path}`;
  const address = await resolveService(namespace, name, port);
  if (address === undefined) {
    throw new WebhookFailure(`failed to call webhook: Post "${shown}": service "${name}" not found`);
  }
  return { ...address, path, serverName, shown };
}
