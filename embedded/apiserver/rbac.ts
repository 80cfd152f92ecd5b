// Decides by roles and bindings what a user may do.
import type { Store } from '../store/store.ts';
import { asArray, asObject, asString, asStrings, at, type JsonObject } from './json.ts';
import { storageKey } from './kinds/kind.ts';
import { MASTERS, type User } from './user.ts';

/** What a request wants to do: to a resource, or (where `path` is set) to a path of the server's own. */
export interface Attributes {
  verb: string;
  group: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  path?: string;
}

export interface Rule {
  verbs: string[];
  apiGroups: string[];
  resources: string[];
  resourceNames: string[];
  nonResourceURLs: string[];
}

const GROUP = 'rbac.authorization.k8s.io';
export const RBAC_STORAGE = {
  roles: storageKey(GROUP, 'roles'),
  roleBindings: storageKey(GROUP, 'rolebindings'),
  clusterRoles: storageKey(GROUP, 'clusterroles'),
  clusterRoleBindings: storageKey(GROUP, 'clusterrolebindings'),
};

export class Rbac {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  allows(user: User, attributes: Attributes): boolean {
    if (user.groups.includes(MASTERS)) return true;
    return this.rules(user, attributes.namespace).some((rule) => matches(rule, attributes));
  }

  /** Every rule that holds for a user in a namespace (cluster-wide ones included). */
  rules(user: User, namespace: string): Rule[] {
    const rules: Rule[] = [];
    for (const binding of this.#store.list(RBAC_STORAGE.clusterRoleBindings)) {
      if (binds(binding, user, '')) rules.push(...this.roleRules(binding, ''));
    }
    if (namespace === '') return rules;
    for (const binding of this.#store.list(RBAC_STORAGE.roleBindings, namespace)) {
      if (binds(binding, user, namespace)) rules.push(...this.roleRules(binding, namespace));
    }
    return rules;
  }

  /** The rules of the role that a binding points to. */
  roleRules(binding: JsonObject, namespace: string): Rule[] {
    const reference = asObject(binding['roleRef']);
    const name = asString(reference['name']);
    const role =
      reference['kind'] === 'Role'
        ? this.#store.get(RBAC_STORAGE.roles, namespace, name)
        : this.#store.get(RBAC_STORAGE.clusterRoles, '', name);
    return role === undefined ? [] : rulesOf(role);
  }

  /** Whether a user already holds everything that `wanted` would give: nobody hands out more than they have. */
  covers(user: User, namespace: string, wanted: Rule[]): boolean {
    if (user.groups.includes(MASTERS)) return true;
    const owned = this.rules(user, namespace);
    return wanted.every((rule) => singles(rule).every((single) => owned.some((own) => matches(own, single))));
  }
}

export function rulesOf(role: JsonObject): Rule[] {
  return asArray(role['rules']).map((rule) => ({
    verbs: asStrings(at(rule, 'verbs')),
    apiGroups: asStrings(at(rule, 'apiGroups')),
    resources: asStrings(at(rule, 'resources')),
    resourceNames: asStrings(at(rule, 'resourceNames')),
    nonResourceURLs: asStrings(at(rule, 'nonResourceURLs')),
  }));
}

function binds(binding: JsonObject, user: User, namespace: string): boolean {
  return asArray(binding['subjects']).some((each) => {
    const subject = asObject(each);
    const name = asString(subject['name']);
    if (subject['kind'] === 'User') return name === user.name;
    if (subject['kind'] === 'Group') return user.groups.includes(name);
    return user.name === `system:serviceaccount:${asString(subject['namespace']) || namespace}:${name}`;
  });
}

function matches(rule: Rule, wanted: Attributes): boolean {
  if (!has(rule.verbs, wanted.verb)) return false;
  if (wanted.path !== undefined) {
    const { path } = wanted;
    return rule.nonResourceURLs.some((url) => url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1))));
  }
  const resource = wanted.subresource === '' ? wanted.resource : `${wanted.resource}/${wanted.subresource}`;
  return (
    has(rule.apiGroups, wanted.group) &&
    (has(rule.resources, resource) ||
      (wanted.subresource !== '' && rule.resources.includes(`*/${wanted.subresource}`))) &&
    (rule.resourceNames.length === 0 || rule.resourceNames.includes(wanted.name))
  );
}

function has(list: string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

/** A rule taken apart into single permissions; `*` stays `*`, which only `*` covers. */
function singles(rule: Rule): Attributes[] {
  const none = { group: '', resource: '', subresource: '', namespace: '', name: '' };
  return rule.verbs.flatMap((verb) => [
    ...rule.nonResourceURLs.map((path) => ({ ...none, verb, path })),
    ...rule.apiGroups.flatMap((group) =>
      rule.resources.flatMap((each) => {
        const [resource = '', subresource = ''] = each.split('/');
        const names = rule.resourceNames.length === 0 ? [''] : rule.resourceNames;
        return names.map((name) => ({ ...none, verb, group, resource, subresource, name }));
      }),
    ),
  ]);
}
