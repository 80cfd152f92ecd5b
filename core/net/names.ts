// Names of the links that a binding makes beside a pod interface. All fit the kernel's 15 characters.

/** In-pod bridge, KubeVirt's name for it: k6t-eth0, k6t-net1; `pod<hash>` gives k6t-<hash>. */
export function bridgeName(podInterface: string): string {
  return `k6t-${short(podInterface)}`;
}

/** The guest's tap: tap0 for eth0, tap1 for net1, tap<hash> for pod<hash>. */
export function tapName(podInterface: string): string {
  return `tap${podInterface.slice(3)}`;
}

/** A pod interface's own name while it is a port of the bridge: eth0-nic. */
export function portName(podInterface: string): string {
  return `${short(podInterface)}-nic`;
}

/** Whether the kernel, `ip` and sysctl take this as the name of a link. */
export function isLinkName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]{2,14}$/.test(name);
}

function short(podInterface: string): string {
  return podInterface.length > 11 ? podInterface.slice(-11) : podInterface;
}
