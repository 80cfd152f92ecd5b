// The rules for cloud-init volumes, all causes at once. Messages never show the data.
import type { AdmitInput, Cause, Volume } from '../../core/index.ts';
import { NAME_MAX } from './attach.ts';
import { type CloudInitSource, type Kind, LAYOUTS } from './types.ts';

/** Bytes of data that a manifest may hold itself. */
const INLINE_MAX = 2048;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const KINDS = Object.keys(LAYOUTS) as Kind[];

type Add = (field: string, message: string) => void;

/** Types are checked elsewhere; what is of a wrong type is passed over here. */
export function admitCloudInit(input: AdmitInput): Cause[] {
  const { vmi, operation } = input;
  if (!vmi || operation === 'DELETE') return [];
  const causes: Cause[] = [];
  const add: Add = (field, message) => causes.push({ field, reason: 'FieldValueInvalid', message });
  const volumes = vmi.spec.volumes ?? [];
  const volumesAt = input.at('spec.volumes');
  const mine = new Set<string>();
  for (const kind of KINDS) {
    if (volumes.filter((volume) => volume[kind] !== undefined).length > 1) {
      add(volumesAt, `${volumesAt} must have max one ${kind} volume set`);
    }
  }
  volumes.forEach((volume, index) => {
    for (const kind of KINDS) {
      const source: unknown = volume[kind];
      if (typeof source !== 'object' || source === null) continue;
      mine.add(volume.name);
      const at = `${volumesAt}[${index}]`;
      checkSource(source, `${at}.${kind}`, add);
      checkName(volume, source, `${at}.name`, add);
    }
  });
  (vmi.spec.domain.devices?.disks ?? []).forEach((disk, index) => {
    if (!('lun' in disk) || !mine.has(disk.name)) return;
    const field = `${input.at('spec.domain.devices.disks')}[${index}].lun`;
    add(field, `${field} can only be mapped to a DataVolume or PersistentVolumeClaim volume.`);
  });
  return causes;
}

function checkName({ name }: Volume, source: CloudInitSource, field: string, add: Add): void {
  if (typeof name !== 'string' || name.length <= NAME_MAX || name.length > 63) return;
  if (!source.secretRef && !source.networkDataSecretRef) return;
  add(field, `${field} must be no more than ${NAME_MAX} characters for cloud-init data from a Secret`);
}

function checkSource(source: CloudInitSource, at: string, add: Add): void {
  const { userData, userDataBase64, secretRef, networkData, networkDataBase64, networkDataSecretRef } = source;
  const user = checkInline(userData, userDataBase64, `${at}.userDataBase64`, add) + isNamed(secretRef);
  const network =
    checkInline(networkData, networkDataBase64, `${at}.networkDataBase64`, add) + isNamed(networkDataSecretRef);
  if (user > 1) add(at, `${at} must have only one userdatasource set.`);
  if (isTooLong(userData, userDataBase64)) {
    add(at, `${at} userdata exceeds ${INLINE_MAX} byte limit. Should use UserDataSecretRef for larger data.`);
  }
  if (network > 1) add(at, `${at} must have only one networkdata source set.`);
  if (isTooLong(networkData, networkDataBase64)) {
    add(at, `${at} networkdata exceeds ${INLINE_MAX} byte limit. Should use NetworkDataSecretRef for larger data.`);
  }
  if (user === 0 && network === 0) {
    add(at, `${at} must have at least one userdatasource or one networkdatasource set.`);
  }
}

function isNamed(ref: unknown): number {
  const name = (ref as { name?: unknown } | null | undefined)?.name;
  return name !== undefined && name !== '' ? 1 : 0;
}

/** How many of the two are given. */
function checkInline(text: unknown, base64: unknown, base64At: string, add: Add): number {
  if (typeof base64 === 'string' && !BASE64.test(withoutBreaks(base64))) {
    add(base64At, `${base64At} is not a valid base64 value.`);
  }
  return (text ? 1 : 0) + (base64 ? 1 : 0);
}

function isTooLong(text: unknown, base64: unknown): boolean {
  if (typeof text === 'string' && Buffer.byteLength(text) > INLINE_MAX) return true;
  return typeof base64 === 'string' && Buffer.byteLength(withoutBreaks(base64), 'base64') > INLINE_MAX;
}

function withoutBreaks(base64: string): string {
  return base64.replace(/[\r\n]/g, '');
}
