// userNetwork: a NIC by QEMU's user-mode network, which speaks for the guest with ordinary sockets of the pod: no tap, no bridge.
import { definePlugin, type Cause } from 'virtloom/plugin';
import type { Forwards } from './actions.ts';

const PORT = { type: 'integer', minimum: 1, maximum: 65535 } as const;
const LOWEST_UNPRIVILEGED = 1024;
// A line of its own: TypeScript leaves an import within `export default` as it is when it builds.
const actions = () => import('./actions.ts');

export default definePlugin({
  name: 'user-nic',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'interfaces without a tap: the guest speaks by sockets of the pod, and the declared ports lead to it',
  requires: ['interfaces', 'network-pod'],
  actions,
  api: [
    {
      path: 'spec.domain.devices.interfaces[].userNetwork',
      oneOf: 'binding',
      schema: {
        type: 'object',
        additionalProperties: false,
        properties: {
          forwards: {
            type: 'array',
            items: {
              type: 'object',
              additionalProperties: false,
              required: ['port'],
              properties: {
                port: { ...PORT, description: 'of the pod' },
                guestPort: { ...PORT, description: 'the same unless told' },
                protocol: { type: 'string', enum: ['TCP', 'UDP'], default: 'TCP' },
              },
            },
          },
        },
      },
    },
  ],
  setup: () => ({
    admit({ vmi, at }) {
      const causes: Cause[] = [];
      const taken = new Map<string, string>();
      const users = (vmi?.spec.domain.devices?.interfaces ?? []).flatMap(({ userNetwork }, index) =>
        userNetwork ? [{ userNetwork, path: `${at('spec.domain.devices.interfaces')}[${index}].userNetwork` }] : [],
      );
      for (const { userNetwork, path } of users) {
        for (const [index, { port, protocol = 'TCP' }] of (userNetwork.forwards ?? []).entries()) {
          const field = `${path}.forwards[${index}].port`;
          const first = taken.get(`${protocol} ${port}`);
          taken.set(`${protocol} ${port}`, first ?? field);
          if (first === undefined) continue;
          const message = `${field} forwards ${protocol} port ${port}, which ${first} does already`;
          causes.push({ field, reason: 'FieldValueDuplicate', message });
        }
      }
      return causes;
    },

    attachNetwork: {
      bindings: {
        userNetwork({ vmi, interface: nic, facts }) {
          const forwards = (nic.userNetwork?.forwards ?? []).map(({ port, guestPort = port, protocol = 'TCP' }) => ({
            port,
            guestPort,
            protocol: protocol.toLowerCase(),
          }));
          const { namespace = '', name = '' } = vmi.metadata;
          const args: Forwards = { domain: `${namespace}_${name}`, netdev: `hostua-${nic.name}`, forwards };
          return {
            steps: [
              // QEMU is an ordinary user.
              ...(forwards.some(({ port }) => port < LOWEST_UNPRIVILEGED)
                ? [{ id: 'low-ports', action: 'lowPorts' }]
                : []),
              ...(forwards.length > 0 ? [{ id: 'forward', action: 'forward', at: 'started' as const, args }] : []),
            ],
            migratable: {
              reason: 'InterfaceNotLiveMigratable',
              message: `${nic.name}: its connections are its QEMU’s`,
            },
            ...(facts.pod ? { ips: facts.pod.ips } : {}),
            interface: { type: 'user', children: [] },
          };
        },
      },
    },
  }),
});
