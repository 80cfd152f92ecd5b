// The webhook configurations that tell the API server what to ask us about: generated from the enabled kinds.
import type { Host } from '../core/host.ts';
import {
  MUTATINGWEBHOOKCONFIGURATIONS,
  VALIDATINGWEBHOOKCONFIGURATIONS,
  apiVersionOf,
  type KubeObject,
} from '../core/kube/objects.ts';
import { VMI_KIND } from '../core/vmi-kind.ts';
import { MUTATE_PATH, VALIDATE_PATH } from './server.ts';

export interface WebhookEndpoint {
  /** PEM. */
  readonly ca: string;
  /** A URL outside the cluster, or a service in it. */
  readonly at: { readonly url: string } | { readonly service: { namespace: string; name: string; port: number } };
}

/** Both configurations, ready to be applied. */
export function webhookConfigurations(host: Host, endpoint: WebhookEndpoint): KubeObject[] {
  const rules = [VMI_KIND, ...host.kinds].map((kind) => ({
    apiGroups: [kind.resource.group],
    apiVersions: kind.versions.map((version) => version.name),
    resources: [kind.resource.plural],
    scope: kind.resource.namespaced ? 'Namespaced' : 'Cluster',
  }));
  const webhook = (name: string, path: string, operations: string[]): object => ({
    name,
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    // An object that nobody judged must not get in.
    failurePolicy: 'Fail',
    matchPolicy: 'Equivalent',
    timeoutSeconds: 10,
    clientConfig: {
      caBundle: Buffer.from(endpoint.ca).toString('base64'),
      ...('url' in endpoint.at ? { url: `${endpoint.at.url}${path}` } : { service: { ...endpoint.at.service, path } }),
    },
    rules: rules.map((rule) => ({ ...rule, operations })),
  });
  return [
    {
      apiVersion: apiVersionOf(MUTATINGWEBHOOKCONFIGURATIONS),
      kind: MUTATINGWEBHOOKCONFIGURATIONS.kind,
      metadata: { name: 'virtloom-mutator' },
      webhooks: [webhook('mutate.virtloom.io', MUTATE_PATH, ['CREATE', 'UPDATE'])],
    },
    {
      apiVersion: apiVersionOf(VALIDATINGWEBHOOKCONFIGURATIONS),
      kind: VALIDATINGWEBHOOKCONFIGURATIONS.kind,
      metadata: { name: 'virtloom-validator' },
      webhooks: [webhook('validate.virtloom.io', VALIDATE_PATH, ['CREATE', 'UPDATE'])],
    },
  ];
}
