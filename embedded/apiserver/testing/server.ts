// For tests: a server in a directory of its own, kubectl and plain HTTPS to talk to it, all removed at the end.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ApiServer, type ApiServerOptions, type KeyPair, startApiServer } from '../index.ts';
import type { JsonObject } from '../json.ts';

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

export interface HttpAnswer {
  code: number;
  body: JsonObject;
  warnings: string;
}

export interface TestServer {
  server: ApiServer;
  dir: string;
  /** Runs kubectl as the administrator; `input` goes to its standard input. */
  kubectl(args: string[], input?: string, env?: Record<string, string>): Promise<Output>;
  http(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<HttpAnswer>;
  close(): Promise<void>;
}

const silent = {
  info: () => undefined,
  warn: () => undefined,
  error: (fields: object, message: string) => {
    console.error(message, fields);
  },
};

export async function startTestServer(options: Partial<ApiServerOptions> = {}): Promise<TestServer> {
  const dir = mkdtempSync(join(tmpdir(), 'vl-api-'));
  const server = await startApiServer({
    ...{ dataDir: join(dir, 'data'), port: 0, log: silent },
    ...{ resolveService: () => undefined, resolveKubelet: () => undefined },
    ...options,
  });
  const config = join(dir, 'kubeconfig');
  writeFileSync(config, server.kubeconfig, { mode: 0o600 });
  const admin = server.issueClientCert('admin', ['system:masters']);
  return {
    server,
    dir,
    kubectl: (args, input, env) =>
      run(['--kubeconfig', config, '--cache-dir', join(dir, 'cache'), ...args], input, env),
    http: (method, path, body, headers) => http(server, admin, method, path, body, headers),
    async close() {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function run(args: string[], input = '', env: Record<string, string> = {}): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn('kubectl', args, { env: { ...process.env, ...env } });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code: code ?? -1, stdout, stderr });
    });
    child.stdin.end(input);
  });
}

export function http(
  server: ApiServer,
  client: KeyPair,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const length = payload === undefined ? {} : { 'content-length': String(Buffer.byteLength(payload)) };
    const request = httpsRequest(
      `${server.url}${path}`,
      { method, ca: server.ca, ...client, headers: { 'content-type': 'application/json', ...length, ...headers } },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.once('end', () => {
          const warnings = String(response.headers.warning ?? '');
          const isJson = response.headers['content-type']?.includes('json') === true;
          resolve({
            code: response.statusCode ?? 0,
            body: (isJson ? JSON.parse(text) : { text }) as JsonObject,
            warnings,
          });
        });
      },
    );
    request.once('error', reject);
    request.end(payload);
  });
}

/** Waits until `check` answers something, at most `seconds`. */
export async function eventually<T>(check: () => Promise<T | undefined> | T | undefined, seconds = 10): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`nothing after ${String(seconds)} s: ${check.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A CRD that uses most of what CRDs can. */
export const MACHINE_CRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: machines.example.io}
spec:
  group: example.io
  scope: Namespaced
  names: {plural: machines, kind: Machine, shortNames: [mc], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Phase, type: string, jsonPath: .status.phase}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Cores, type: integer, jsonPath: .spec.cpu.cores, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        description: A machine
        required: [spec]
        properties:
          spec:
            type: object
            description: What is wanted
            properties:
              running: {type: boolean, default: false}
              replicas: {type: integer}
              cpu: {type: object, properties: {cores: {type: integer, minimum: 1, description: How many}}}
              extra: {type: object, x-kubernetes-preserve-unknown-fields: true}
              disks:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, size: {x-kubernetes-int-or-string: true}}}
          status:
            type: object
            properties:
              phase: {type: string}
              replicas: {type: integer}
              conditions: {type: array, items: {type: object, properties: {type: {type: string}, status: {type: string}}}}
  - name: v1alpha1
    served: true
    storage: false
    deprecated: true
    deprecationWarning: example.io/v1alpha1 is going
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`;

export const MACHINE = `
apiVersion: example.io/v1
kind: Machine
metadata: {name: one, labels: {app: a}}
spec: {cpu: {cores: 2}, extra: {free: {form: 1}}, disks: [{name: root, size: 1Gi}]}
`;
