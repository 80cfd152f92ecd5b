// Machine type and firmware: <os>.
import { type DomainDraft, type Element, el, type Vmi } from '../../core/index.ts';
import { isEfi, isSecureBoot } from './types.ts';

export const DEFAULT_ARCHITECTURE = 'amd64';
export const DEFAULT_MACHINE = 'q35';

const OVMF = '/usr/share/OVMF';
/** Where libvirt's session keeps variables; gone with the pod. */
const NVRAM = '/var/run/kubevirt-private/libvirt/qemu/nvram';

/** Debian's OVMF images: with Microsoft's keys enrolled where secure boot is on. */
function uefi(vmi: Vmi): Element[] {
  const secure = isSecureBoot(vmi.spec.domain);
  const flavour = secure ? '4M.ms' : '4M';
  return [
    el('loader', { readonly: true, secure, type: 'pflash' }, `${OVMF}/OVMF_CODE_${flavour}.fd`),
    el('nvram', { template: `${OVMF}/OVMF_VARS_${flavour}.fd` }, `${NVRAM}/${vmi.metadata.name ?? ''}_VARS.fd`),
  ];
}

export function firmware(vmi: Vmi, domain: DomainDraft): void {
  const spec = vmi.spec.domain;
  const machine = spec.machine?.type || DEFAULT_MACHINE;
  const os = el('os', {}, el('type', { arch: 'x86_64', machine }, 'hvm'), el('smbios', { mode: 'sysinfo' }));
  if (isEfi(spec)) os.children.push(...uefi(vmi));
  if (spec.firmware?.bootloader?.bios?.useSerial === true) os.children.push(el('bios', { useserial: true }));
  domain.merge(os);
}
