// The shapes that hooks exchange. Open interfaces: a plugin adds its fields by declaration merging.
import type { KubeObject, ObjectMeta } from './kube/objects.ts';

/** Who made something: a plugin, the tap in it, and, where it matters, the input field it came from. */
export interface Owner {
  readonly plugin: string;
  readonly tap: string;
  readonly field?: string;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Kubernetes' cause types (metav1.CauseType). */
export type CauseReason =
  | 'FieldValueNotFound'
  | 'FieldValueRequired'
  | 'FieldValueDuplicate'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden';

/** Why an object is refused. `field` is a path such as `spec.domain.devices.disks[0].name`. */
export interface Cause {
  field: string;
  reason: CauseReason;
  message: string;
}

/** A disk as the guest sees it; `name` is that of its volume. Plugins add fields (bus, cache, ...). */
export interface Disk {
  name: string;
}

/** A NIC as the guest sees it; `name` is that of its network. Its binding is the one key that names a binding. */
export interface Interface {
  name: string;
}

/** A volume: a name and one key that names its source. */
export interface Volume {
  name: string;
}

/** A network: a name and one key that names its source, e.g. pod. */
export interface Network {
  name: string;
}

export interface Devices {
  disks?: Disk[];
  interfaces?: Interface[];
}

export interface DomainSpec {
  devices?: Devices;
}

/** VirtualMachineInstanceSpec: the skeleton every plugin hangs its fields on. */
export interface VmiSpec {
  domain: DomainSpec;
  volumes?: Volume[];
  networks?: Network[];
  terminationGracePeriodSeconds?: number;
}

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason?: string;
  message?: string;
  lastProbeTime?: string | null;
  lastTransitionTime?: string | null;
}

export type VmiPhase =
  '' | 'Pending' | 'Scheduling' | 'Scheduled' | 'Running' | 'Succeeded' | 'Failed' | 'WaitingForSync' | 'Unknown';

export interface InterfaceStatus {
  name?: string;
  mac?: string;
  ipAddress?: string;
  ipAddresses?: string[];
  podInterfaceName?: string;
  interfaceName?: string;
  infoSource?: string;
  queueCount?: number;
  linkState?: string;
}

export interface VmiStatus {
  phase?: VmiPhase;
  reason?: string;
  nodeName?: string;
  phaseTransitionTimestamps?: { phase: VmiPhase; phaseTransitionTimestamp: string }[];
  conditions?: Condition[];
  interfaces?: InterfaceStatus[];
  activePods?: Record<string, string>;
  guestOSInfo?: Record<string, string>;
  qosClass?: string;
  launcherContainerImageVersion?: string;
  runtimeUser?: number;
  virtualMachineRevisionName?: string;
}

/** A VMI whose spec has more fields than the core knows: those of a plugin's slices. */
export interface VmiOf<Spec extends VmiSpec = VmiSpec> {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec: Spec;
  status?: VmiStatus;
  [key: string]: unknown;
}

export interface Vmi extends VmiOf {
  spec: VmiSpec;
}

/** What the plan knows besides the manifest. All of it is data; the same facts give the same plan. */
export interface Facts {
  readonly cluster: {
    /** The image that holds libvirt and QEMU. */
    readonly launcherImage: string;
    /** 'kvm' where guests run on hardware, 'qemu' under software emulation. */
    readonly virtType: 'kvm' | 'qemu';
    /** True where the kubelet mounts OCI images as volumes (Kubernetes 1.33+). */
    readonly imageVolumes: boolean;
  };
  /** Known once the pod runs; absent in the controller and in an offline render. */
  readonly node?: { readonly name: string; readonly arch: string };
  readonly pod?: { readonly name: string; readonly uid: string; readonly ip: string; readonly ips: readonly string[] };
  /** Results of node steps by the step's full id `<plugin>/<subject>/<id>`. */
  readonly steps: Readonly<Record<string, Json>>;
  /** The objects that plugins said they read for this VMI (`reads`), as far as they exist. */
  readonly objects?: readonly KubeObject[];
}
