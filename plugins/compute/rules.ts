// What every admission rule of this plugin gets, and how it says no.
import type { Cause, CauseReason, DomainSpec, Vmi } from '../../core/index.ts';

/** Rules meet objects whose fields may be of any type: the schema's causes are reported beside theirs. */
export class Review {
  readonly causes: Cause[] = [];
  readonly warnings: string[] = [];
  readonly vmi: Vmi;
  readonly domain: DomainSpec;
  /** The path in the object of a field of the VMI. */
  readonly at: (path: string) => string;

  constructor(vmi: Vmi, at: (path: string) => string) {
    this.vmi = vmi;
    this.domain = vmi.spec.domain;
    this.at = at;
  }

  refuse(path: string, reason: CauseReason, message: string): void {
    this.causes.push({ field: this.at(path), reason, message });
  }

  /** FieldValueInvalid; the message starts with the field's path. */
  invalid(path: string, message: string): void {
    this.refuse(path, 'FieldValueInvalid', `${this.at(path)} ${message}`);
  }
}

export type Rule = (review: Review) => void;

/** The items of a list that are objects. */
export function items<T extends object>(list: readonly T[] | undefined): [index: number, item: T][] {
  if (!Array.isArray(list)) return [];
  return [...(list as readonly T[]).entries()].filter(([, item]) => typeof item === 'object' && item !== null);
}

const NOT_IN_XML = /[\u0000-\u001f\ufffe\uffff]/;

/** Whether a text of the manifest can stand in the domain's XML. */
export function isPrintable(value: unknown): boolean {
  return typeof value !== 'string' || !NOT_IN_XML.test(value);
}
