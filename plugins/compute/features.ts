// What the hypervisor shows to the guest: <features>.
import { type DomainDraft, type DomainSpec, type Element, el, type Facts } from '../../core/index.ts';
import { type FeatureState, type Hyperv, isOn } from './types.ts';

/** Without a bound QEMU's cache of translated code grows to hundreds of MiB; at 32 MiB guests run as fast as without. */
export const TRANSLATION_CACHE_MIB = 32;

/** Hyper-V enlightenments in libvirt's order: our key, libvirt's element, and whether the host's kernel must give it. */
const HYPERV: readonly { key: keyof Hyperv; tag: string; kernel: boolean }[] = [
  { key: 'relaxed', tag: 'relaxed', kernel: false },
  { key: 'vapic', tag: 'vapic', kernel: false },
  { key: 'spinlocks', tag: 'spinlocks', kernel: false },
  { key: 'vpindex', tag: 'vpindex', kernel: true },
  { key: 'runtime', tag: 'runtime', kernel: true },
  { key: 'synic', tag: 'synic', kernel: true },
  { key: 'synictimer', tag: 'stimer', kernel: true },
  { key: 'reset', tag: 'reset', kernel: true },
  { key: 'vendorid', tag: 'vendor_id', kernel: false },
  { key: 'frequencies', tag: 'frequencies', kernel: true },
  { key: 'reenlightenment', tag: 'reenlightenment', kernel: true },
  { key: 'tlbflush', tag: 'tlbflush', kernel: true },
  { key: 'ipi', tag: 'ipi', kernel: true },
  { key: 'evmcs', tag: 'evmcs', kernel: true },
];
const DEFAULT_SPINLOCKS = 4096;

const onOff = (state: FeatureState | undefined): string => (state?.enabled === false ? 'off' : 'on');

function hyperv(asked: Hyperv): Element {
  const { spinlocks, vendorid, synictimer } = asked;
  const more: { readonly [key in keyof Hyperv]?: Record<string, string | number | undefined> } = {
    spinlocks: { retries: isOn(spinlocks) ? (spinlocks?.spinlocks ?? DEFAULT_SPINLOCKS) : undefined },
    vendorid: { value: vendorid?.vendorid || undefined },
  };
  const direct = synictimer?.direct && el('direct', { state: onOff(synictimer.direct) });
  const wanted = HYPERV.filter(({ key }) => asked[key]);
  const elements = wanted.map(({ key, tag }) =>
    el(tag, { state: onOff(asked[key]), ...more[key] }, key === 'synictimer' ? direct : undefined),
  );
  return el('hyperv', {}, ...elements);
}

/** The first feature asked for that only KVM can give. */
function needsKvm(asked: NonNullable<DomainSpec['features']>): string | undefined {
  if (isOn(asked.pvspinlock)) return 'pvspinlock';
  const kernel = HYPERV.find(({ key, kernel }) => kernel && isOn(asked.hyperv?.[key]));
  return kernel && `hyperv.${kernel.key}`;
}

/** Throws where a feature needs KVM and guests are emulated: QEMU would not start. */
export function features(spec: DomainSpec, facts: Facts, domain: DomainDraft): void {
  const asked = spec.features ?? {};
  const emulated = facts.cluster.virtType === 'qemu';
  const kvmOnly = emulated ? needsKvm(asked) : undefined;
  if (kvmOnly !== undefined) {
    throw new Error(`spec.domain.features.${kvmOnly} needs KVM, and guests are emulated here: leave it out`);
  }
  const element = el('features');
  const add = (child: Element | undefined): void => void (child && element.children.push(child));
  if (asked.acpi?.enabled !== false) add(el('acpi'));
  if (isOn(asked.apic)) add(el('apic', { eoi: asked.apic?.endOfInterrupt === true ? 'on' : undefined }));
  if (isOn(asked.smm)) add(el('smm', { state: 'on' }));
  if (asked.hyperv) add(hyperv(asked.hyperv));
  else if (isOn(asked.hypervPassthrough)) add(el('hyperv', { mode: 'passthrough' }));
  if (asked.kvm) add(el('kvm', {}, el('hidden', { state: asked.kvm.hidden === true ? 'on' : 'off' })));
  if (asked.pvspinlock) add(el('pvspinlock', { state: onOff(asked.pvspinlock) }));
  add(el('vmport', { state: 'off' }));
  if (emulated) add(el('tcg', {}, el('tb-cache', { unit: 'MiB' }, String(TRANSLATION_CACHE_MIB))));
  domain.merge(element);
}
