// Types that flow from what a plugin declares into its hooks, so that its author never casts. No code here.
import type { FromSchema, JSONSchema } from 'json-schema-to-ts';
import type { ApiSlice, MetricDefinition } from './plugin.ts';
import type { Devices, Disk, Interface, Network, Vmi, VmiOf, VmiSpec, Volume } from './types.ts';

/** What a value of this schema looks like; `unknown` where the schema is not known to the compiler. */
export type ValueOf<S> = string extends keyof S ? unknown : S extends JSONSchema ? FromSchema<S> : unknown;

/** Options as setup() gets them: defaults filled in. */
export type OptionsOf<S> = string extends keyof S
  ? { readonly [key: string]: unknown }
  : S extends JSONSchema
    ? FromSchema<S>
    : { readonly [key: string]: unknown };

type Without<T, Key> = { [K in keyof T as K extends Key ? never : K]: T[K] };
type Entry<T, Key> = Key extends keyof T ? NonNullable<T[Key]> : object;
type ItemOf<T> = T extends readonly (infer Item)[] ? Item : object;
/** `T` with the field `Key` of type `F`; still required where it was. */
type Put<T, Key extends string, F> = Without<T, Key> &
  (Key extends keyof T ? (undefined extends T[Key] ? { [K in Key]?: F } : { [K in Key]: F }) : { [K in Key]?: F });

/** `T` with a field at `Path` (`domain.devices.disks[].iotune`). A type that the plugin wrote down itself stays. */
type Grow<T, Path extends string, F> = Path extends `${infer Head}.${infer Rest}`
  ? Head extends `${infer List}[]`
    ? Put<T, List, Grow<ItemOf<Entry<T, List>>, Rest, F>[]>
    : Put<T, Head, Grow<Entry<T, Head>, Rest, F>>
  : Path extends keyof T
    ? T
    : Put<T, Path, F>;

type GrowAll<T, Api extends readonly ApiSlice[]> = Api extends readonly [
  infer First extends ApiSlice,
  ...infer Rest extends readonly ApiSlice[],
]
  ? First['path'] extends `spec.${infer Path}`
    ? GrowAll<Grow<T, Path, ValueOf<First['schema']>>, Rest>
    : GrowAll<T, Rest>
  : T;

/** The VMI with the fields that these slices add; a plain one where the compiler knows no paths. */
export type VmiWith<Api extends readonly ApiSlice[]> = number extends Api['length']
  ? Vmi
  : VmiOf<GrowAll<VmiSpec, Api>>;

type Items<T, Key extends string, Fallback> = T extends {
  readonly [K in Key]?: readonly (infer Item extends Fallback)[];
}
  ? Item
  : Fallback;
type DevicesOf<V extends VmiOf> = V['spec']['domain'] extends { readonly devices?: infer Found }
  ? NonNullable<Found>
  : Devices;
/** An entry of the VMI's list, with the fields that the plugin's slices add. */
export type VolumeOf<V extends VmiOf> = Items<V['spec'], 'volumes', Volume>;
export type NetworkOf<V extends VmiOf> = Items<V['spec'], 'networks', Network>;
export type DiskOf<V extends VmiOf> = Items<DevicesOf<V>, 'disks', Disk>;
export type InterfaceOf<V extends VmiOf> = Items<DevicesOf<V>, 'interfaces', Interface>;

/** The name of a metric's label, as the definition lists them. */
export type LabelsOf<M extends MetricDefinition> = M extends { readonly labels: readonly (infer L extends string)[] }
  ? L
  : never;
