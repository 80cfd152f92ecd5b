// Unknown fields and wrong types, at every depth.
import { badVm, badVmi, type BadCase, INVALID, REQUIRED, WRONG_TYPE } from './case.ts';

const DISKS = 'spec.domain.devices.disks';

export const shapes: readonly BadCase[] = [
  badVmi('an unknown field of the spec', { 'spec.donain': {} }, [
    'spec.donain',
    INVALID,
    'unknown field "spec.donain"',
  ]),
  badVmi(
    'unknown fields deep down, all at once',
    {
      'spec.domain.devices.disks[0].disk.buss': 'virtio',
      'spec.domain.features': { acpi: { on: true } },
      'spec.networks[0].pod.cidr': '10.0.0.0/8',
    },
    [`${DISKS}[0].disk.buss`, INVALID, 'unknown field'],
    ['spec.domain.features.acpi.on', INVALID, 'unknown field'],
    ['spec.networks[0].pod.cidr', INVALID, 'unknown field'],
  ),
  badVmi(
    'an empty object given a field',
    { 'spec.domain.devices.interfaces[0].masquerade.nat': true, 'spec.domain.devices.rng': { source: '/dev/random' } },
    ['spec.domain.devices.interfaces[0].masquerade.nat', INVALID, 'unknown field'],
    ['spec.domain.devices.rng.source', INVALID, 'unknown field'],
  ),
  badVm('an unknown field of a VirtualMachine', { 'spec.paused': true }, [
    'spec.paused',
    INVALID,
    'unknown field "spec.paused"',
  ]),
  badVm(
    'unknown fields in a template',
    { 'spec.template.spec.domain.cpu': { coers: 2 }, 'spec.template.spec.network': [] },
    ['spec.template.spec.domain.cpu.coers', INVALID, 'unknown field "spec.template.spec.domain.cpu.coers"'],
    ['spec.template.spec.network', INVALID, 'unknown field "spec.template.spec.network"'],
  ),
  badVmi(
    'names of what every object has',
    {
      'spec.domain': JSON.parse(
        '{"memory": {"guest": "64Mi"}, "constructor": {"prototype": {"x": 1}}, "toString": 1, "hasOwnProperty": {}}',
      ),
      'spec.networks': undefined,
      'spec.volumes': undefined,
    },
    ['spec.domain.constructor', INVALID, 'unknown field'],
    ['spec.domain.toString', INVALID, 'unknown field'],
    ['spec.domain.hasOwnProperty', INVALID, 'unknown field'],
  ),
  badVm(
    'names of what every object has, in a VirtualMachine',
    JSON.parse('{"spec.toString": 1, "spec.valueOf": {}}') as object as Record<string, unknown>,
    ['spec.toString', INVALID, 'unknown field'],
    ['spec.valueOf', INVALID, 'unknown field'],
  ),
  badVmi('text for a number', { 'spec.domain.cpu': { cores: '2' } }, [
    'spec.domain.cpu.cores',
    WRONG_TYPE,
    'must be of type integer: "string"',
  ]),
  badVmi('a fraction for a whole number', { 'spec.domain.cpu': { cores: 1.5 } }, [
    'spec.domain.cpu.cores',
    WRONG_TYPE,
    'must be of type integer',
  ]),
  badVmi('a number for text', { 'spec.volumes[0].containerDisk.image': 1 }, [
    'spec.volumes[0].containerDisk.image',
    WRONG_TYPE,
    'must be of type string: "integer"',
  ]),
  badVmi('text for a truth value', { 'spec.domain.devices.autoattachSerialConsole': 'yes' }, [
    'spec.domain.devices.autoattachSerialConsole',
    WRONG_TYPE,
    'must be of type boolean: "string"',
  ]),
  badVmi('a list for a map', { 'spec.domain.devices': [] }, [
    'spec.domain.devices',
    WRONG_TYPE,
    'must be of type object: "array"',
  ]),
  badVmi('a map for a list', { [DISKS]: { name: 'root' } }, [DISKS, WRONG_TYPE, 'must be of type array: "object"']),
  badVmi('text for a list', { 'spec.volumes': 'root' }, [
    'spec.volumes',
    WRONG_TYPE,
    'must be of type array: "string"',
  ]),
  badVmi(
    'null for a map and for an item',
    { 'spec.domain.devices.disks[0]': null, 'spec.volumes[0].containerDisk': null },
    [`${DISKS}[0]`, WRONG_TYPE, 'must be of type object: "null"'],
    ['spec.volumes[0].containerDisk', WRONG_TYPE, 'must be of type object: "null"'],
  ),
  badVmi('text for a volume', { 'spec.volumes[1]': 'data' }, [
    'spec.volumes[1]',
    WRONG_TYPE,
    'must be of type object: "string"',
  ]),
  badVmi('a map for text', { 'spec.domain.devices.interfaces[0].macAddress': { a: 1 } }, [
    'spec.domain.devices.interfaces[0].macAddress',
    WRONG_TYPE,
    'must be of type string: "object"',
  ]),
  badVmi('no spec', { spec: undefined }, ['spec', REQUIRED, 'Required value']),
  badVmi('no domain', { 'spec.domain': undefined }, ['spec.domain', REQUIRED, 'Required value']),
  badVmi('a spec of text', { spec: 'small' }, ['spec', WRONG_TYPE, 'must be of type object: "string"']),
  badVmi(
    'no names',
    { 'spec.domain.devices.disks[0].name': undefined, 'spec.volumes[0].name': undefined },
    [`${DISKS}[0].name`, REQUIRED, 'Required value'],
    ['spec.volumes[0].name', REQUIRED, 'Required value'],
  ),
  badVm(
    'wrong types in a template',
    { 'spec.template.spec.domain.devices.disks': 'all', 'spec.running': 'yes' },
    ['spec.template.spec.domain.devices.disks', WRONG_TYPE, 'must be of type array: "string"'],
    ['spec.running', WRONG_TYPE, 'must be of type boolean: "string"'],
  ),
];
