// How a pod interface gives its addresses up and gets them back. The originals wait in the kernel itself, so that a
// step that was killed at any point finds them again: addresses and MAC on a twin link that is down, which answers
// nobody, and routes in a table that no rule looks at.
import type { Address, Link, NetFacts, Route } from '../../core/index.ts';
import { bridgeName, contains, PARKED_TABLE, parseNetwork, portName } from '../../core/index.ts';

/** A pod interface as its CNI plugin made it. */
export interface Original {
  readonly mac: string;
  readonly ipv4: readonly Address[];
  /** Those that do not come with the addresses. */
  readonly routes: readonly Route[];
}

/** Marks the twin, whatever its name. */
const TWIN = 'virtloom-parked';

/** The twin's name until the pod interface has given up its own. */
export function twinName(podInterface: string): string {
  return `p6t-${podInterface.slice(-11)}`;
}

/** The pod interface under whatever name it has by now; undefined if there is none. */
export function podPort(facts: NetFacts, podInterface: string): Link | undefined {
  const link = facts.links.get(portName(podInterface)) ?? facts.links.get(podInterface);
  return link?.alias === TWIN ? undefined : link;
}

/** The twin under whatever name it has by now, if it has everything: going down is the last thing that happens to it. */
export function parkedTwin(facts: NetFacts, podInterface: string): Link | undefined {
  return [twinName(podInterface), podInterface]
    .map((name) => facts.links.get(name))
    .find((link) => link?.alias === TWIN && !link.up);
}

/** The pod interface as it was before anything was done to it. */
export function originalOf(facts: NetFacts, podInterface: string): Original | undefined {
  const twin = parkedTwin(facts, podInterface);
  const bridge = bridgeName(podInterface);
  if (twin) {
    return { mac: twin.mac, ipv4: twin.ipv4, routes: facts.parkedRoutes.filter((one) => one.link === bridge) };
  }
  const link = podPort(facts, podInterface);
  if (!link) return undefined;
  const routes = facts.routes.filter((one) => one.link === podInterface && one.protocol !== 'kernel');
  return { mac: link.mac, ipv4: link.ipv4, routes };
}

/** Commands that write the original down, if that is still to do. The bridge must be up: routes need a live link. */
export function parkCommands(facts: NetFacts, podInterface: string, original: Original): string[] {
  if (parkedTwin(facts, podInterface)) return [];
  const twin = twinName(podInterface);
  return [
    ...(facts.links.has(twin) ? [`link del dev ${twin}`] : []),
    `link add name ${twin} type bridge`,
    `link set dev ${twin} address ${original.mac} addrgenmode none alias ${TWIN} up`,
    ...original.ipv4.map((one) => `addr add ${addressText(one)} dev ${twin} noprefixroute`),
    // Without this the kernel would answer ARP for them, by whatever link the question comes in.
    ...original.ipv4.map(({ address }) => `route del local ${address} dev ${twin} table local`),
    // The gateway need not be reachable by the bridge.
    ...original.routes.map(
      (one) =>
        `route replace ${routeText(one, bridgeName(podInterface))}${one.via ? ' onlink' : ''} table ${PARKED_TABLE}`,
    ),
    `link set dev ${twin} down`,
  ];
}

/** Commands that give addresses and routes back to `link`, which is up. */
export function restoreCommands(link: string, original: Original): string[] {
  const reachable = [
    ...original.ipv4.map(({ address, prefix }) => `${address}/${prefix}`),
    ...original.routes.filter((route) => route.via === undefined).map((route) => route.to),
  ].map((text) => parseNetwork(text.includes('/') ? text : `${text}/32`));
  const isReachable = (gateway: string) => reachable.some((network) => network && contains(network, gateway));
  // On-link routes first: the gateways of the others may need them.
  const routes = [...original.routes].sort((a, b) => Number(a.via !== undefined) - Number(b.via !== undefined));
  return [
    ...original.ipv4.map((one) => `addr replace ${addressText(one)} dev ${link}`),
    ...routes.map((route) => {
      const onlink = route.via !== undefined && !isReachable(route.via) ? ' onlink' : '';
      return `route replace ${routeText(route, link)}${onlink}`;
    }),
  ];
}

function addressText({ address, prefix, broadcast }: Address): string {
  return `${address}/${prefix}${broadcast === undefined ? '' : ` broadcast ${broadcast}`}`;
}

/** Without the source address: the kernel drops a route whose source address is gone. */
function routeText(route: Route, link: string): string {
  return [
    route.to,
    ...(route.via === undefined ? [] : ['via', route.via]),
    `dev ${link}`,
    ...(route.metric === undefined ? [] : [`metric ${route.metric}`]),
    ...(route.protocol === undefined ? [] : [`proto ${route.protocol}`]),
    ...(route.via === undefined && route.scope !== undefined ? [`scope ${route.scope}`] : []),
  ].join(' ');
}
