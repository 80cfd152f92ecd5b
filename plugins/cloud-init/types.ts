// The two volume sources as this plugin reads them, and what differs between them.
import type {} from '../../core/index.ts';

export interface CloudInitSource {
  userData?: string;
  userDataBase64?: string;
  /** Its key userdata or userData. */
  secretRef?: { name?: string };
  networkData?: string;
  networkDataBase64?: string;
  /** Its key networkdata or networkData. */
  networkDataSecretRef?: { name?: string };
}

declare module '../../core/index.ts' {
  interface Volume {
    cloudInitNoCloud?: CloudInitSource;
    cloudInitConfigDrive?: CloudInitSource;
  }
}

export type Kind = 'cloudInitNoCloud' | 'cloudInitConfigDrive';

/** How a guest finds its data: the disk's label, and the names of the files on it. */
export interface Layout {
  readonly iso: string;
  readonly label: string;
  readonly userData: string;
  readonly metaData: string;
  readonly networkData: string;
}

export const LAYOUTS: Readonly<Record<Kind, Layout>> = {
  cloudInitNoCloud: {
    iso: 'noCloud.iso',
    label: 'cidata',
    userData: 'user-data',
    metaData: 'meta-data',
    networkData: 'network-config',
  },
  cloudInitConfigDrive: {
    iso: 'configdrive.iso',
    label: 'config-2',
    userData: 'openstack/latest/user_data',
    metaData: 'openstack/latest/meta_data.json',
    networkData: 'openstack/latest/network_data.json',
  },
};

/** Where the content of one file on the disk comes from. What is in a Secret never leaves the pod but for the disk. */
export type Content =
  | { readonly text: string }
  | { readonly base64: string }
  | {
      /** Name of the Secret, for messages. */
      readonly secret: string;
      /** Where the pod has it. */
      readonly folder: string;
      /** The first that is there counts. */
      readonly keys: readonly string[];
    };

/** Arguments of the step. */
export interface IsoArgs {
  readonly volume: string;
  readonly kind: Kind;
  /** Path in the pod. */
  readonly iso: string;
  readonly label: string;
  readonly files: readonly { readonly name: string; readonly content: Content }[];
}

/** What the step finds out, and the domain needs to know. */
export interface Iso {
  readonly cache: 'none' | 'writethrough';
}
