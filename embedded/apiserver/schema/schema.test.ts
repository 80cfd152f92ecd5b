// Schemas: faults in Kubernetes' words, pruning, defaulting.
import { describe, expect, it } from 'vitest';
import { applyDefaults } from './default.ts';
import { prune } from './prune.ts';
import { noReferences, type Schema } from './schema.ts';
import { validate } from './validate.ts';

const told = (value: unknown, schema: Schema): string[] =>
  validate(value, schema, noReferences, 'spec').map(
    (cause) => `${cause.reason} ${cause.field ?? ''}: ${cause.message}`,
  );

describe('validate', () => {
  it.each<[unknown, Schema, string]>([
    [
      'a',
      { type: 'integer' },
      'FieldValueTypeInvalid spec: Invalid value: "string": spec in body must be of type integer: "string"',
    ],
    [
      null,
      { type: 'object' },
      'FieldValueTypeInvalid spec: Invalid value: "null": spec in body must be of type object: "null"',
    ],
    [
      1.5,
      { type: 'integer' },
      'FieldValueTypeInvalid spec: Invalid value: "number": spec in body must be of type integer: "number"',
    ],
    [
      0,
      { type: 'integer', minimum: 1 },
      'FieldValueInvalid spec: Invalid value: 0: spec in body should be greater than or equal to 1',
    ],
    [
      9,
      { type: 'integer', maximum: 8 },
      'FieldValueInvalid spec: Invalid value: 9: spec in body should be less than or equal to 8',
    ],
    ['x', { enum: ['a', 'b'] }, 'FieldValueNotSupported spec: Unsupported value: "x": supported values: "a", "b"'],
    [
      'x',
      { type: 'string', pattern: '^a$' },
      `FieldValueInvalid spec: Invalid value: "x": spec in body should match '^a$'`,
    ],
    [
      '',
      { type: 'string', minLength: 1 },
      'FieldValueInvalid spec: Invalid value: "": spec in body should be at least 1 chars long',
    ],
    ['abc', { type: 'string', maxLength: 2 }, 'FieldValueTooLong spec: Too long: may not be more than 2 bytes'],
    [[1, 2], { type: 'array', maxItems: 1 }, 'FieldValueTooMany spec: Too many: 2: must have at most 1 items'],
    [{}, { type: 'object', required: ['a'] }, 'FieldValueRequired spec.a: Required value'],
    [
      ['a', 'a'],
      { type: 'array', 'x-kubernetes-list-type': 'set' },
      'FieldValueDuplicate spec[1]: Duplicate value: "a"',
    ],
    [
      'later',
      { type: 'string', format: 'date-time' },
      'FieldValueInvalid spec: Invalid value: "later": spec in body must be of type date-time: "later"',
    ],
    [
      true,
      { 'x-kubernetes-int-or-string': true },
      'FieldValueTypeInvalid spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean"',
    ],
    [
      { a: 1 },
      { type: 'object', oneOf: [{ required: ['b'] }, { required: ['c'] }] },
      'FieldValueInvalid spec: Invalid value: {"a":1}: "spec" must validate one and only one schema (oneOf)',
    ],
  ])('%j against %j', (value, schema, message) => {
    expect(told(value, schema)).toEqual([message]);
  });

  it('reports every fault with its path', () => {
    const schema: Schema = {
      type: 'object',
      properties: { list: { type: 'array', items: { type: 'object', properties: { a: { type: 'string' } } } } },
      additionalProperties: { type: 'boolean' },
    };
    const fields = validate({ list: [{ a: 1 }, { a: 2 }], x: 1 }, schema, noReferences, 'spec').map(
      (cause) => cause.field,
    );
    expect(fields).toEqual(['spec.list[0].a', 'spec.list[1].a', 'spec.x']);
  });
});

describe('prune', () => {
  it('drops what is not named, keeps what may be free, and tells', () => {
    const schema: Schema = {
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          properties: {
            list: { type: 'array', items: { type: 'object', properties: { a: {} } } },
            free: {
              type: 'object',
              'x-kubernetes-preserve-unknown-fields': true,
              properties: { known: { type: 'object' } },
            },
            map: { type: 'object', additionalProperties: { type: 'object', properties: { k: {} } } },
            template: { type: 'object', 'x-kubernetes-embedded-resource': true, properties: {} },
          },
        },
      },
    };
    const spec = {
      list: [{ a: 1, b: 2 }],
      free: { x: { y: 1 }, known: { z: 1 } },
      map: { one: { k: 1, l: 2 } },
      template: { kind: 'X', metadata: { name: 'x' }, lost: 1 },
      gone: true,
    };
    const unknown: string[] = [];
    const pruned = prune({ apiVersion: 'v1', kind: 'K', metadata: {}, spec, top: 1 }, schema, noReferences, unknown);
    expect(pruned['spec']).toEqual({
      list: [{ a: 1 }],
      free: { x: { y: 1 }, known: {} },
      map: { one: { k: 1 } },
      template: { kind: 'X', metadata: { name: 'x' } },
    });
    expect(unknown).toEqual([
      'spec.list[0].b',
      'spec.free.known.z',
      'spec.map.one.l',
      'spec.template.lost',
      'spec.gone',
      'top',
    ]);
  });
});

describe('applyDefaults', () => {
  it('fills in nested defaults where the parent is there, also for null', () => {
    const schema: Schema = {
      type: 'object',
      properties: {
        a: { type: 'string', default: 'x' },
        b: { type: 'object', properties: { c: { type: 'integer', default: 1 } } },
        d: { type: 'object', default: {}, properties: { e: { type: 'boolean', default: true } } },
        n: { type: 'string', nullable: true, default: 'y' },
      },
    };
    expect(applyDefaults({ a: null, n: null }, schema, noReferences)).toEqual({ a: 'x', d: { e: true }, n: null });
    expect(applyDefaults({ b: {} }, schema, noReferences)).toMatchObject({ b: { c: 1 } });
  });
});
