// The guest's private network: which addresses it has, and which networks will do.
import { hostAt, overlaps, parseNetwork } from '../../core/index.ts';

export interface GuestNetwork {
  readonly gateway: string;
  readonly guest: string;
  readonly prefix: number;
}

export const DEFAULT_CIDR = '10.0.2.0/24';

/** MAC address of the in-pod bridge, the guest's gateway. */
export const BRIDGE_MAC = '02:00:00:00:00:00';

const SMALLEST_PREFIX = 30;
const LARGEST_PREFIX = 8;
const UNUSABLE = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3'].map((text) => parseNetwork(text));

/** The network of `cidr`; a text that says what is wrong with it where it will not do. */
export function guestNetwork(cidr: string): GuestNetwork | string {
  const network = parseNetwork(cidr);
  if (!network) return 'must be an IPv4 network such as 10.0.2.0/24';
  if (network.prefix > SMALLEST_PREFIX) return 'must have room for a gateway and a guest: /30 or wider';
  if (network.prefix < LARGEST_PREFIX) return 'must not be wider than /8';
  if (UNUSABLE.some((one) => one && overlaps(one, network))) return 'must be a network of ordinary unicast addresses';
  return { gateway: hostAt(network, 1), guest: hostAt(network, 2), prefix: network.prefix };
}
