// The nftables rules of one masquerade NIC, as one script that the kernel takes whole or not at all.
import type { GuestNetwork } from './network.ts';

export interface Forward {
  readonly protocol: string;
  readonly start: number;
  readonly end: number;
}
export interface Rules {
  readonly podInterface: string;
  readonly bridge: string;
  readonly podIps: readonly string[];
  readonly network: GuestNetwork;
  /** None: everything leads to the guest. */
  readonly forwards: readonly Forward[];
}

/** Live migration comes in by these, whatever the guest listens on. */
const MIGRATION_PORTS = '16509, 49152-49215';

export function tableName(podInterface: string): string {
  return `virtloom-${podInterface}`;
}

/** Makes the table anew, in one transaction; running it again changes nothing. */
export function rulesScript(rules: Rules): string {
  const { podInterface, bridge, network } = rules;
  const pod = `{ ${rules.podIps.join(', ')} }`;
  const local = `{ ${['127.0.0.1', ...rules.podIps].join(', ')} }`;
  const { guest, gateway } = network;
  return `${dropScript(podInterface)}table ip ${tableName(podInterface)} {
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    iifname "${podInterface}" ip daddr ${pod} tcp dport { ${MIGRATION_PORTS} } return
${dnat(`iifname "${podInterface}" ip daddr ${pod}`, rules)}
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr ${local} tcp dport { ${MIGRATION_PORTS} } return
${dnat(`ip daddr ${local}`, rules)}
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "${bridge}" ip saddr 127.0.0.1 snat to ${gateway}
    oifname != "${bridge}" ip saddr ${guest} masquerade
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname "${bridge}" ip saddr != ${guest} drop
    oifname "${bridge}" ct status dnat accept
    oifname "${bridge}" ct state established,related accept
    oifname "${bridge}" drop
    iifname "${podInterface}" drop
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "${bridge}" ct state established,related accept
    iifname "${bridge}" ct status dnat accept
    iifname "${bridge}" udp dport 67 accept
    iifname "${bridge}" ip daddr ${gateway} icmp type echo-request accept
    iifname "${bridge}" drop
  }
}
`;
}

/** Removes the table; also where there is none. */
export function dropScript(podInterface: string): string {
  const table = tableName(podInterface);
  return `table ip ${table}\ndelete table ip ${table}\n`;
}

function dnat(match: string, { forwards, network }: Rules): string {
  if (forwards.length === 0) return `    ${match} dnat to ${network.guest}`;
  const lines: string[] = [];
  for (const protocol of ['TCP', 'UDP']) {
    const ports = forwards
      .filter((one) => one.protocol === protocol)
      .map(({ start, end }) => (start === end ? String(start) : `${start}-${end}`));
    if (ports.length === 0) continue;
    const set = [...new Set(ports)].join(', ');
    lines.push(`    ${match} ${protocol.toLowerCase()} dport { ${set} } dnat to ${network.guest}`);
  }
  return lines.join('\n');
}
