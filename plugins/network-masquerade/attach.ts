// What a masquerade NIC is: one node step, and the tap that it makes.
import type { AttachBindingInput, Interface, Json, NicAttachment } from '../../core/index.ts';
import { DEFAULT_MTU, el, guestNicOf, hostnameOf, parseMac, queuesOf, tapName } from '../../core/index.ts';
import { DEFAULT_CIDR } from './network.ts';

/** Id of the step, and of its result. */
const STEP = 'nat';

export function attachMasquerade(input: AttachBindingInput): NicAttachment {
  const { vmi, network, source, facts } = input;
  const nic = input.interface;
  const made = guestNicOf(input.result(STEP));
  const mac = nic.macAddress ? parseMac(nic.macAddress) : made?.mac;
  return {
    steps: [
      {
        id: STEP,
        action: 'nat',
        args: {
          podInterface: source.podInterface,
          cidr: network.pod?.vmNetworkCIDR || DEFAULT_CIDR,
          ports: forwards(nic),
          mac: mac !== undefined && nic.macAddress ? mac : null,
          hostname: hostnameOf(vmi),
          multiQueue: queuesOf(vmi, nic.model, vmi.spec.domain.devices?.networkInterfaceMultiqueue) > 1,
          dhcpOptions: (nic.dhcpOptions ?? {}) as Json,
        },
      },
    ],
    interface: {
      type: 'ethernet',
      children: [
        el('source'),
        el('target', { dev: made?.tap ?? tapName(source.podInterface), managed: false }),
        el('mtu', { size: made?.mtu ?? DEFAULT_MTU }),
      ],
    },
    ...(mac === undefined ? {} : { mac }),
    // The guest is known by its pod's addresses; its own is nobody else's business.
    ips: facts.pod?.ips ?? made?.ips ?? [],
    migratable: true,
  };
}

/** Ports that lead to the guest; none: all of them do. */
function forwards({ ports = [], portRanges = [] }: Interface): Json[] {
  return [
    ...ports.map(({ protocol, port }) => ({ protocol: protocol || 'TCP', start: port, end: port })),
    ...portRanges.map(({ protocol, start, end }) => ({ protocol, start, end })),
  ];
}
