// Asks a container whether it is well: runs one probe's exec, TCP or HTTP check once.
import { connect } from 'node:net';
import http from 'node:http';
import https from 'node:https';
import type { Container, Handler } from './pod-types.ts';
import { ProcessError, run } from './process.ts';

export interface ProbeTarget {
  /** runc's --root. */
  runcRoot: string;
  id: string;
  ip: string;
  container: Container;
}

/** Undefined when all is well, else what is wrong, in kubelet's words. */
export async function check(handler: Handler, target: ProbeTarget, timeoutMs: number): Promise<string | undefined> {
  if (handler.exec) return await checkExec(handler.exec.command ?? [], target, timeoutMs);
  if (handler.tcpSocket) {
    const port = portOf(handler.tcpSocket.port, target.container);
    return await checkTcp(handler.tcpSocket.host || target.ip, port, timeoutMs);
  }
  if (handler.httpGet) return await checkHttp(handler.httpGet, target, timeoutMs);
  return undefined;
}

async function checkExec(command: string[], target: ProbeTarget, timeoutMs: number): Promise<string | undefined> {
  try {
    await run(['runc', '--root', target.runcRoot, 'exec', target.id, ...command], { timeoutMs });
    return undefined;
  } catch (error) {
    if (!(error instanceof ProcessError)) throw error;
    return error.code === undefined ? `command timed out` : (error.stdout + error.stderr).trim() || error.message;
  }
}

function checkTcp(host: string, port: number, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (answer: string | undefined) => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('connect', () => end(undefined));
    socket.on('timeout', () => end(`dial tcp ${host}:${port}: i/o timeout`));
    socket.on('error', (error) => end(`dial tcp ${host}:${port}: ${error.message}`));
  });
}

function checkHttp(
  get: NonNullable<Handler['httpGet']>,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<string | undefined> {
  const secure = get.scheme === 'HTTPS';
  const options = {
    host: get.host || target.ip,
    port: portOf(get.port, target.container),
    path: get.path || '/',
    headers: {
      'user-agent': 'kube-probe/1.32',
      accept: '*/*',
      ...Object.fromEntries((get.httpHeaders ?? []).map(({ name, value }) => [name, value])),
    },
    timeout: timeoutMs,
    // A probe asks whether something answers; kubelet does not check certificates either.
    rejectUnauthorized: false,
    agent: false as const,
  };
  return new Promise((resolve) => {
    const request = (secure ? https : http).get(options, (response) => {
      response.resume();
      const code = response.statusCode ?? 0;
      resolve(code >= 200 && code < 400 ? undefined : `HTTP probe failed with statuscode: ${code}`);
    });
    const url = `${secure ? 'https' : 'http'}://${options.host}:${options.port}${options.path}`;
    request.on('timeout', () => request.destroy(new Error('context deadline exceeded')));
    request.on('error', (error) => resolve(`Get "${url}": ${error.message}`));
  });
}

function portOf(port: number | string, container: Container): number {
  if (typeof port === 'number') return port;
  const named = (container.ports ?? []).find((candidate) => candidate.name === port);
  return named?.containerPort ?? Number(port);
}
