// What a request is about, read from its path.

export const GROUP = 'subresources.kubevirt.io';
export const VERSIONS = ['v1', 'v1alpha3'] as const;

/** Of /apis/subresources.kubevirt.io/<version>/namespaces/<namespace>/<resource>/<name>/<path>. */
export interface Target {
  version: string;
  namespace: string;
  /** Plural: virtualmachines, virtualmachineinstances. */
  resource: string;
  name: string;
  /** `console`, `portforward/22/tcp`. */
  path: string;
}

/** Names of objects and namespaces: DNS subdomains. Anything else cannot be the name of one. */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const PART = /^[A-Za-z0-9-]+$/;

/** undefined where the path is none of a subresource: also where a part of it is escaped or no possible name. */
export function targetOf(pathname: string): Target | undefined {
  const [root, apis, group, version = '', namespaces, namespace = '', resource = '', name = '', ...rest] =
    pathname.split('/');
  if (root !== '' || apis !== 'apis' || group !== GROUP || namespaces !== 'namespaces') return undefined;
  if (!(VERSIONS as readonly string[]).includes(version)) return undefined;
  if (!NAME.test(namespace) || !PART.test(resource) || !NAME.test(name)) return undefined;
  if (rest.length === 0 || !rest.every((part) => PART.test(part))) return undefined;
  return { version, namespace, resource, name, path: rest.join('/') };
}
