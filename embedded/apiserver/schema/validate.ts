// Checks a value against a schema and reports every fault in Kubernetes' words.
import { asObject, equal, isObject } from '../json.ts';
import type { Cause } from '../status.ts';
import { checkFormat } from './format.ts';
import { fieldPath, type Resolve, type Schema } from './schema.ts';

/** Every fault of `value`, in the order of the fields. */
export function validate(value: unknown, schema: Schema, resolve: Resolve, path = ''): Cause[] {
  const causes: Cause[] = [];
  check(value, schema, resolve, path, causes);
  return causes;
}

export function invalidValue(field: string, value: unknown, message: string): Cause {
  return { reason: 'FieldValueInvalid', message: `Invalid value: ${show(value)}: ${message}`, field };
}

export function requiredValue(field: string, message = ''): Cause {
  return { reason: 'FieldValueRequired', message: `Required value${message === '' ? '' : `: ${message}`}`, field };
}

export function unsupportedValue(field: string, value: unknown, supported: unknown[]): Cause {
  const list = supported.map((item) => show(item)).join(', ');
  return {
    reason: 'FieldValueNotSupported',
    message: `Unsupported value: ${show(value)}: supported values: ${list}`,
    field,
  };
}

function check(value: unknown, reference: Schema, resolve: Resolve, path: string, causes: Cause[]): void {
  const schema = resolve(reference);
  if (value === null && schema.nullable === true) return;
  if (!checkType(value, schema, path, causes)) return;
  if (schema.enum !== undefined && !schema.enum.some((option) => equal(option, value))) {
    causes.push(unsupportedValue(path, value, schema.enum));
  }
  if (typeof value === 'number') checkNumber(value, schema, path, causes);
  else if (typeof value === 'string') checkString(value, schema, path, causes);
  else if (Array.isArray(value)) checkArray(value as unknown[], schema, resolve, path, causes);
  else if (isObject(value)) checkObject(value, schema, resolve, path, causes);
  checkCombined(value, schema, resolve, path, causes);
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function checkType(value: unknown, schema: Schema, path: string, causes: Cause[]): boolean {
  const actual = typeOf(value);
  if (schema['x-kubernetes-int-or-string'] === true) {
    if (actual === 'integer' || actual === 'string') return true;
    return typeFault(path, 'integer,string', actual, causes);
  }
  if (schema.type === undefined || schema.type === '' || schema.type === actual) return true;
  if (schema.type === 'number' && actual === 'integer') return true;
  return typeFault(path, schema.type, actual, causes);
}

function typeFault(path: string, wanted: string, actual: string, causes: Cause[]): false {
  const where = path === '' ? '<nil>' : path;
  causes.push({
    reason: 'FieldValueTypeInvalid',
    message: `Invalid value: "${actual}": ${where} in body must be of type ${wanted}: "${actual}"`,
    field: where,
  });
  return false;
}

function checkNumber(value: number, schema: Schema, path: string, causes: Cause[]): void {
  const { minimum, maximum, multipleOf } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum === true ? value <= minimum : value < minimum)) {
    const bound = schema.exclusiveMinimum === true ? 'greater than' : 'greater than or equal to';
    causes.push(invalidValue(path, value, `${path} in body should be ${bound} ${String(minimum)}`));
  }
  if (maximum !== undefined && (schema.exclusiveMaximum === true ? value >= maximum : value > maximum)) {
    const bound = schema.exclusiveMaximum === true ? 'less than' : 'less than or equal to';
    causes.push(invalidValue(path, value, `${path} in body should be ${bound} ${String(maximum)}`));
  }
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) {
    causes.push(invalidValue(path, value, `${path} in body should be a multiple of ${String(multipleOf)}`));
  }
  const fault = checkFormat(value, schema.format);
  if (fault) causes.push(invalidValue(path, value, `${path} in body must be of type ${fault}: "${String(value)}"`));
}

function checkString(value: string, schema: Schema, path: string, causes: Cause[]): void {
  const length = [...value].length;
  if (schema.minLength !== undefined && length < schema.minLength) {
    const least = String(schema.minLength);
    causes.push(invalidValue(path, value, `${path} in body should be at least ${least} chars long`));
  }
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    const message = `Too long: may not be more than ${String(schema.maxLength)} bytes`;
    causes.push({ reason: 'FieldValueTooLong', message, field: path });
  }
  if (schema.pattern !== undefined && !patternOf(schema.pattern).test(value)) {
    causes.push(invalidValue(path, value, `${path} in body should match '${schema.pattern}'`));
  }
  const fault = checkFormat(value, schema.format);
  if (fault) causes.push(invalidValue(path, value, `${path} in body must be of type ${fault}: ${show(value)}`));
}

function checkArray(value: unknown[], schema: Schema, resolve: Resolve, path: string, causes: Cause[]): void {
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    const least = String(schema.minItems);
    causes.push(invalidValue(path, value.length, `${path} in body should have at least ${least} items`));
  }
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    const message = `Too many: ${String(value.length)}: must have at most ${String(schema.maxItems)} items`;
    causes.push({ reason: 'FieldValueTooMany', message, field: path });
  }
  checkUnique(value, schema, path, causes);
  const { items } = schema;
  if (items === undefined) return;
  value.forEach((item, index) => {
    check(item, items, resolve, fieldPath(path, index), causes);
  });
}

function checkUnique(value: unknown[], schema: Schema, path: string, causes: Cause[]): void {
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const listType = schema['x-kubernetes-list-type'];
  if (listType !== 'set' && listType !== 'map') return;
  const seen = new Set<string>();
  value.forEach((item, index) => {
    const picked =
      listType === 'set' ? item : Object.fromEntries(keys.map((key) => [key, asObject(item)[key]] as const));
    const print = JSON.stringify(picked);
    if (seen.has(print)) {
      const message = `Duplicate value: ${show(picked)}`;
      causes.push({ reason: 'FieldValueDuplicate', message, field: fieldPath(path, index) });
    }
    seen.add(print);
  });
}

function checkObject(
  value: Record<string, unknown>,
  schema: Schema,
  resolve: Resolve,
  path: string,
  causes: Cause[],
): void {
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) causes.push(requiredValue(fieldPath(path, name)));
  }
  const size = Object.keys(value).length;
  if (schema.minProperties !== undefined && size < schema.minProperties) {
    const least = String(schema.minProperties);
    causes.push(invalidValue(path, size, `${path} in body should have at least ${least} properties`));
  }
  if (schema.maxProperties !== undefined && size > schema.maxProperties) {
    const message = `Too many: ${String(size)}: must have at most ${String(schema.maxProperties)} items`;
    causes.push({ reason: 'FieldValueTooMany', message, field: path });
  }
  const { properties, additionalProperties } = schema;
  for (const [name, item] of Object.entries(value)) {
    const known = properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (known !== undefined) check(item, known, resolve, fieldPath(path, name), causes);
    else if (isObject(additionalProperties)) {
      check(item, additionalProperties as Schema, resolve, fieldPath(path, name), causes);
    }
  }
}

function checkCombined(value: unknown, schema: Schema, resolve: Resolve, path: string, causes: Cause[]): void {
  const passes = (option: Schema): boolean => validate(value, option, resolve, path).length === 0;
  for (const part of schema.allOf ?? []) check(value, part, resolve, path, causes);
  if (schema.anyOf !== undefined && schema['x-kubernetes-int-or-string'] !== true && !schema.anyOf.some(passes)) {
    causes.push(invalidValue(path, value, `${show(path)} must validate at least one schema (anyOf)`));
  }
  if (schema.oneOf !== undefined && schema.oneOf.filter(passes).length !== 1) {
    causes.push(invalidValue(path, value, `${show(path)} must validate one and only one schema (oneOf)`));
  }
  if (schema.not !== undefined && passes(schema.not)) {
    causes.push(invalidValue(path, value, `${show(path)} must not validate the schema (not)`));
  }
}

const patterns = new Map<string, RegExp>();

/** A pattern is Go's RE2, which JavaScript mostly shares; one that it cannot read matches everything. */
function patternOf(source: string): RegExp {
  let pattern = patterns.get(source);
  if (pattern === undefined) {
    try {
      pattern = new RegExp(source, 'u');
    } catch {
      try {
        pattern = new RegExp(source);
      } catch {
        pattern = /^/;
      }
    }
    patterns.set(source, pattern);
  }
  return pattern;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}
