// The node side: a table of nftables for each limited tap. What is over the limit is dropped, and TCP slows down.
import type { Action, Json } from 'virtloom/plugin';

interface Way {
  readonly rate: number;
  readonly burst: number;
}
interface Args {
  readonly tap: string;
  readonly toGuest: Way | null;
  readonly fromGuest: Way | null;
}

const tableOf = (tap: string): string => `netdev io_limits_${tap.replaceAll(/[^a-zA-Z0-9]/g, '_')}`;

/** What comes in by the tap is what the guest sends. */
function chain(tap: string, hook: 'ingress' | 'egress', way: Way | null): string {
  if (!way) return '';
  const limit = `limit rate over ${Math.ceil(way.rate)} bytes/second burst ${Math.ceil(way.burst)} bytes drop`;
  return `chain ${hook} { type filter hook ${hook} device "${tap}" priority 0; policy accept; ${limit}; }`;
}

/** Replaces the table in one go, also one from before a crash. */
export function script({ tap, toGuest, fromGuest }: Args): string {
  const table = tableOf(tap);
  return `table ${table} {}
delete table ${table}
table ${table} {
${chain(tap, 'ingress', fromGuest)}
${chain(tap, 'egress', toGuest)}
}
`;
}

export const actions: Readonly<Record<string, Action>> = {
  limit: {
    async apply({ sandbox }, args): Promise<Json | void> {
      await sandbox.exec(['nft', '-f', '-'], { in: 'net', stdin: script(args as unknown as Args) });
    },
    async revert({ sandbox }, args) {
      const table = tableOf((args as unknown as Args).tap);
      const stdin = `table ${table} {}\ndelete table ${table}\n`;
      await sandbox?.exec(['nft', '-f', '-'], { in: 'net', stdin });
    },
  },
};
