// Which verb a request means: the plugins' verbs, our streams, and the rest of what KubeVirt has.
import type { Verb } from '../core/index.ts';

type Method = 'GET' | 'PUT';

/** What streams: taken to the agent of the VMI's node. */
export const STREAMS = ['console', 'vnc'] as const;
export type Stream = (typeof STREAMS)[number];

/** KubeVirt 1.9's verbs: `<method> <resource>/<path>`. One that nobody provides answers 501, not 404. */
const KUBEVIRT: readonly string[] = [
  ...['start', 'stop', 'restart', 'migrate', 'addvolume', 'removevolume', 'memorydump', 'removememorydump'].map(
    (verb) => `PUT virtualmachines/${verb}`,
  ),
  'PUT virtualmachines/evacuate/cancel',
  ...['expand-spec', 'objectgraph', 'portforward/{port}', 'portforward/{port}/{protocol}'].map(
    (verb) => `GET virtualmachines/${verb}`,
  ),
  ...['pause', 'unpause', 'freeze', 'unfreeze', 'reset', 'softreboot', 'addvolume', 'removevolume', 'backup'].map(
    (verb) => `PUT virtualmachineinstances/${verb}`,
  ),
  ...['redefine-checkpoint', 'sev/setupsession', 'sev/injectlaunchsecret', 'evacuate/cancel'].map(
    (verb) => `PUT virtualmachineinstances/${verb}`,
  ),
  ...[
    'console',
    'vnc',
    'vnc/screenshot',
    'usbredir',
    'vsock',
    'portforward/{port}',
    'portforward/{port}/{protocol}',
  ].map((verb) => `GET virtualmachineinstances/${verb}`),
  ...[
    'guestosinfo',
    'userlist',
    'filesystemlist',
    'objectgraph',
    'sev/fetchcertchain',
    'sev/querylaunchmeasurement',
  ].map((verb) => `GET virtualmachineinstances/${verb}`),
];

export interface Route {
  method: Method;
  resource: string;
  /** With its parameters: `portforward/{port}`. */
  path: string;
  /** Absent: nobody provides it. */
  by?: { verb: Verb } | { stream: Stream };
}

export interface Match {
  route: Route;
  /** By the names in the route's path. */
  parameters: Record<string, string>;
}

export class Routes {
  readonly #routes: Route[];

  constructor(verbs: readonly Verb[]) {
    const byKey = new Map<string, Route>();
    for (const line of KUBEVIRT) {
      const [method, key] = line.split(' ') as [Method, string];
      const slash = key.indexOf('/');
      byKey.set(line, { method, resource: key.slice(0, slash), path: key.slice(slash + 1) });
    }
    for (const stream of STREAMS) {
      const route: Route = { method: 'GET', resource: 'virtualmachineinstances', path: stream, by: { stream } };
      byKey.set(keyOf(route), route);
    }
    for (const verb of verbs) {
      const { method, resource, name: path } = verb;
      const route: Route = { method, resource, path, by: { verb } };
      const before = byKey.get(keyOf(route));
      if (before?.by !== undefined)
        throw new Error(`verb ${keyOf(route)} is there twice; disable one of the plugins that give it`);
      byKey.set(keyOf(route), route);
    }
    this.#routes = [...byKey.values()];
  }

  /** Those that somebody provides. */
  get provided(): Route[] {
    return this.#routes.filter((route) => route.by !== undefined);
  }

  /** All routes that fit the path, whatever their method. */
  match(resource: string, path: string): Match[] {
    const parts = path.split('/');
    const matches: Match[] = [];
    for (const route of this.#routes) {
      const parameters = route.resource === resource ? fit(route.path.split('/'), parts) : undefined;
      if (parameters !== undefined) matches.push({ route, parameters });
    }
    return matches;
  }
}

function keyOf(route: Route): string {
  return `${route.method} ${route.resource}/${route.path}`;
}

function fit(pattern: string[], parts: string[]): Record<string, string> | undefined {
  if (pattern.length !== parts.length) return undefined;
  const parameters: Record<string, string> = {};
  for (const [index, wanted] of pattern.entries()) {
    const part = parts[index] ?? '';
    const [, parameter] = /^\{(\w+)\}$/.exec(wanted) ?? [];
    if (parameter !== undefined) parameters[parameter] = part;
    else if (wanted !== part) return undefined;
  }
  return parameters;
}
