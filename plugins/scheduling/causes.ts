// How rules walk lists and say no.
import type { Cause } from '../../core/index.ts';

/** The items that are objects: rules may meet fields of any type, the schema's causes are reported beside theirs. */
export function items<T extends object>(list: readonly T[] | undefined): [index: number, item: T][] {
  if (!Array.isArray(list)) return [];
  return [...(list as readonly T[]).entries()].filter(([, item]) => typeof item === 'object' && item !== null);
}

export const invalid = (field: string, message: string): Cause => ({ field, reason: 'FieldValueInvalid', message });
