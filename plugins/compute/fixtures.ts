// For the tests of this folder: VMIs, and looks into what became of them.
/* eslint-disable no-restricted-imports -- tests look into the core, and only tests import this file */
import { admit, applyDefaults } from '../../core/admission.ts';
import { toXml } from '../../core/domain/xml.ts';
import type { Host } from '../../core/host.ts';
import { childOf, definePlugin, el } from '../../core/index.ts';
import type { Devices, DomainSpec, Element, Facts, KubeObject, Vmi } from '../../core/index.ts';
import { plan } from '../../core/plan.ts';
import { TEST_FACTS, testHost } from '../../core/testing.ts';
import compute from './index.ts';

export const UID = '5d307ca9-b3ef-428c-8861-06e72d69f223';
export const KVM: Partial<Facts> = { cluster: { ...TEST_FACTS.cluster, virtType: 'kvm' } };

/** A VMI of 128Mi and what the test adds to it. */
export function vmi(domain: DomainSpec = {}, devices: Devices = {}): Vmi {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'testvmi', namespace: 'mynamespace', uid: UID },
    spec: { domain: { memory: { guest: '128Mi' }, ...domain, devices } },
  };
}

/** One host for all: making one compiles the schema. */
let shared: Host | undefined;
function host(): Host {
  return (shared ??= testHost([compute, guestDevices]));
}

/** So that a tap that changes its input fails. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  Object.values(value).forEach(frozen);
  return Object.freeze(value);
}

/** Defaults, then rules, for a VMI or another object. */
export async function review(object: KubeObject | Vmi, operation: 'CREATE' | 'UPDATE' | 'DELETE' = 'CREATE') {
  const user = { username: 'test', groups: [] };
  const request = { operation, object: frozen(structuredClone(object)) as KubeObject, user };
  const defaulted = await applyDefaults(host(), request);
  const verdict = await admit(host(), { ...request, object: frozen(defaulted.object) });
  return { ...verdict, object: defaulted.object as unknown as Vmi, record: defaulted.record };
}

/** A VMI as it is stored: with its defaults. Throws where the rules refuse it. */
export async function stored(given: Vmi): Promise<Vmi> {
  const { object, causes } = await review(given);
  if (causes.length > 0) throw new Error(JSON.stringify(causes));
  return object;
}

/** Domain and pod of a VMI as it is. */
export async function renderAsIs(given: Vmi, facts: Partial<Facts> = {}) {
  const made = await plan(host(), frozen(structuredClone(given)), frozen({ ...structuredClone(TEST_FACTS), ...facts }));
  return { ...made, xml: toXml(made.domain), devices: childOf(made.domain, 'devices') as Element };
}

/** Domain and pod of a VMI with its defaults. */
export async function render(given: Vmi, facts: Partial<Facts> = {}) {
  return renderAsIs(await stored(given), facts);
}

/** The elements with this tag, attributes and children in one line each. */
export function lines(parent: Element, tag: string): string[] {
  return parent.children.filter((child) => child.tag === tag).map(line);
}

export function line({ tag, attrs, children, text }: Element): string {
  const words = Object.entries(attrs).map(([name, value]) => `${name}=${value}`);
  const inner = [...(text === undefined ? [] : [text]), ...children.map(line)];
  return [tag, ...words].join(' ') + (inner.length > 0 ? `(${inner.join(', ')})` : '');
}

/** One child of the domain in a line; undefined where there is none. */
export function part(domain: Element, tag: string): string | undefined {
  const child = childOf(domain, tag);
  return child && line(child);
}

/** Stands for the plugins that make disks and NICs: an annotation of the VMI lists them, e.g. `disk:virtio interface`. */
export const guestDevices = definePlugin({
  name: 'guest-devices',
  version: '0.0.0',
  core: '^1.0.0',
  summary: 'devices of tests',
  writes: { pod: [''], domain: [''] },
  api: [
    { path: 'spec.networks[].test', schema: { type: 'object' }, oneOf: 'source' },
    { path: 'spec.domain.devices.interfaces[].test', schema: { type: 'object' }, oneOf: 'binding' },
  ],
  setup: () => ({
    attachNetwork: {
      sources: { test: () => ({ podInterface: 'eth0' }) },
      bindings: { test: () => ({}) },
    },
    prepareDomain({ vmi: given }, { domain }) {
      const list = (given.metadata.annotations?.['test/devices'] ?? '').split(' ').filter((word) => word !== '');
      list.forEach((word, index) => {
        const [tag = '', kind = ''] = word.split(':');
        domain.device(
          tag === 'disk'
            ? el('disk', { type: 'file' }, el('target', { dev: `vd${'abcdefghij'[index]}`, bus: kind }))
            : el('interface', { type: 'ethernet' }, el('model', { type: kind })),
        );
      });
    },
  }),
});

export function withDevices(given: Vmi, devices: string): Vmi {
  return { ...given, metadata: { ...given.metadata, annotations: { 'test/devices': devices } } };
}
