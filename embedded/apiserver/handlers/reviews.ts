// Kinds that answer a question: who am I, may I, is this token good.
import { parseBody } from '../decode.ts';
import type { Answer, Call, Environment } from '../environment.ts';
import { asObject, asString, asStrings, isObject, type JsonObject } from '../json.ts';
import { apiVersion, type Served } from '../kinds/kind.ts';
import { type Attributes, type Rule } from '../rbac.ts';
import type { ResourceRequest } from '../request-info.ts';
import { badRequest } from '../status.ts';
import { AUTHENTICATED, MASTERS, type User } from '../user.ts';

export function review(
  env: Environment,
  call: Call,
  target: ResourceRequest,
  { kind, version }: Served,
  text: string,
  type: string,
): Answer {
  const body = parseBody(text, type);
  if (!isObject(body)) throw badRequest('the body of the request is not an object');
  const spec = asObject(body['spec']);
  const status = answer(env, call, target, kind.kind, spec);
  const head = { kind: kind.kind, apiVersion: apiVersion(kind.group, version.name) };
  return { code: 201, body: { ...head, metadata: asObject(body['metadata']), spec, status } };
}

function answer(env: Environment, call: Call, target: ResourceRequest, kind: string, spec: JsonObject): JsonObject {
  switch (kind) {
    case 'TokenReview': {
      const user = env.authenticator.token(asString(spec['token']));
      if (user === undefined) return { authenticated: false, error: 'invalid bearer token' };
      return { authenticated: true, user: userInfo({ ...user, groups: [...user.groups, AUTHENTICATED] }) };
    }
    case 'SelfSubjectReview':
      return { userInfo: userInfo(call.user) };
    case 'SelfSubjectRulesReview':
      return rulesStatus(env, call.user, asString(spec['namespace']));
    case 'SelfSubjectAccessReview':
      return access(env, call.user, spec, '');
    default: {
      const user = { name: asString(spec['user']), groups: asStrings(spec['groups']) };
      return access(env, user, spec, kind === 'LocalSubjectAccessReview' ? target.namespace : '');
    }
  }
}

function userInfo(user: User): JsonObject {
  return { username: user.name, groups: user.groups, ...(user.uid === undefined ? {} : { uid: user.uid }) };
}

function access(env: Environment, user: User, spec: JsonObject, namespace: string): JsonObject {
  const allowed = env.rbac.allows(user, attributesOf(spec, namespace));
  return allowed ? { allowed, reason: 'RBAC: allowed by a role of the user' } : { allowed };
}

function attributesOf(spec: JsonObject, namespace: string): Attributes {
  const resource = asObject(spec['resourceAttributes']);
  const path = asObject(spec['nonResourceAttributes']);
  return {
    verb: asString(spec['resourceAttributes'] === undefined ? path['verb'] : resource['verb']),
    group: asString(resource['group']),
    resource: asString(resource['resource']),
    subresource: asString(resource['subresource']),
    namespace: namespace || asString(resource['namespace']),
    name: asString(resource['name']),
    ...(spec['nonResourceAttributes'] === undefined ? {} : { path: asString(path['path']) }),
  };
}

const EVERYTHING: Rule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'], resourceNames: [], nonResourceURLs: [] },
  { verbs: ['*'], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: ['*'] },
];

function rulesStatus(env: Environment, user: User, namespace: string): JsonObject {
  const rules = user.groups.includes(MASTERS) ? EVERYTHING : env.rbac.rules(user, namespace);
  const resourceRules = rules
    .filter((rule) => rule.resources.length > 0)
    .map(({ verbs, apiGroups, resources, resourceNames }) => ({
      ...{ verbs, apiGroups, resources },
      ...(resourceNames.length > 0 ? { resourceNames } : {}),
    }));
  const nonResourceRules = rules
    .filter((rule) => rule.nonResourceURLs.length > 0)
    .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs }));
  return { resourceRules, nonResourceRules, incomplete: false };
}
