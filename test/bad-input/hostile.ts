// Bodies that are no objects, and objects that no one should take: huge, deep, of another kind.
import { type BadCase, type Changes, INVALID, vmiWith } from './case.ts';

const VMIS = 'virtualmachineinstances';
const MIB = 1 << 20;

const body = (name: string, text: string | object, code: number, message: string | RegExp, type?: string): BadCase => ({
  name,
  resource: VMIS,
  body: text,
  code,
  causes: [],
  message,
  ...(type === undefined ? {} : { type }),
});

/** What the kind's schema does not know is dropped; who asks for strictness, as kubectl does, is refused. */
const strict = (name: string, changes: Changes, field: string): BadCase => ({
  ...body(name, vmiWith(changes), 400, `unknown field "${field}"`),
  query: '?fieldValidation=Strict',
});

/** A VMI whose spec goes `levels` down. */
function deep(levels: number, open: string, close: string): string {
  const text = JSON.stringify(vmiWith({ 'spec.donain': 'HERE' }));
  return text.replace('"HERE"', `${open.repeat(levels)}${close === ']' ? '' : '1'}${close.repeat(levels)}`);
}

export const hostile: readonly BadCase[] = [
  body('no JSON', '{"kind": ', 400, /JSON|couldn't|invalid/i),
  body('nothing', '', 400, /./),
  body('a list', '[]', 400, /./),
  body('a number', '17', 400, /./),
  body('null', 'null', 400, /./),
  body('no YAML', 'kind: [', 400, /yaml|flow/i, 'application/yaml'),
  body('YAML that unfolds without end', yamlBomb(), 400, /./, 'application/yaml'),
  body('a media type of no API', 'x', 415, /./, 'text/plain'),
  body(
    'a kind that is not what the path says',
    vmiWith({ kind: 'Pod', apiVersion: 'v1' }),
    400,
    /cannot be handled as a VirtualMachineInstance/,
  ),
  body('a version that is not served', vmiWith({ apiVersion: 'kubevirt.io/v9' }), 400, /does not match/),
  body('a namespace that is not what the path says', vmiWith({ 'metadata.namespace': 'other' }), 400, /namespace/),
  strict('a label of __proto__', { 'metadata.labels': JSON.parse('{"__proto__": "x"}') }, 'metadata.labels.__proto__'),
  strict('a field of __proto__', { 'spec.domain': JSON.parse('{"__proto__": {}}') }, 'spec.domain.__proto__'),
  strict('a field beside the spec', { specification: {} }, 'specification'),
  strict('an unknown field of the metadata', { 'metadata.label': {} }, 'metadata.label'),
  body('3 MiB and more', vmiWith({ 'metadata.annotations': { a: 'x'.repeat(3 * MIB) } }), 413, /too large/),
  body('10,000 objects in each other', deep(10_000, '{"a":', '}'), 400, /depth|deep|nest/),
  body('10,000 lists in each other', deep(10_000, '[', ']'), 400, /depth|deep|nest/),
  body('100,000 lists in each other', deep(100_000, '[', ']'), 400, /depth|deep|nest/),
  {
    name: '1 MiB of annotations',
    resource: VMIS,
    body: vmiWith({ 'metadata.annotations': { a: 'x'.repeat(MIB) } }),
    code: 422,
    causes: [['metadata.annotations', 'FieldValueTooLong', '262144']],
  },
  {
    name: 'a name with a way up',
    resource: VMIS,
    body: vmiWith({ 'metadata.name': '../etc' }),
    code: 422,
    causes: [['metadata.name', INVALID, '../etc']],
  },
  {
    name: 'a name of 300 characters',
    resource: VMIS,
    body: vmiWith({ 'metadata.name': 'x'.repeat(300) }),
    code: 422,
    causes: [['metadata.name', INVALID, '253']],
  },
  {
    name: 'a name with a NUL',
    resource: VMIS,
    body: vmiWith({ 'metadata.name': 'a\u0000b' }),
    code: 422,
    causes: [['metadata.name', INVALID, 'RFC 1123']],
  },
  ...['kubevirt.io/created-by', 'kubevirt.io/nodeName', 'kubevirt.io/migrationTargetNodeName'].map(
    (label): BadCase => ({
      name: `the reserved label ${label}`,
      resource: VMIS,
      body: vmiWith({ 'metadata.labels': { [label]: 'x' } }),
      code: 422,
      causes: [['metadata.labels', 'FieldValueNotSupported', label]],
    }),
  ),
];

/** Nine names for nine times the name before: a thousand million once unfolded. */
function yamlBomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 10; i++) {
    lines.push(`a${i}: &a${i} [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(', ')}]`);
  }
  return `kind: VirtualMachineInstance\n${lines.join('\n')}\n`;
}
