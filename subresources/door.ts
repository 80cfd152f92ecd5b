// Who comes in and to what: the same for verbs and streams.
import type { IncomingMessage } from 'node:http';
import type { KubeClient } from '../core/index.ts';
import { assertAllowed } from './access.ts';
import { callerOf } from './caller.ts';
import type { Caller } from './caller.ts';
import type { Match, Routes } from './routes.ts';
import { noSuchPath, notImplemented } from './status.ts';
import { targetOf } from './target.ts';
import type { Target } from './target.ts';

export class Door {
  readonly #client: KubeClient;
  readonly #frontProxies: readonly string[];
  readonly #routes: Routes;

  constructor(client: KubeClient, frontProxies: readonly string[], routes: Routes) {
    this.#client = client;
    this.#frontProxies = frontProxies;
    this.#routes = routes;
  }

  /** @throws KubeError 401, 403, 404, 501 */
  async enter(request: IncomingMessage): Promise<{ caller: Caller; target: Target; match: Match }> {
    const method = request.method ?? '';
    const caller = callerOf(request, this.#frontProxies);
    const target = targetOf((request.url ?? '').split('?', 1)[0] ?? '');
    if (target === undefined) throw noSuchPath();
    await assertAllowed(this.#client, caller, method, target);
    const match = this.#routes.match(target.resource, target.path).find(({ route }) => route.method === method);
    if (match === undefined) throw noSuchPath();
    if (match.route.by === undefined) {
      const what = `${target.resource}/${target.path}`;
      throw notImplemented(`${what} is not provided by any enabled plugin; enable the one that does`);
    }
    return { caller, target, match };
  }
}
