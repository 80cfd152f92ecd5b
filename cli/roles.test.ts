import { expect, it } from 'vitest';
import { CONFIGMAPS, type Resource } from '../core/kube/objects.ts';
import { definePlugin, type KindDefinition } from '../core/plugin.ts';
import { testHost } from '../core/testing.ts';
import { componentRoles, userRoles } from './roles.ts';

const kind = (name: string, namespaced: boolean): KindDefinition => ({
  resource: { group: 'example.com', version: 'v1', plural: `${name}s`, kind: name, namespaced },
  ...{ singular: name, shortNames: [], versions: [{ name: 'v1' }], columns: [], statusSubresource: false },
});
const HOST = testHost([
  definePlugin({
    ...{ name: 'p', version: '1.0.0', core: '^1.0.0', summary: 'kinds, and reads' },
    setup: () => ({
      kinds: [kind('own', true), kind('wide', false)],
      reads: [{ resource: CONFIGMAPS, of: () => [] }],
    }),
  }),
]);

/** What a role may do with a resource. */
function verbsOf(
  roles: readonly object[],
  name: string,
  { group, plural }: Pick<Resource, 'group' | 'plural'>,
): string[] {
  type Rule = { apiGroups: string[]; resources: string[]; verbs: string[] };
  const role = (roles as { metadata: { name: string }; rules: Rule[] }[]).find(
    ({ metadata }) => metadata.name === name,
  );
  const rules = role?.rules.filter((rule) => rule.apiGroups.includes(group) && rule.resources.includes(plural)) ?? [];
  return [...new Set(rules.flatMap((rule) => rule.verbs))].sort();
}

it('lets controller and agent read what plugins say they read, and nobody write it', () => {
  const { roles } = componentRoles(HOST);
  const of = (component: string) => verbsOf(roles, `virtloom:${component}`, CONFIGMAPS);
  expect(of('controller')).toEqual(['get', 'list', 'watch']);
  expect(of('agent')).toEqual(['get', 'list']);
  expect(of('webhooks')).toEqual([]);
});

it('leaves kinds that hold for the whole cluster to its administrator', () => {
  const roles = userRoles(HOST);
  const of = (role: string, plural: string) => verbsOf(roles, `kubevirt.io:${role}`, { group: 'example.com', plural });
  for (const role of ['admin', 'edit']) {
    expect(of(role, 'owns')).toEqual(expect.arrayContaining(['create', 'patch', 'update', 'delete']));
    expect(of(role, 'wides')).toEqual(['get', 'list', 'watch']);
  }
  expect(of('view', 'wides')).toEqual(['get', 'list', 'watch']);
});
