// The record on a VMI: what is packed comes back, what is not a record is refused by name.
import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Line } from './flat-plan.ts';
import { defaultsOf, packRecord, PLAN_ANNOTATION, PLUGINS_ANNOTATION, recordOf, withDefaults } from './record.ts';
import type { StartRecord } from './record.ts';
import { TEST_FACTS } from './testing.ts';
import type { Vmi } from './types.ts';

const by = { plugin: 'compute', tap: 'prepareDomain.first' };
const lines: Line[] = [
  { section: 'domain', path: 'memory/text()', value: '128', by: { ...by, field: 'spec.domain.memory.guest' } },
  { section: 'domain', path: 'os', value: 'present', by },
  { section: 'pod', path: 'spec.x', value: '', by: undefined },
  { section: 'steps', path: 'disk/a', value: 'é{"quoted"}', by: { plugin: 'a', tap: 'step' } },
];
const record: StartRecord = {
  plugins: { a: '2.0.0', compute: '1.0.0' },
  cluster: TEST_FACTS.cluster,
  labels: { app: 'x' },
  annotations: { mine: '1', 'virtloom.io/defaults': '{}', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
  lines,
};
const vmiWith = (annotations: Record<string, string>): Vmi => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'a', namespace: 'default', annotations },
  spec: { domain: { devices: { disks: [{ name: 'root' }] } } },
});

describe('the record of a start', () => {
  it('comes back as it was, without notes that no plan is made from', () => {
    expect(recordOf(vmiWith(packRecord(record)))).toEqual({ ...record, annotations: { mine: '1' } });
  });

  it('is readable as to plugins', () => {
    expect(packRecord(record)[PLUGINS_ANNOTATION]).toBe('{"a":"2.0.0","compute":"1.0.0"}');
  });

  it('keeps long values as their digest', () => {
    const long = (value: string): StartRecord => ({ ...record, lines: [{ section: 'pod', path: 'p', value, by }] });
    const kept = (value: string) => recordOf(vmiWith(packRecord(long(value))))?.lines[0]?.value;
    expect(kept('s'.repeat(160))).toBe('s'.repeat(160));
    expect(kept('s'.repeat(161))).toMatch(/^sha256:[0-9a-f]{16} \(161 characters\)$/);
    expect(kept('s'.repeat(161))).not.toBe(kept('t'.repeat(161)));
  });

  it('is not there on a VMI from before', () => {
    expect(recordOf(vmiWith({}))).toBeUndefined();
  });

  const packed = (value: unknown): string => deflateRawSync(JSON.stringify(value)).toString('base64');
  it.each([
    ['what is not deflated', 'hello', {}],
    ['what is no JSON', deflateRawSync('{').toString('base64'), {}],
    ['null', packed(null), {}],
    ['another shape', packed({ lines: 'x' }), {}],
    ['lines of no section', packed({ ...record, owners: [], lines: [[99, 'p', 'v', 0]] }), {}],
    ['lines that are numbers', packed({ ...record, owners: [], lines: [1] }), {}],
    ['labels of numbers', packed({ ...record, owners: [], lines: [], labels: { a: 1 } }), {}],
    [
      'more than any plan',
      deflateRawSync(`${' '.repeat(17 << 20)}${JSON.stringify({ ...record, owners: [], lines: [] })}`).toString(
        'base64',
      ),
      {},
    ],
    ['plugins that are a list of lists', packed({}), { [PLUGINS_ANNOTATION]: '[[]]' }],
  ])('refuses %s by VMI and annotation', (_, plan, others) => {
    const read = (): unknown => recordOf(vmiWith({ [PLAN_ANNOTATION]: plan, ...others }));
    expect(read).toThrow(expect.objectContaining({ code: 'VL_RECORD_INVALID' }));
    expect(read).toThrow(
      /^what VMI a was started with cannot be read from its annotation virtloom\.io\/pl(an|ugins): /,
    );
  });
});

describe('the note of defaults', () => {
  it('tells plugin, reason and field, and finds the values again', () => {
    const given = vmiWith({ mine: '1', 'virtloom.io/defaults': 'forged' });
    const noted = withDefaults(given as never, [
      {
        path: ['spec', 'domain', 'devices', 'disks', 0],
        value: 1,
        by: { plugin: 'disks', tap: 'defaultPreset' },
        why: 'w',
      },
      { path: ['metadata', 'finalizers'], value: [], by: { plugin: 'core', tap: 'defaults' } },
      { path: ['status', 'phase'], value: 'Pending', by: { plugin: 'core', tap: 'defaults' } },
    ]) as unknown as Vmi;
    expect(noted.metadata.annotations).toEqual({
      mine: '1',
      'virtloom.io/defaults': '{"disks":{"w":["spec.domain.devices.disks[0]"]},"core":{"":["metadata.finalizers"]}}',
    });
    expect(defaultsOf(noted)[0]).toEqual({
      section: 'defaults',
      path: 'spec.domain.devices.disks[0]',
      value: '{"name":"root"}',
      by: { plugin: 'disks', tap: 'defaultPreset' },
      why: 'w',
    });
  });

  it.each(['{', '7', '{"a":1}', '{"a":{"b":1}}', '{"a":{"b":[1]}}'])('refuses %s', (text) => {
    expect(() => defaultsOf(vmiWith({ 'virtloom.io/defaults': text }))).toThrow(/annotation virtloom\.io\/defaults: /);
  });
});
