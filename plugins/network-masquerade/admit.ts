// The rules on the masquerade binding: its network, its MAC address, its ports.
import type { AdmitInput, Cause, Interface, Verdict, Vmi } from '../../core/index.ts';
import { parseMac } from '../../core/index.ts';
import { BRIDGE_MAC, guestNetwork } from './network.ts';
import type { Port, PortRange } from './types.ts';

const MAX_RANGES = 10;

export function admitMasquerade({ vmi, at, operation }: AdmitInput): Verdict | undefined {
  if (!vmi || operation === 'DELETE') return undefined;
  const causes: Cause[] = [];
  (vmi.spec.domain.devices?.interfaces ?? []).forEach((nic, index) => {
    const field = at(`spec.domain.devices.interfaces[${index}]`);
    if (nic.masquerade !== undefined) causes.push(...binding(nic, vmi, field));
    causes.push(...portRules(nic, field));
  });
  return networks(vmi, at, causes);
}

function binding(nic: Interface, vmi: Vmi, field: string): Cause[] {
  const causes: Cause[] = [];
  const network = vmi.spec.networks?.find((one) => one.name === nic.name);
  if (!network?.pod) {
    const message = 'Masquerade interface only implemented with pod network';
    causes.push({ field: `${field}.name`, reason: 'FieldValueInvalid', message });
  }
  if (typeof nic.macAddress === 'string' && parseMac(nic.macAddress) === BRIDGE_MAC) {
    const message = 'The requested MAC address is reserved for the in-pod bridge. Please choose another one.';
    causes.push({ field: `${field}.macAddress`, reason: 'FieldValueInvalid', message });
  }
  return causes;
}

function portRules(nic: Interface, field: string): Cause[] {
  const causes: Cause[] = [];
  const { ports, portRanges } = nic;
  if (Array.isArray(ports)) causes.push(...portList(ports, `${field}.ports`));
  if (!Array.isArray(portRanges)) return causes;
  if (nic.masquerade === undefined) {
    const message = `portRanges are only supported on masquerade interfaces (${field}.name)`;
    causes.push({ field: `${field}.name`, reason: 'FieldValueInvalid', message });
  }
  if (Array.isArray(ports)) {
    const message = `ports and portRanges cannot be given together on interface ${field}.name`;
    causes.push({ field: `${field}.name`, reason: 'FieldValueInvalid', message });
  }
  causes.push(...rangeList(portRanges, `${field}.portRanges`));
  return causes;
}

function portList(ports: readonly Port[], list: string): Cause[] {
  const causes: Cause[] = [];
  const names = new Set<string>();
  ports.forEach((port, index) => {
    if (typeof port !== 'object' || port === null) return;
    const field = `${list}[${index}]`;
    const { name, port: number, protocol } = port;
    if (typeof name === 'string' && name !== '') {
      if (names.has(name)) {
        const message = `Duplicate name of the port: ${name}`;
        causes.push({ field: `${field}.name`, reason: 'FieldValueDuplicate', message });
      }
      names.add(name);
      if (!isPortName(name)) {
        const message = `Invalid name of the port: ${name}`;
        causes.push({ field: `${field}.name`, reason: 'FieldValueInvalid', message });
      }
    }
    if (number === 0) causes.push({ field, reason: 'FieldValueRequired', message: 'Port field is mandatory.' });
    else if (typeof number === 'number' && !isPort(number)) {
      causes.push({ field, reason: 'FieldValueInvalid', message: 'Port field must be in range 0 < x < 65536.' });
    }
    if (typeof protocol === 'string' && protocol !== '') causes.push(...protocolRule(protocol, field));
  });
  return causes;
}

function rangeList(ranges: readonly PortRange[], list: string): Cause[] {
  const causes: Cause[] = [];
  const seen: PortRange[] = [];
  if (ranges.length > MAX_RANGES) {
    const message = `${list} must have at most ${MAX_RANGES} items`;
    causes.push({ field: list, reason: 'FieldValueInvalid', message });
  }
  ranges.forEach((range, index) => {
    if (typeof range !== 'object' || range === null) return;
    const field = `${list}[${index}]`;
    const { start, end, protocol } = range;
    if (typeof start !== 'number' || typeof end !== 'number' || typeof protocol !== 'string') return;
    causes.push(...protocolRule(protocol, field));
    const refuse = (key: string, message: string) =>
      causes.push({ field: `${field}.${key}`, reason: 'FieldValueInvalid', message });
    if (!isPort(start)) refuse('start', 'Start must be a valid port number, 0 < x < 65536');
    if (!isPort(end)) refuse('end', 'End must be a valid port number, 0 < x < 65536');
    if (start > end) refuse('start', 'Start must be less than or equal to end');
    for (const old of seen) {
      if (old.protocol !== protocol || old.start > end || start > old.end) continue;
      const message = `${protocol} portRanges [${old.start}-${old.end}] and [${start}-${end}] overlap`;
      causes.push({ field: list, reason: 'FieldValueInvalid', message });
    }
    seen.push(range);
  });
  return causes;
}

function protocolRule(protocol: string, field: string): Cause[] {
  if (protocol === 'TCP' || protocol === 'UDP') return [];
  const message = 'Unknown protocol, only TCP or UDP allowed';
  return [{ field: `${field}.protocol`, reason: 'FieldValueInvalid', message }];
}

function isPort(number: number): boolean {
  return number > 0 && number < 65_536;
}

/** Kubernetes' IANA_SVC_NAME: at most 15 of a-z, 0-9 and single inner dashes, one letter at least. */
function isPortName(name: string): boolean {
  return name.length <= 15 && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) && /[a-z]/.test(name);
}

function networks(vmi: Vmi, at: AdmitInput['at'], causes: Cause[]): Verdict {
  const warnings: string[] = [];
  (vmi.spec.networks ?? []).forEach(({ name, pod }, index) => {
    if (typeof pod !== 'object' || pod === null) return;
    const field = at(`spec.networks[${index}].pod.vmNetworkCIDR`);
    if (typeof pod.vmNetworkCIDR === 'string' && pod.vmNetworkCIDR !== '') {
      const fault = guestNetwork(pod.vmNetworkCIDR);
      if (typeof fault === 'string') {
        causes.push({ field, reason: 'FieldValueInvalid', message: `${field} ${fault}: ${pod.vmNetworkCIDR}` });
      }
      const nic = vmi.spec.domain.devices?.interfaces?.find((one) => one.name === name);
      if (nic && nic.masquerade === undefined) {
        warnings.push(`${field} has no effect: interface ${name} is not bound by masquerade`);
      }
    }
    if (pod.vmIPv6NetworkCIDR !== undefined) {
      const v6 = at(`spec.networks[${index}].pod.vmIPv6NetworkCIDR`);
      const message = `${v6} is not supported: guests get IPv4 only; leave the field out`;
      causes.push({ field: v6, reason: 'FieldValueNotSupported', message });
    }
  });
  return { causes, warnings };
}
