// Roles and bindings: nobody gives away more than they have.
import { asObject, asString } from '../json.ts';
import { Rbac, rulesOf } from '../rbac.ts';
import { requiredValue } from '../schema/validate.ts';
import { forbidden } from '../status.ts';
import type { Strategy } from './strategy.ts';

const GROUP = 'rbac.authorization.k8s.io';

export const roleStrategy: Strategy = {
  validate(role, _, { store, user }) {
    const namespace = role.metadata.namespace ?? '';
    if (new Rbac(store).covers(user, namespace, rulesOf(role))) return [];
    const plural = namespace === '' ? 'clusterroles' : 'roles';
    const why = `user "${user.name}" is attempting to grant RBAC permissions not currently held`;
    throw forbidden({ group: GROUP, plural }, role.metadata.name ?? '', why);
  },
};

export const roleBindingStrategy: Strategy = {
  prepare(binding) {
    const subjects = (Array.isArray(binding['subjects']) ? (binding['subjects'] as unknown[]) : []).map((each) => {
      const subject = asObject(each);
      const group = subject['kind'] === 'ServiceAccount' ? '' : GROUP;
      return { ...(group === '' ? {} : { apiGroup: group }), ...subject };
    });
    const roleRef = { apiGroup: GROUP, ...asObject(binding['roleRef']) };
    return { ...binding, ...(subjects.length > 0 ? { subjects } : {}), roleRef };
  },
  validate(binding, old, { store, user }) {
    const roleRef = asObject(binding['roleRef']);
    if (asString(roleRef['name']) === '') return [requiredValue('roleRef.name')];
    const before = asObject(old?.['roleRef']);
    if (old !== undefined && (before['name'] !== roleRef['name'] || before['kind'] !== roleRef['kind'])) {
      const message = `Invalid value: ${JSON.stringify(roleRef)}: cannot change roleRef`;
      return [{ reason: 'FieldValueInvalid', message, field: 'roleRef' }];
    }
    const namespace = binding.metadata.namespace ?? '';
    const rbac = new Rbac(store);
    const binds = {
      ...{ verb: 'bind', group: GROUP, resource: roleRef['kind'] === 'Role' ? 'roles' : 'clusterroles' },
      ...{ subresource: '', namespace, name: asString(roleRef['name']) },
    };
    if (rbac.allows(user, binds) || rbac.covers(user, namespace, rbac.roleRules(binding, namespace))) return [];
    const plural = namespace === '' ? 'clusterrolebindings' : 'rolebindings';
    const why = `user "${user.name}" is attempting to grant RBAC permissions not currently held`;
    throw forbidden({ group: GROUP, plural }, binding.metadata.name ?? '', why);
  },
};
