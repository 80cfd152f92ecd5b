// PCI addresses as people write them: 0000:01:00.0

export interface PciAddress {
  readonly domain: string;
  readonly bus: string;
  readonly slot: string;
  readonly function: string;
}

/** The parts as libvirt wants them (0x01); undefined if `text` is no PCI address. */
export function parsePciAddress(text: string): PciAddress | undefined {
  const match = /^([0-9a-f]{4}):([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i.exec(text);
  if (!match) return undefined;
  const [, domain, bus, slot, fn] = match;
  return { domain: `0x${domain}`, bus: `0x${bus}`, slot: `0x${slot}`, function: `0x${fn}` };
}
