import { describe, expect, it } from 'vitest';
import type { Owner } from '../types.ts';
import { el, keyed, type Element } from './element.ts';
import { rewritten } from './rewritten.ts';
import { toXml } from './xml.ts';

const A: Owner = { plugin: 'a', tap: 'prepareDomain.main' };
const B: Owner = { plugin: 'b', tap: 'prepareDomain.last', field: 'Plugin/x' };

function by(owner: Owner, element: Element): Element {
  for (const child of element.children) by(owner, child);
  return Object.assign(element, { by: owner });
}
const disk = (file: string, bus: string): Element =>
  keyed(`disk:${file}`, el('disk', { type: 'file' }, el('source', { file }), el('target', { dev: file, bus })));
const domain = (): Element =>
  by(
    A,
    el(
      'domain',
      { type: 'kvm' },
      el('title', {}, 'old'),
      el('devices', {}, disk('one', 'virtio'), disk('two', 'virtio'), el('watchdog', { model: 'ib700' })),
    ),
  );
const after = (change: (xml: string) => string) => rewritten(domain(), change(toXml(domain())), B);
const at = (element: Element, ...tags: string[]): Element | undefined =>
  tags.reduce<Element | undefined>((found, tag) => found?.children.find((child) => child.tag === tag), element);

describe('a rewritten domain', () => {
  it('that is the same has no changes, and all its signatures and keys', () => {
    expect(after((xml) => xml)).toEqual({ domain: domain(), changes: [] });
  });

  it('has what is new signed by who made it', () => {
    const { domain: made, changes } = after((xml) => xml.replace('<devices>', '<devices><rng model="virtio"/>'));
    expect(changes).toEqual(['devices/rng added']);
    expect(at(made, 'devices', 'rng')?.by).toEqual(B);
    expect(at(made, 'devices', 'watchdog')?.by).toEqual(A);
    expect(at(made, 'devices')?.by).toEqual(A);
  });

  it('has changed attributes and texts signed, and the element still by its maker', () => {
    const { domain: made, changes } = after((xml) =>
      xml.replace('ib700', 'i6300esb').replace('old', 'new').replace('kvm"', 'qemu" id="3"'),
    );
    expect(changes).toEqual(['@type = "qemu"', '@id = "3"', 'title = "new"', 'devices/watchdog/@model = "i6300esb"']);
    expect(made.attrBy).toEqual({ type: B, id: B });
    expect(at(made, 'title')).toMatchObject({ by: A, textBy: B });
    expect(at(made, 'devices', 'watchdog')).toMatchObject({ by: A, attrBy: { model: B } });
  });

  it('tells what is gone', () => {
    const { changes } = after((xml) => xml.replace(/<watchdog.*\/>/, '').replace(' type="kvm"', ''));
    expect(changes).toEqual(['@type removed', 'devices/watchdog removed']);
  });

  it('knows a device again though others came, went or moved', () => {
    const { domain: made, changes } = after((xml) => {
      const [one = '', two = ''] = xml.match(/<disk[^]*?<\/disk>/g) ?? [];
      return xml.replace(one, '').replace(two, `${two.replace('virtio', 'scsi')}${one}<disk device="cdrom"/>`);
    });
    expect(changes).toEqual(['devices/disk[1]/target/@bus = "scsi"', 'devices/disk[3] added']);
    const disks = at(made, 'devices')?.children.filter(({ tag }) => tag === 'disk');
    expect(disks?.map(({ key }) => key)).toEqual(['disk:two', 'disk:one', undefined]);
    expect(disks?.map((one) => one.by?.plugin)).toEqual(['a', 'a', 'b']);
  });

  it('keeps names in foreign namespaces', () => {
    const { domain: made } = after((xml) =>
      xml
        .replace('<domain', '<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0"')
        .replace('</domain>', '<qemu:commandline><qemu:arg value="-s"/></qemu:commandline></domain>'),
    );
    expect(toXml(made)).toContain('<qemu:arg value="-s"/>');
  });

  it.each(['', '<domain', '<domain/><domain/>', '<!DOCTYPE domain><domain/>', 'no'])('cannot be %j', (xml) => {
    expect(() => rewritten(domain(), xml, B)).toThrow(expect.objectContaining({ code: 'VL_XML_INVALID' }));
  });
});
