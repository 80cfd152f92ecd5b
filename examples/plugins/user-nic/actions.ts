// The node side: what libvirt does not do for a user-mode NIC. Both go with the pod and its QEMU, so there is nothing to revert.
import type { Action } from 'virtloom/plugin';

/** Arguments of `forward`. */
export type Forwards = {
  /** The domain's name, and QEMU's for the NIC's other end. */
  readonly domain: string;
  readonly netdev: string;
  readonly forwards: { port: number; guestPort: number; protocol: string }[];
};

const LIBVIRT = 'qemu+unix:///session?socket=/var/run/libvirt/libvirt-sock';

const lowPorts: Action = {
  async apply({ sandbox }) {
    await sandbox.exec(['sysctl', '-q', '-w', 'net/ipv4/ip_unprivileged_port_start=0'], { in: 'net' });
  },
};

const forward: Action<Forwards> = {
  async apply({ sandbox }, { domain, netdev, forwards }) {
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
};

export const actions = { lowPorts, forward };
