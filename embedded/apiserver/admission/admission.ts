// Admission by webhooks: the mutating ones in turn, then the validating ones at once.
import { randomUUID } from 'node:crypto';
import type { KubeObject } from '../../../core/kube/objects.ts';
import type { Store } from '../../store/store.ts';
import type { Log, ResolveService } from '../environment.ts';
import { asArray, asObject, asString, asStrings, equal, isObject, type JsonObject } from '../json.ts';
import { apiVersion, type Served, storageKey } from '../kinds/kind.ts';
import { applyJsonPatch } from '../patch/json-patch.ts';
import { objectSelector } from '../selectors.ts';
import { ApiError, type StatusDetails } from '../status.ts';
import type { User } from '../user.ts';
import { callWebhook, WebhookFailure } from './webhook-client.ts';

const GROUP = 'admissionregistration.k8s.io';
const MUTATING = storageKey(GROUP, 'mutatingwebhookconfigurations');
const VALIDATING = storageKey(GROUP, 'validatingwebhookconfigurations');

/** What is about to happen to an object. */
export interface Review {
  operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  served: Served;
  namespace: string;
  name: string;
  subresource: string;
  object: KubeObject | undefined;
  oldObject: KubeObject | undefined;
  user: User;
  dryRun: boolean;
  options: JsonObject;
  warnings: string[];
}

interface Webhook {
  name: string;
  settings: JsonObject;
  /** The version in which its rule wants the object. */
  version: string;
}

export class Admission {
  readonly #store: Store;
  readonly #resolveService: ResolveService;
  readonly #log: Log;

  constructor(store: Store, resolveService: ResolveService, log: Log) {
    this.#store = store;
    this.#resolveService = resolveService;
    this.#log = log;
  }

  /** The object as the mutating webhooks leave it; the very same object where none changed it. */
  async mutate(review: Review): Promise<KubeObject | undefined> {
    const changedBy = new Set<string>();
    let object = await this.#mutateOnce(review, review.object, changedBy, () => true);
    if (changedBy.size > 1 || (changedBy.size === 1 && this.#matching(MUTATING, review).length > 1)) {
      const last = [...changedBy].at(-1);
      const again = (webhook: Webhook): boolean =>
        webhook.settings['reinvocationPolicy'] === 'IfNeeded' && webhook.name !== last;
      object = await this.#mutateOnce(review, object, changedBy, again);
    }
    return object;
  }

  async validate(review: Review): Promise<void> {
    const webhooks = this.#matching(VALIDATING, review);
    await Promise.all(webhooks.map((webhook) => this.#ask(webhook, review)));
  }

  async #mutateOnce(
    review: Review,
    start: KubeObject | undefined,
    changedBy: Set<string>,
    wanted: (webhook: Webhook) => boolean,
  ): Promise<KubeObject | undefined> {
    let object = start;
    for (const webhook of this.#matching(MUTATING, review).filter(wanted)) {
      const response = await this.#ask(webhook, { ...review, object });
      const patch = asString(response?.['patch']);
      if (patch === '' || object === undefined) continue;
      const before: KubeObject = { ...object, apiVersion: apiVersion(review.served.kind.group, webhook.version) };
      const operations: unknown = JSON.parse(Buffer.from(patch, 'base64').toString());
      const after = applyJsonPatch(before, operations) as KubeObject;
      if (!equal(before, after)) changedBy.add(webhook.name);
      object = { ...after, apiVersion: object.apiVersion };
    }
    return object;
  }

  #matching(storage: string, review: Review): Webhook[] {
    // A webhook cannot lock us out of webhooks.
    if (review.served.kind.group === GROUP) return [];
    const matching: Webhook[] = [];
    for (const configuration of this.#store.list(storage)) {
      for (const each of asArray(configuration['webhooks'])) {
        const settings = asObject(each);
        const version = ruleVersion(settings, review);
        if (version === undefined || !this.#selects(settings, review)) continue;
        matching.push({ name: asString(settings['name']), settings, version });
      }
    }
    return matching;
  }

  #selects(settings: JsonObject, review: Review): boolean {
    const { kind } = review.served;
    const labels = (object: KubeObject | undefined): Record<string, string> => object?.metadata.labels ?? {};
    const inObject = objectSelector(settings['objectSelector']);
    const objects = [review.object, review.oldObject].filter((object) => object !== undefined);
    if (objects.length > 0 && !objects.some((object) => inObject(labels(object)))) return false;
    const isNamespace = kind.storage === '/namespaces';
    if (!kind.namespaced && !isNamespace) return true;
    const namespace = isNamespace
      ? (review.object ?? review.oldObject)
      : this.#store.get('/namespaces', '', review.namespace);
    return objectSelector(settings['namespaceSelector'])(labels(namespace));
  }

  /** A webhook's answer; undefined where it failed and may be ignored. */
  async #ask(webhook: Webhook, review: Review): Promise<JsonObject | undefined> {
    const { settings, name } = webhook;
    const request = reviewRequest(webhook, review);
    let response: JsonObject;
    try {
      const seconds = Number(settings['timeoutSeconds'] ?? 10);
      const body = { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request };
      const answer = await callWebhook(asObject(settings['clientConfig']), body, seconds, this.#resolveService);
      response = asObject(answer['response']);
      if (response['uid'] !== request['uid'])
        throw new WebhookFailure(`expected response.uid="${String(request['uid'])}"`);
    } catch (error) {
      if (!(error instanceof WebhookFailure)) throw error;
      if (settings['failurePolicy'] === 'Ignore') {
        this.#log.warn({ webhook: name, error: error.message }, 'admission webhook failed, its policy ignores that');
        return undefined;
      }
      const message = `failed calling webhook "${name}": ${error.message}`;
      throw new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, {
        causes: [{ reason: '', message }],
      });
    }
    review.warnings.push(...asStrings(response['warnings']));
    if (response['allowed'] !== true) throw denial(name, asObject(response['status']));
    return response;
  }
}

/** The version of the first rule that matches; undefined where none does. */
function ruleVersion(settings: JsonObject, review: Review): string | undefined {
  const { kind, version } = review.served;
  const has = (list: unknown, value: string): boolean => asStrings(list).some((item) => item === '*' || item === value);
  const resource = review.subresource === '' ? kind.plural : `${kind.plural}/${review.subresource}`;
  const names = kind.versions.map((each) => each.name);
  for (const each of asArray(settings['rules'])) {
    const rule = asObject(each);
    const scope = rule['scope'] ?? '*';
    if (scope !== '*' && (scope === 'Namespaced') !== kind.namespaced) continue;
    if (!has(rule['operations'], review.operation) || !has(rule['apiGroups'], kind.group)) continue;
    const covered = asStrings(rule['resources']).some(
      (item) =>
        item === '*/*' ||
        (item === '*' && review.subresource === '') ||
        item === resource ||
        (item === `${kind.plural}/*` && review.subresource !== '') ||
        (item === `*/${review.subresource}` && review.subresource !== ''),
    );
    if (!covered) continue;
    if (has(rule['apiVersions'], version.name)) return version.name;
    const equivalent = names.find((name) => has(rule['apiVersions'], name));
    if (settings['matchPolicy'] !== 'Exact' && equivalent !== undefined) return equivalent;
  }
  return undefined;
}

function reviewRequest(webhook: Webhook, review: Review): JsonObject {
  const { kind, version } = review.served;
  const { group } = kind;
  const inVersion = (object: KubeObject | undefined): unknown =>
    object === undefined
      ? null
      : isObject(object) && review.subresource === ''
        ? { ...object, apiVersion: apiVersion(group, webhook.version) }
        : object;
  const user = review.user;
  return {
    uid: randomUUID(),
    kind: { group, version: webhook.version, kind: kind.kind },
    resource: { group, version: webhook.version, resource: kind.plural },
    ...(review.subresource === '' ? {} : { subResource: review.subresource }),
    requestKind: { group, version: version.name, kind: kind.kind },
    requestResource: { group, version: version.name, resource: kind.plural },
    ...(review.subresource === '' ? {} : { requestSubResource: review.subresource }),
    ...(review.name === '' ? {} : { name: review.name }),
    ...(review.namespace === '' ? {} : { namespace: review.namespace }),
    operation: review.operation,
    userInfo: { username: user.name, ...(user.uid === undefined ? {} : { uid: user.uid }), groups: user.groups },
    object: inVersion(review.object),
    oldObject: inVersion(review.oldObject),
    dryRun: review.dryRun,
    options: review.options,
  };
}

function denial(name: string, status: JsonObject): ApiError {
  const given = Number(status['code'] ?? 0);
  const code = given >= 400 && given < 600 ? given : 400;
  const message = asString(status['message']);
  const reason = asString(status['reason']);
  const why = message === '' ? (reason === '' ? ' without explanation' : `: ${reason}`) : `: ${message}`;
  const details = isObject(status['details']) ? (status['details'] as StatusDetails) : undefined;
  const text = `admission webhook "${name}" denied the request${why}`;
  return new ApiError(code, reason, text, details);
}
