// The node side: what libvirt does not do for a user-mode NIC. Both go with the pod and its QEMU, so there is nothing to revert.
import type { Action } from 'virtloom/plugin';

interface Forward {
  readonly port: number;
  readonly guestPort: number;
  readonly protocol: string;
}
interface Args {
  /** The domain's name, and QEMU's for the NIC's other end. */
  readonly domain: string;
  readonly netdev: string;
  readonly forwards: readonly Forward[];
}

const LIBVIRT = 'qemu+unix:///session?socket=/var/run/libvirt/libvirt-sock';

export const actions: Readonly<Record<string, Action>> = {
  lowPorts: {
    async apply({ sandbox }) {
      await sandbox.exec(['sysctl', '-q', '-w', 'net/ipv4/ip_unprivileged_port_start=0'], { in: 'net' });
    },
  },

  forward: {
    async apply({ sandbox }, given) {
      const { domain, netdev, forwards } = given as unknown as Args;
      const monitor = async (command: string): Promise<string> => {
        const argv = ['virsh', '-q', '-c', LIBVIRT, 'qemu-monitor-command', '--hmp', domain, command];
        return (await sandbox.exec(argv, { in: 'pod' })).stdout.toString().trim();
      };
      for (const { port, guestPort, protocol } of forwards) {
        // Of an earlier life of the agent, if it is there.
        await monitor(`hostfwd_remove ${netdev} ${protocol}::${port}`);
        const problem = await monitor(`hostfwd_add ${netdev} ${protocol}::${port}-:${guestPort}`);
        if (problem !== '') throw new Error(`${protocol} port ${port} cannot be forwarded to the guest: ${problem}`);
      }
    },
  },
};
