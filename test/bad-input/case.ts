// One bad manifest and what must be said about it; and the good one that all of them are made from.
import { parsePath, setPath } from '../../core/path.ts';

/** Field, reason, and a part of the message. */
export type Expected = readonly [field: string, reason: string, part: string | RegExp];

export interface BadCase {
  readonly name: string;
  /** Plural of its kind. */
  readonly resource: string;
  /** The object, or a whole body as text. */
  readonly body: object | string;
  readonly type?: string;
  readonly query?: string;
  readonly code: number;
  /** Every cause, in any order; none where the fault is not one of fields. */
  readonly causes: readonly Expected[];
  /** What the whole message must hold, where there are no causes. */
  readonly message?: string | RegExp;
}

export const INVALID = 'FieldValueInvalid';
export const REQUIRED = 'FieldValueRequired';
export const DUPLICATE = 'FieldValueDuplicate';
export const UNSUPPORTED = 'FieldValueNotSupported';
/** The API server's own, by the kind's schema. */
export const WRONG_TYPE = 'FieldValueTypeInvalid';
export const TOO_LONG = 'FieldValueTooLong';

const GOOD_SPEC = {
  domain: {
    memory: { guest: '64Mi' },
    devices: {
      disks: [{ name: 'root', disk: { bus: 'virtio' } }],
      interfaces: [{ name: 'default', masquerade: {} }],
    },
  },
  networks: [{ name: 'default', pod: {} }],
  volumes: [{ name: 'root', containerDisk: { image: 'localhost/some/image:1' } }],
};

/** Path to value, e.g. { 'spec.domain.cpu.cores': -1 }; undefined takes a field away. */
export type Changes = { readonly [path: string]: unknown };

function changed(object: object, changes: Changes): object {
  return Object.entries(changes).reduce((made, [path, value]) => setPath(made, parsePath(path), value), object);
}

/** A VMI that is fine but for the changes. */
export function vmiWith(changes: Changes): object {
  const good = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'bad' },
    spec: GOOD_SPEC,
  };
  return changed(good, changes);
}

/** A VirtualMachine that is fine but for the changes. */
export function vmWith(changes: Changes): object {
  const good = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name: 'bad' },
    spec: { runStrategy: 'Halted', template: { spec: GOOD_SPEC } },
  };
  return changed(good, changes);
}

export function badVmi(name: string, changes: Changes, ...causes: Expected[]): BadCase {
  return { name, resource: 'virtualmachineinstances', body: vmiWith(changes), code: 422, causes };
}

export function badVm(name: string, changes: Changes, ...causes: Expected[]): BadCase {
  return { name, resource: 'virtualmachines', body: vmWith(changes), code: 422, causes };
}
