// Rules on architecture, machine type, firmware, clock, features and what the guest reads by SMBIOS.
import { HYPERV_NEEDS } from './defaults.ts';
import { DEFAULT_ARCHITECTURE } from './firmware.ts';
import { isPrintable, type Review, type Rule } from './rules.ts';
import { type FeatureState, isOn, isSecureBoot } from './types.ts';

const MACHINES = ['q35*', 'pc-q35*'];
const FIRMWARE = 'spec.domain.firmware';
const HYPERV = 'spec.domain.features.hyperv';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const MIN_SPINLOCKS = 4096;

const architecture: Rule = (review) => {
  const asked = review.vmi.spec.architecture;
  if (!asked || asked === DEFAULT_ARCHITECTURE) return;
  const message = `unsupported architecture: ${asked} (guests are ${DEFAULT_ARCHITECTURE})`;
  review.refuse('spec.architecture', 'FieldValueInvalid', message);
};

const machineType: Rule = (review) => {
  const type = review.domain.machine?.type;
  if (typeof type !== 'string' || type === '') return;
  if (MACHINES.some((glob) => type.startsWith(glob.slice(0, -1)))) return;
  review.invalid('spec.domain.machine.type', `is not supported: ${type} (allowed values: [${MACHINES.join(' ')}])`);
};

const bootloader: Rule = (review) => {
  const { bios, efi } = review.domain.firmware?.bootloader ?? {};
  if (bios && efi) {
    review.invalid(`${FIRMWARE}.bootloader`, 'has both EFI and BIOS configured, but they are mutually exclusive.');
  }
  if (isSecureBoot(review.domain) && !isOn(review.domain.features?.smm)) {
    review.invalid('spec.domain', 'has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled.');
  }
};

const uuid: Rule = (review) => {
  const asked = review.domain.firmware?.uuid;
  if (!asked || UUID.test(asked)) return;
  review.invalid(`${FIRMWARE}.uuid`, `'${asked}' is not a UUID, e.g. 5d307ca9-b3ef-428c-8861-06e72d69f223`);
};

const smbiosTexts: Rule = (review) => {
  const { firmware, chassis } = review.domain;
  const texts: [string, unknown][] = [[`${FIRMWARE}.serial`, firmware?.serial]];
  if (typeof chassis === 'object' && chassis !== null) {
    for (const [name, value] of Object.entries(chassis)) texts.push([`spec.domain.chassis.${name}`, value]);
  }
  for (const [path, value] of texts) {
    if (!isPrintable(value)) review.invalid(path, 'holds a control character');
  }
};

function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

const timezone: Rule = (review) => {
  const asked = review.domain.clock?.timezone;
  // The guest would get UTC without a word.
  if (typeof asked === 'string' && asked !== '' && !isTimezone(asked)) {
    review.invalid('spec.domain.clock.timezone', `'${asked}' is not a time zone, e.g. Europe/Madrid`);
  }
};

const hypervNeeds: Rule = (review: Review) => {
  const hyperv = review.domain.features?.hyperv;
  if (!hyperv) return;
  for (const [key, needed] of HYPERV_NEEDS) {
    if (!isOn(hyperv[key]) || hyperv[needed]?.enabled !== false) continue;
    const fields = [key, needed].map((name) => `'${review.at(`${HYPERV}.${name}`)}'`);
    review.refuse(`${HYPERV}.${key}`, 'FieldValueInvalid', `${fields[0]} requires ${fields[1]}, which was disabled.`);
  }
};

const hypervMode: Rule = (review) => {
  const { hyperv, hypervPassthrough } = review.domain.features ?? {};
  if (hyperv && hypervPassthrough) {
    const message =
      'Cannot explicitly set hyperV features if HypervPassthrough is being used. Please use either HyperV or HypervPassthrough.';
    review.refuse(HYPERV, 'FieldValueInvalid', message);
  }
};

const hypervValues: Rule = (review) => {
  const { spinlocks, vendorid }: { spinlocks?: FeatureState & { spinlocks?: number }; vendorid?: object } =
    review.domain.features?.hyperv ?? {};
  const retries = spinlocks?.spinlocks;
  if (isOn(spinlocks) && typeof retries === 'number' && retries < MIN_SPINLOCKS) {
    review.invalid(`${HYPERV}.spinlocks.spinlocks`, `'${retries}': must be greater than or equal to ${MIN_SPINLOCKS}.`);
  }
  if (isOn(vendorid) && !(vendorid as { vendorid?: string }).vendorid) {
    review.refuse(
      `${HYPERV}.vendorid.vendorid`,
      'FieldValueRequired',
      `${review.at(`${HYPERV}.vendorid.vendorid`)} is required`,
    );
  }
};

/** libvirt has these from version 11 on. */
const newerLibvirt: Rule = (review) => {
  const tlbflush = review.domain.features?.hyperv?.tlbflush;
  for (const name of ['direct', 'extended'] as const) {
    if (tlbflush?.[name] === undefined) continue;
    const path = `${HYPERV}.tlbflush.${name}`;
    review.refuse(path, 'FieldValueNotSupported', `${review.at(path)} needs a newer libvirt: leave it out`);
  }
};

export const machineRules: readonly Rule[] = [
  architecture,
  machineType,
  bootloader,
  uuid,
  smbiosTexts,
  timezone,
  hypervNeeds,
  hypervMode,
  hypervValues,
  newerLibvirt,
];
