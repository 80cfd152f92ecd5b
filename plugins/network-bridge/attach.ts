// What a bridged NIC is: one node step, and the tap that it makes.
import type { AttachBindingInput, Json, Migratable, NicAttachment } from '../../core/index.ts';
import { DEFAULT_MTU, el, guestNicOf, hostnameOf, parseMac, queuesOf, tapName } from '../../core/index.ts';

/** Id of the step, and of its result. */
const STEP = 'bridge';

const ALLOW_MIGRATION = 'kubevirt.io/allow-pod-bridge-network-live-migration';

export function attachBridge(input: AttachBindingInput): NicAttachment {
  const { vmi, source, facts } = input;
  const nic = input.interface;
  const onPodNetwork = 'pod' in input.network;
  const made = guestNicOf(input.result(STEP));
  const own = nic.macAddress ? parseMac(nic.macAddress) : undefined;
  const mac = own ?? made?.mac;
  return {
    steps: [
      {
        id: STEP,
        action: 'bridge',
        args: {
          podInterface: source.podInterface,
          mac: own ?? null,
          server: `169.254.75.${10 + (input.interfaceIndex % 240)}`,
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
    ips: made?.ips ?? (onPodNetwork ? (facts.pod?.ips ?? []) : []),
    migratable: onPodNetwork ? podNetworkMigratable(vmi.metadata.annotations) : true,
  };
}

/** The guest would take an address along that belongs to the pod it leaves. */
function podNetworkMigratable(annotations: Record<string, string> | undefined): Migratable {
  if (annotations && ALLOW_MIGRATION in annotations) return true;
  return {
    reason: 'InterfaceNotLiveMigratable',
    message:
      `cannot migrate VMI which does not use masquerade, bridge with ${ALLOW_MIGRATION} VM annotation ` +
      'or a migratable plugin to connect to the pod network',
  };
}
