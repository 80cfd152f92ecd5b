// watch: a stream of changes as JSON lines, with bookmarks.
import type { KubeObject } from '../../../core/kube/objects.ts';
import type { Change } from '../../store/store.ts';
import type { Call, Environment } from '../environment.ts';
import { apiVersion, type Served } from '../kinds/kind.ts';
import { shapeOf } from '../negotiate.ts';
import { isTrue, type ResourceRequest } from '../request-info.ts';
import { badRequest, expired } from '../status.ts';
import { partial, table } from '../table.ts';
import { present } from '../versions.ts';
import { includeOf, predicateOf, select } from './read.ts';

const BOOKMARK_EVERY_MS = 60_000;
const DEFAULT_TIMEOUT_S = 30 * 60;
/** A client that does not read gets cut off rather than fill our memory; it lists and watches anew. */
const MAX_BUFFERED = 32 * 1024 * 1024;
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

export function watch(env: Environment, call: Call, target: ResourceRequest, served: Served): void {
  const { query, response } = call;
  const { storage } = served.kind;
  const asked = query.get('resourceVersion') ?? '';
  if (!/^\d*$/.test(asked)) throw badRequest(`resourceVersion: Invalid value: "${asked}"`);
  const wantsInitial = query.get('sendInitialEvents') === 'true';
  const startsNow = asked === '' || asked === '0' || wantsInitial;
  const matches = predicateOf(query, served);
  const inScope = (object: KubeObject): boolean =>
    (target.namespace === '' || object.metadata.namespace === target.namespace) && matches(object);
  const encode = encoder(call, served);

  const send = (type: string, object: KubeObject): void => {
    if (response.writableLength > MAX_BUFFERED) response.destroy();
    else response.write(`${JSON.stringify({ type, object: encode(type, object) })}\n`);
  };
  const deliver = (change: Change): void => {
    const is = inScope(change.object);
    const was = change.old !== undefined && inScope(change.old);
    if (change.type === 'DELETED') {
      if (was) send('DELETED', change.object);
    } else if (is) send(was ? 'MODIFIED' : 'ADDED', change.object);
    // It left the selection: gone, as far as this watcher is concerned.
    else if (was) send('DELETED', asOf(change.old ?? change.object, change.revision));
  };
  const bookmark = (annotations?: Record<string, string>): void => {
    const resourceVersion = String(env.store.revision);
    const head = { kind: served.kind.kind, apiVersion: apiVersion(served.kind.group, served.version.name) };
    const metadata = { resourceVersion, creationTimestamp: null, ...(annotations ? { annotations } : {}) };
    send('BOOKMARK', { ...head, metadata } as unknown as KubeObject);
  };

  const revision = startsNow ? env.store.revision : Number(asked);
  const started = env.store.watch(storage, revision, deliver);
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  response.flushHeaders();
  response.socket?.setNoDelay(true);
  if (started === undefined) {
    const refusal = expired(`too old resource version: ${asked} (${String(env.store.revision)})`);
    response.end(`${JSON.stringify({ type: 'ERROR', object: refusal.body() })}\n`);
    return;
  }
  if (startsNow && query.get('sendInitialEvents') !== 'false') {
    for (const object of select(env, query, target, served)) send('ADDED', object);
  }
  const allowsBookmarks = isTrue(query.get('allowWatchBookmarks'));
  if (wantsInitial && allowsBookmarks) bookmark({ [INITIAL_EVENTS_END]: 'true' });
  for (const change of started.missed) deliver(change);

  const seconds = Number(query.get('timeoutSeconds') ?? 0) || DEFAULT_TIMEOUT_S;
  const timeout = setTimeout(() => response.end(), seconds * 1000);
  const ticker = allowsBookmarks ? setInterval(bookmark, BOOKMARK_EVERY_MS) : undefined;
  response.once('close', () => {
    clearTimeout(timeout);
    clearInterval(ticker);
    started.stop();
  });
}

function encoder(call: Call, served: Served): (type: string, object: KubeObject) => unknown {
  const shape = shapeOf(call.request.headers.accept ?? '');
  if (shape === 'plain') return (type, object) => (type === 'BOOKMARK' ? object : present(object, served));
  if (shape === 'partial') return (_, object) => partial(object);
  let isFirst = true;
  return (type, object) => {
    const { resourceVersion } = object.metadata;
    const objects = type === 'BOOKMARK' ? [] : [present(object, served)];
    const made = table(objects, served.version, includeOf(call), { resourceVersion });
    // The columns come with the first event only, as Kubernetes has it.
    if (!isFirst) made['columnDefinitions'] = null;
    isFirst = false;
    return made;
  };
}

function asOf(object: KubeObject, revision: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}
