// What the platform puts into the API server at start: CRDs, webhooks, the aggregated API, roles.
import { crdsOf } from '../core/crd.ts';
import type { Host } from '../core/host.ts';
import { isAlreadyExists, type KubeClient } from '../core/kube/client.ts';
import {
  APISERVICES,
  CRDS,
  MUTATINGWEBHOOKCONFIGURATIONS,
  NAMESPACES,
  VALIDATINGWEBHOOKCONFIGURATIONS,
  type KubeObject,
  type Resource,
} from '../core/kube/objects.ts';
import { webhookConfigurations, type WebhookEndpoint } from '../webhooks/configuration.ts';
import { SUBRESOURCE_GROUP } from './power.ts';
import { CLUSTERROLEBINDINGS, CLUSTERROLES, componentRoles, object, userRoles } from './roles.ts';

/** The namespace of the platform's own objects: leases, service accounts. */
export const NAMESPACE = 'virtloom';

function apiServices(ca: string, service: { namespace: string; name: string; port: number }): KubeObject[] {
  return ['v1', 'v1alpha3'].map((version) =>
    object(APISERVICES, `${version}.${SUBRESOURCE_GROUP}`, {
      spec: {
        group: SUBRESOURCE_GROUP,
        version,
        groupPriorityMinimum: 1000,
        versionPriority: version === 'v1' ? 15 : 10,
        caBundle: Buffer.from(ca).toString('base64'),
        service,
      },
    }),
  );
}

/** Makes the object, or brings the one that is there to this content. */
async function put(client: KubeClient, resource: Resource, wanted: KubeObject): Promise<void> {
  try {
    await client.create(resource, undefined, wanted);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const { name = '' } = wanted.metadata;
    const found = await client.get(resource, undefined, name);
    const metadata = { ...found.metadata, ...wanted.metadata };
    await client.replace(resource, undefined, name, {
      ...wanted,
      metadata,
      ...(found.status === undefined ? {} : { status: found.status }),
    });
  }
}

/** Rights come first: our own processes cannot do anything before. */
export async function putRoles(client: KubeClient, host: Host): Promise<void> {
  const own = componentRoles(host);
  await Promise.all([...own.roles, ...userRoles(host)].map((role) => put(client, CLUSTERROLES, role)));
  await Promise.all(own.bindings.map((binding) => put(client, CLUSTERROLEBINDINGS, binding)));
}

export interface BootstrapOptions {
  readonly client: KubeClient;
  readonly host: Host;
  readonly webhooks: WebhookEndpoint;
  readonly subresources: { readonly ca: string; readonly service: { namespace: string; name: string; port: number } };
}

export async function bootstrap({ client, host, webhooks, subresources }: BootstrapOptions): Promise<void> {
  const namespace = object(NAMESPACES, NAMESPACE, {});
  await client.create(NAMESPACES, undefined, namespace).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
  });
  await Promise.all(crdsOf(host).map((crd) => put(client, CRDS, crd)));
  await Promise.all(
    apiServices(subresources.ca, subresources.service).map((service) => put(client, APISERVICES, service)),
  );
  const [mutating, validating] = webhookConfigurations(host, webhooks) as [KubeObject, KubeObject];
  await put(client, MUTATINGWEBHOOKCONFIGURATIONS, mutating);
  await put(client, VALIDATINGWEBHOOKCONFIGURATIONS, validating);
}
