// The rules on interfaces and networks that hold for every binding. Wrong types are the schema's to refuse.
import type { AdmitInput, Cause, DhcpOptions, Interface, Vmi } from '../../core/index.ts';
import { parseIpv4, parseMac } from '../../core/index.ts';
import { parsePciAddress } from './pci.ts';

const MODELS = new Set(['e1000', 'e1000e', 'igb', 'ne2k_pci', 'pcnet', 'rtl8139', 'virtio']);
const MAX_ACPI_INDEX = 16_383;

/** Every cause at once, with KubeVirt's paths, reasons and messages. */
export function admitInterfaces({ vmi, at, operation }: AdmitInput): Cause[] {
  if (!vmi || operation === 'DELETE') return [];
  const interfaces = vmi.spec.domain.devices?.interfaces ?? [];
  const causes = [...names(vmi, at), ...bootOrders(vmi, at)];
  interfaces.forEach((nic, index) => {
    const field = at(`spec.domain.devices.interfaces[${index}]`);
    causes.push(...state(nic, vmi, field), ...addresses(nic, field));
    if (typeof nic.dhcpOptions === 'object' && nic.dhcpOptions !== null)
      causes.push(...dhcp(nic.dhcpOptions, `${field}.dhcpOptions`));
  });
  if (vmi.spec.domain.devices?.networkInterfaceMultiqueue === true && interfaces.length > 0) {
    if (!interfaces.some(({ model }) => (model ?? '') === '' || model === 'virtio')) {
      causes.push({
        field: at('spec.domain.devices.networkInterfaceMultiqueue'),
        reason: 'FieldValueInvalid',
        message: 'virtio-net multiqueue request, but there are no virtio interfaces defined',
      });
    }
  }
  return causes;
}

function names(vmi: Vmi, at: AdmitInput['at']): Cause[] {
  const causes: Cause[] = [];
  const interfaces = vmi.spec.domain.devices?.interfaces ?? [];
  const networks = vmi.spec.networks ?? [];
  const interfaceNames = new Set(interfaces.map((nic) => nic.name));
  const networkNames = new Set(networks.map((network) => network.name));
  const seen = new Set<string>();
  networks.forEach(({ name }, index) => {
    if (typeof name !== 'string') return;
    const field = at(`spec.networks[${index}].name`);
    if (seen.has(name)) {
      const message = `Network with name ${JSON.stringify(name)} already exists, every network must have a unique name`;
      causes.push({ field, reason: 'FieldValueDuplicate', message });
    }
    seen.add(name);
    if (!interfaceNames.has(name)) {
      causes.push({ field, reason: 'FieldValueRequired', message: `${field} '${name}' not found.` });
    }
  });
  seen.clear();
  interfaces.forEach(({ name }, index) => {
    if (typeof name !== 'string') return;
    const field = at(`spec.domain.devices.interfaces[${index}].name`);
    if (seen.has(name)) {
      const message = 'Only one interface can be connected to one specific network';
      causes.push({ field, reason: 'FieldValueDuplicate', message });
    }
    seen.add(name);
    if (!networkNames.has(name)) {
      causes.push({ field, reason: 'FieldValueInvalid', message: `${field} '${name}' not found.` });
    }
    if (!/^[A-Za-z0-9_-]+$/.test(name)) {
      const message =
        'Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)';
      causes.push({ field, reason: 'FieldValueInvalid', message });
    }
  });
  return causes;
}

/** Unique among disks and interfaces; the disks among themselves are not this plugin's. */
function bootOrders(vmi: Vmi, at: AdmitInput['at']): Cause[] {
  const causes: Cause[] = [];
  const { disks = [], interfaces = [] } = vmi.spec.domain.devices ?? {};
  const taken = new Set<unknown>(disks.map((disk) => (disk as { bootOrder?: number }).bootOrder));
  interfaces.forEach(({ bootOrder }, index) => {
    if (typeof bootOrder !== 'number') return;
    const nic = at(`spec.domain.devices.interfaces[${index}]`);
    const field = `${nic}.bootOrder`;
    if (bootOrder < 1) {
      const message = `${nic} must have a boot order > 0, if supplied`;
      causes.push({ field, reason: 'FieldValueInvalid', message });
    } else if (taken.has(bootOrder)) {
      const message = `Boot order for ${field} already set for a different device.`;
      causes.push({ field, reason: 'FieldValueInvalid', message });
    }
    taken.add(bootOrder);
  });
  return causes;
}

function state(nic: Interface, vmi: Vmi, parent: string): Cause[] {
  const value = nic.state ?? '';
  if (value === '' || value === 'up' || value === 'down') return [];
  const field = `${parent}.state`;
  const name = JSON.stringify(nic.name);
  if (value !== 'absent') {
    const message = `logical ${nic.name} interface state value is unsupported: ${value}`;
    return [{ field, reason: 'FieldValueInvalid', message }];
  }
  const network = vmi.spec.networks?.find((one) => one.name === nic.name);
  if (network && 'pod' in network) {
    const message = `${name} interface's state "absent" is not supported on default networks`;
    return [{ field, reason: 'FieldValueInvalid', message }];
  }
  const message = `${name} interface's state "absent" is not supported: interfaces cannot be unplugged yet; leave the interface out`;
  return [{ field, reason: 'FieldValueNotSupported', message }];
}

function addresses(nic: Interface, field: string): Cause[] {
  const causes: Cause[] = [];
  const { model, macAddress, pciAddress, acpiIndex } = nic;
  if (typeof model === 'string' && model !== '' && !MODELS.has(model)) {
    causes.push({
      field: `${field}.model`,
      reason: 'FieldValueNotSupported',
      message: `interface ${field}.name uses model ${model} that is not supported.`,
    });
  }
  if (typeof macAddress === 'string' && macAddress !== '') {
    const mac = parseMac(macAddress);
    const fault =
      mac === undefined
        ? /^[0-9a-f]{2}(([:-])[0-9a-f]{2})(\2[0-9a-f]{2}){5,}$/i.test(macAddress)
          ? 'too long'
          : 'malformed'
        : Number.parseInt(mac, 16) & 1
          ? 'multicast'
          : undefined;
    if (fault !== undefined) {
      causes.push({
        field: `${field}.macAddress`,
        reason: 'FieldValueInvalid',
        message: `interface ${field}.name has ${fault} MAC address (${macAddress}).`,
      });
    }
  }
  if (typeof pciAddress === 'string' && pciAddress !== '' && !parsePciAddress(pciAddress)) {
    causes.push({
      field: `${field}.pciAddress`,
      reason: 'FieldValueInvalid',
      message: `interface ${field}.name has malformed PCI address (${pciAddress}).`,
    });
  }
  if (typeof acpiIndex === 'number' && (acpiIndex < 0 || acpiIndex > MAX_ACPI_INDEX)) {
    causes.push({
      field: `${field}.acpiIndex`,
      reason: 'FieldValueInvalid',
      message: `interface ${field}.name has ACPI index ${acpiIndex}, which must be in range 1 to ${MAX_ACPI_INDEX}`,
    });
  }
  return causes;
}

function dhcp(options: DhcpOptions, field: string): Cause[] {
  const causes: Cause[] = [];
  const { privateOptions, ntpServers } = options;
  if (Array.isArray(privateOptions)) {
    const codes = privateOptions.map((one) => one?.option);
    if (new Set(codes).size < codes.length) {
      const message = 'Found Duplicates: you have provided duplicate DHCPPrivateOptions';
      causes.push({ field, reason: 'FieldValueInvalid', message });
    }
    codes.forEach((code, index) => {
      if (typeof code !== 'number' || (code >= 224 && code <= 254)) return;
      const message = 'provided DHCPPrivateOptions are out of range, must be in range 224 to 254';
      causes.push({ field: `${field}.privateOptions[${index}]`, reason: 'FieldValueInvalid', message });
    });
  }
  if (Array.isArray(ntpServers)) {
    ntpServers.forEach((server, index) => {
      if (typeof server !== 'string' || parseIpv4(server) !== undefined) return;
      const message = 'NTP servers must be a list of valid IPv4 addresses.';
      causes.push({ field: `${field}.ntpServers[${index}]`, reason: 'FieldValueInvalid', message });
    });
  }
  for (const key of ['bootFileName', 'tftpServerName'] as const) {
    if (typeof options[key] === 'string' && /[\u0000-\u001f\u007f]/.test(options[key])) {
      const message = `${field}.${key} must not hold control characters`;
      causes.push({ field: `${field}.${key}`, reason: 'FieldValueInvalid', message });
    }
  }
  return causes;
}
