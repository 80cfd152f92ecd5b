// VirtualMachines and presets.
import { badVm, type BadCase, type Expected, INVALID, REQUIRED, UNSUPPORTED, WRONG_TYPE } from './case.ts';

const badPreset = (name: string, spec: unknown, ...causes: Expected[]): BadCase => ({
  name,
  resource: 'virtualmachineinstancepresets',
  body: { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstancePreset', metadata: { name: 'bad' }, spec },
  code: 422,
  causes,
});

export const virtualMachines: readonly BadCase[] = [
  badVm('an unknown run strategy', { 'spec.runStrategy': 'Sometimes' }, [
    'spec.runStrategy',
    INVALID,
    'Invalid RunStrategy (Sometimes)',
  ]),
  badVm('running and runStrategy', { 'spec.running': true }, ['spec.running', INVALID, 'mutually exclusive']),
  badVm('neither running nor runStrategy', { 'spec.runStrategy': undefined }, [
    'spec.running',
    INVALID,
    'RunStrategy must be specified',
  ]),
  badVm('no template', { 'spec.template': undefined }, ['spec.template', REQUIRED, 'Required value']),
  badVm('a template without a spec', { 'spec.template': {} }, ['spec.template.spec', REQUIRED, 'spec.template.spec']),
  badVm('a template without a domain', { 'spec.template.spec.domain': undefined }, [
    'spec.template.spec.domain',
    REQUIRED,
    'Required value',
  ]),
  badVm(
    'faults of several plugins in one template',
    {
      'spec.template.spec.domain.memory.guest': '0',
      'spec.template.spec.domain.devices.disks[0].disk.bus': 'ide',
      'spec.template.spec.domain.devices.interfaces[0].macAddress': 'x',
      'spec.template.spec.volumes[1]': { name: 'seed', cloudInitNoCloud: {} },
      'spec.template.spec.hostname': 'A',
    },
    ['spec.template.spec.domain.memory.guest', INVALID, 'spec.template.spec.domain.memory.guest'],
    ['spec.template.spec.domain.devices.disks[0].disk.bus', INVALID, 'IDE'],
    ['spec.template.spec.domain.devices.interfaces[0].macAddress', INVALID, 'malformed MAC'],
    ['spec.template.spec.volumes[1].cloudInitNoCloud', INVALID, 'at least one userdatasource'],
    ['spec.template.spec.hostname', INVALID, 'DNS_LABEL'],
  ),
  badPreset('a preset without a domain', { selector: {} }, ['spec.domain', REQUIRED, 'missing domain']),
  badPreset('a preset without a selector', { domain: {} }, ['spec.selector', REQUIRED, 'Required value']),
  badPreset('a preset with disks', { selector: {}, domain: { devices: { disks: [] } } }, [
    'spec.domain.devices.disks',
    UNSUPPORTED,
    'is never taken from a preset',
  ]),
  badPreset(
    'a preset with a bad selector',
    {
      selector: {
        matchExpressions: [
          { key: 'a', operator: 'Like' },
          { key: 'a', operator: 'In' },
        ],
      },
      domain: {},
    },
    ['spec.selector.matchExpressions[0].operator', UNSUPPORTED, '"Like" is not a valid label selector operator'],
    ['spec.selector.matchExpressions[1].values', INVALID, 'must be set when operator is In'],
  ),
  badPreset('a preset with a selector of text', { selector: 'all', domain: {} }, [
    'spec.selector',
    WRONG_TYPE,
    'must be of type object: "string"',
  ]),
];
