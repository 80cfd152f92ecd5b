// What the guest's DHCP lease says of the pod network: gateway or routes.
import { contains, parseNetwork } from '../../core/index.ts';
import type { Original } from './parking.ts';

export interface LeaseRoutes {
  readonly gateway: string | undefined;
  /** As destination and gateway; empty where the gateway alone says it all. */
  readonly routes: readonly (readonly [to: string, via: string])[];
}

const ON_LINK = '0.0.0.0';

export function leaseRoutes({ ipv4, routes }: Original): LeaseRoutes {
  const own = ipv4[0] && parseNetwork(`${ipv4[0].address}/${ipv4[0].prefix}`);
  const gateway = routes.find((route) => route.to === 'default')?.via;
  const onlyGateway = routes.every((route) => route.to === 'default');
  if (onlyGateway && (gateway === undefined || (own && contains(own, gateway)))) return { gateway, routes: [] };

  const list = new Map<string, string>();
  for (const { to, via } of routes) {
    // A gateway outside of the network is a neighbour all the same.
    if (via !== undefined && !(own && contains(own, via)) && !list.has(`${via}/32`)) list.set(`${via}/32`, ON_LINK);
    const destination = to === 'default' ? '0.0.0.0/0' : to.includes('/') ? to : `${to}/32`;
    list.set(destination, via ?? ON_LINK);
  }
  return { gateway, routes: [...list] };
}
