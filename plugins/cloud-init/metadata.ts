// What the guest is told about itself: its identity and its name.
import type { Vmi } from '../../core/index.ts';
import type { Kind } from './types.ts';

const LABEL_MAX = 63;
const INSTANCE_TYPE = ['kubevirt.io/cluster-instancetype-name', 'kubevirt.io/instancetype-name'];

interface Known {
  hostname?: string;
  domain: { firmware?: { uuid?: string } };
}

/** The host name that KubeVirt gives: spec.hostname, else the first part of the VMI's name. */
export function hostnameOf(vmi: Vmi): string {
  const { hostname } = vmi.spec as Known;
  return hostname || (vmi.metadata.name ?? '').split('.', 1).join('').slice(0, LABEL_MAX);
}

/** Stays the same when a VM starts again, so that cloud-init does not take it for a new machine. */
function identityOf(vmi: Vmi): string {
  return (vmi.spec as Known).domain.firmware?.uuid || vmi.metadata.uid || fullName(vmi);
}

function fullName({ metadata }: Vmi): string {
  return `${metadata.name ?? ''}.${metadata.namespace ?? 'default'}`;
}

function instanceTypeOf(vmi: Vmi): string | undefined {
  for (const key of INSTANCE_TYPE) {
    const name = vmi.metadata.annotations?.[key];
    if (name) return name;
  }
  return undefined;
}

/** The text of the metadata file. */
export function metaDataOf(vmi: Vmi, kind: Kind): string {
  const type = instanceTypeOf(vmi);
  if (kind === 'cloudInitConfigDrive') {
    const uuid = identityOf(vmi);
    return JSON.stringify({ instance_type: type, instance_id: fullName(vmi), hostname: hostnameOf(vmi), uuid });
  }
  const lines = { 'instance-id': identityOf(vmi), 'local-hostname': hostnameOf(vmi), 'instance-type': type };
  // YAML, one key a line: small guests read it with sed. Quoted, or a host called 123 were a number.
  return Object.entries(lines)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join('');
}
