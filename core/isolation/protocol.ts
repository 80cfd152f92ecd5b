// What goes between the platform and the process of an isolated plugin. All of it is data.
import type { Element } from '../domain/element.ts';
import type { AttachedDisk, AttachedNic, Migratable, Overhead, Plugin } from '../plugin.ts';
import type { PodPart } from '../pod.ts';
import type { StepDraft } from '../steps.ts';
import type { Facts, Vmi } from '../types.ts';

/** What the child is started with. */
export interface Start {
  /** URL of the plugin's module. */
  readonly url: string;
  readonly options: { readonly [key: string]: unknown };
}

/** What the plugin says of itself, and which hooks it taps. */
export interface Declaration {
  readonly plugin: Omit<Plugin, 'setup' | 'actions'>;
  readonly kinds: readonly unknown[];
  readonly admit: boolean;
  readonly defaultPreset: boolean;
  readonly attachDisk: readonly string[];
  readonly sources: readonly string[];
  readonly bindings: readonly string[];
  readonly prepareDomain: readonly string[];
}

export interface PrepareData {
  readonly vmi: Vmi;
  readonly facts: Facts;
  readonly disks: readonly AttachedDisk[];
  readonly nics: readonly AttachedNic[];
  readonly domain: Element;
  readonly overheadSoFar: number;
}

/** One write of a prepareDomain tap, to be done again on the real plan. `on` and `makes` number the elements. */
export type Write =
  | { readonly do: 'at'; readonly path: string; readonly makes: number }
  | { readonly do: 'find'; readonly key: string; readonly makes: number }
  | { readonly do: 'add' | 'merge'; readonly on: number; readonly element: Element; readonly makes: number }
  | { readonly do: 'set'; readonly on: number; readonly attrs: Record<string, string> }
  | { readonly do: 'pod'; readonly part: PodPart }
  | { readonly do: 'overhead'; readonly entry: Overhead }
  | { readonly do: 'step'; readonly step: StepDraft }
  | { readonly do: 'migratable'; readonly answer: Migratable };

/** A call of a tap. `input` lacks its functions, which the child makes from `at` and `subject`. */
export interface Call {
  readonly id: number;
  readonly hook: 'admit' | 'defaultPreset' | 'attachDisk' | 'sources' | 'bindings' | 'prepareDomain';
  readonly key: string;
  readonly input: object;
  /** Where the VMI stands in the object, e.g. `spec.template.`. */
  readonly at?: string;
  /** Whose results `result()` gives, e.g. `disk/rootdisk`. */
  readonly subject?: string;
}

export type Message =
  | { readonly is: 'ready'; readonly declaration: Declaration }
  | { readonly is: 'unusable'; readonly problem: string }
  | { readonly is: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly is: 'failure'; readonly id: number; readonly problem: string };
