// May the caller do it: a SubjectAccessReview a request, as the API server asked before us.
import type { KubeClient, KubeObject } from '../core/index.ts';
import { SUBJECTACCESSREVIEWS } from '../core/index.ts';
import type { Caller } from './caller.ts';
import { forbidden } from './status.ts';
import type { Target } from './target.ts';
import { GROUP } from './target.ts';

interface Review extends KubeObject {
  status?: { allowed?: boolean; reason?: string };
}

const VERBS: Readonly<Record<string, string>> = { GET: 'get', PUT: 'update' };

/** @throws KubeError 403 where RBAC does not allow it */
export async function assertAllowed(client: KubeClient, caller: Caller, method: string, target: Target): Promise<void> {
  const { version, namespace, resource, name, path } = target;
  // RBAC knows the first part only: sev/setupsession is the subresource sev.
  const subresource = path.split('/', 1)[0] ?? '';
  const verb = VERBS[method] ?? method.toLowerCase();
  const { username, uid, groups, extra } = caller;
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    metadata: {},
    spec: {
      user: username,
      ...(uid === undefined ? {} : { uid }),
      groups,
      extra,
      resourceAttributes: { namespace, verb, group: GROUP, version, resource, subresource, name },
    },
  };
  const review = await client.create<Review>(SUBJECTACCESSREVIEWS, undefined, body);
  if (review.status?.allowed === true) return;
  const what = `${resource}.${GROUP} "${name}" is forbidden: User "${username}" cannot ${verb} resource`;
  const where = `"${resource}/${subresource}" in API group "${GROUP}" in the namespace "${namespace}"`;
  const why = review.status?.reason;
  throw forbidden(`${what} ${where}${why ? `: ${why}` : ''}`);
}
