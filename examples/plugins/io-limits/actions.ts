// The node side: a table of nftables for each limited tap. What is over the limit is dropped, and TCP slows down.
import type { Action } from 'virtloom/plugin';

/** Whole bytes a second, and of a burst. */
export type Way = { readonly rate: number; readonly burst: number };
/** Arguments of the step. */
export type Limit = { readonly tap: string; readonly toGuest: Way | null; readonly fromGuest: Way | null };

/** What the kernel takes for a link's name, and nftables for nothing but a name. */
const LINK = /^[A-Za-z0-9_.-]{1,15}$/;

function tableOf(tap: string): string {
  if (!LINK.test(tap)) throw new Error(`${JSON.stringify(tap)} is no name of a link`);
  return `netdev io_limits_${tap.replaceAll(/[^a-zA-Z0-9]/g, '_')}`;
}

/** What comes in by the tap is what the guest sends. */
function chain(tap: string, hook: 'ingress' | 'egress', way: Way | null): string {
  if (!way) return '';
  const limit = `limit rate over ${way.rate} bytes/second burst ${way.burst} bytes drop`;
  return `chain ${hook} { type filter hook ${hook} device "${tap}" priority 0; policy accept; ${limit}; }`;
}

/** Removes the table in one go, if it is there. */
const without = (table: string): string => `table ${table} {}\ndelete table ${table}\n`;

const limit: Action<Limit> = {
  async apply({ sandbox }, { tap, toGuest, fromGuest }) {
    const table = tableOf(tap);
    const chains = `${chain(tap, 'ingress', fromGuest)}\n${chain(tap, 'egress', toGuest)}`;
    // One transaction: also one from before a crash is replaced, and never is there half of it.
    const stdin = `${without(table)}table ${table} {\n${chains}\n}\n`;
    await sandbox.exec(['nft', '-f', '-'], { in: 'net', stdin });
  },
  async revert({ sandbox }, { tap }) {
    await sandbox?.exec(['nft', '-f', '-'], { in: 'net', stdin: without(tableOf(tap)) });
  },
};

export const actions = { limit };
